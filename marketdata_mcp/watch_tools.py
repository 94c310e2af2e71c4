"""The tools for live data: start, read and stop a watch."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Le, MaxLen
from pydantic import Field

from marketdata.arguments import Described, ExchangeId, PairName, PairNames, timeframe
from marketdata.errors import InvalidParameterError, MissingParameterError
from marketdata.live import Condition, News
from marketdata.live.news import Doing, doing
from marketdata.models import Record, StreamKind
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.live.watches import MAX_SUBJECTS, Held
from marketdata_mcp.served import Served
from marketdata_mcp.tools import Tool, server_tool

__all__ = ["WATCH_TOOLS"]

_DEPTH = 20
_TIMEFRAME = "1m"

# ---------------------------------------------------------------------------- what they answer


class _Next(Record):
    cursor: str


_Behind = Annotated[_Next, Field(description="Arguments to change for the next read.")]


class _Watch(Record):
    watch: str
    kind: str
    exchange: str
    timeframe: str | None = None
    simulated: Literal[True] | None = None


class _Started(_Watch):
    stops_at: datetime
    next: _Behind
    subjects: tuple[Condition, ...]


class _Read(_Watch):
    timed_out: Literal[True] | None = None
    note: str | None = None
    next: _Behind
    subjects: tuple[News, ...]


class _Stopped(Record):
    watch: str
    stopped: Literal[True]


class _Summary(_Watch):
    pairs: tuple[str, ...]
    state: Doing
    age_ms: int | None = None
    unread: int
    dropped: int
    idle_seconds: int
    stops_at: datetime


class _Listed(Record):
    watches: tuple[_Summary, ...]


# ---------------------------------------------------------------------------- the tools


@server_tool(_Started, is_repeatable=False)
async def watch_start(
    served: Served,
    kind: Annotated[StreamKind, Described("E.g. ticker.")],
    pair: PairName | None = None,
    pairs: Annotated[PairNames, MaxLen(MAX_SUBJECTS)] | None = None,
    exchange: ExchangeId | None = None,
    depth: Annotated[
        int, Ge(1), Le(100), Described(f"Of orderbook: levels a side, e.g. 5; else {_DEPTH}.")
    ]
    | None = None,
    timeframe: Annotated[
        str,
        Described(f"Of candles: e.g. 5m; else {_TIMEFRAME}.", parse=timeframe, numbers_too=True),
    ]
    | None = None,
) -> Answer:
    """Start to watch pairs live: stream, follow, track, monitor or subscribe in real-time,
    continuously. Unread for 10 minutes it stops.
    """
    _check_goes_with(kind, "depth", depth, "orderbook")
    _check_goes_with(kind, "timeframe", timeframe, "candles")
    if pair is None and pairs is None:
        raise MissingParameterError(
            "watch_start needs 'pair', or 'pairs' for several.", details={"parameter": "pair"}
        )
    held = await served.watches.start(
        served.client,
        served.caller.account,
        kind,
        list(dict.fromkeys([*([] if pair is None else [pair]), *(pairs or ())])),
        exchange=exchange,
        depth=depth or _DEPTH,
        timeframe=timeframe or _TIMEFRAME,
    )
    return answers.record(
        _Started(
            **_named(held),
            stops_at=held.stops_at,
            next=_Next(cursor=held.note(held.had)),
            subjects=tuple(Condition(**doing(one)) for one in held.live.subjects),
        )
    )


def _check_goes_with(kind: str, name: str, value: object, only: str) -> None:
    if value is not None and kind != only:
        raise InvalidParameterError(
            f"{name} goes with kind={only}; kind was {kind}.", details={"parameter": name}
        )


_Id = Annotated[str, Described("Id from watch_start, e.g. w1.")]


@server_tool(_Read)
async def watch_read(
    served: Served,
    watch: _Id,
    wait: Annotated[bool, Described("Wait for news.")] = False,
    timeout: Annotated[  # noqa: ASYNC109 - what the tool's argument is called
        int, Ge(1), Le(55), Described("Seconds to wait, e.g. 25.")
    ] = 25,
    cursor: Annotated[str, Described("From a `next`, e.g. 17; else after the last read.")]
    | None = None,
    limit: Annotated[int, Ge(1), Le(200), Described("Trades, or candles a pair, e.g. 50.")] = 50,
) -> Answer:
    """Read a watch: poll or wait for its next update, news since the last read: newest states,
    new trades [timeMs, price, amount, side, id] or candles; `unread` come next time.
    """
    held, positions, is_new = await served.watches.read(
        served.caller.account, watch, cursor, float(timeout) if wait else None
    )
    depth = held.live.depth
    behind = positions

    def build(count: int) -> Content:
        nonlocal behind
        behind, news = held.live.news(positions, count)
        is_cut = depth is not None and count < depth
        return _Read(
            **_named(held),
            timed_out=None if is_new else True,
            note=f"First {count} of {depth} levels a side." if is_cut else None,
            next=_Next(cursor=".".join(map(str, behind))),
            subjects=news,
        ).to_dict()

    answer = answers.fitted(build, limit if depth is None else depth)
    held.note(behind)
    return answer


@server_tool(_Stopped)
async def watch_stop(served: Served, watch: _Id) -> Answer:
    """Stop a watch: end, cancel or unsubscribe from its stream, no more updates."""
    await served.watches.stop(served.caller.account, watch)
    return answers.record(_Stopped(watch=watch, stopped=True))


@server_tool(_Listed)
async def watch_list(served: Served) -> Answer:
    """List your watches: which watches are running (active, open), and their state."""
    mine = served.watches.of(served.caller.account)
    return answers.record(_Listed(watches=tuple(map(_summed_up, mine))))


WATCH_TOOLS: Mapping[str, Tool] = {
    tool.name: tool for tool in (watch_start, watch_read, watch_stop, watch_list)
}

# ---------------------------------------------------------------------------- what they say


def _named(held: Held) -> Content:
    live = held.live
    first = live.subjects[0].stream
    return {
        "watch": held.name,
        "kind": live.kind,
        "exchange": first.exchange,
        "timeframe": live.timeframe,
        "simulated": first.simulated,
    }


def _summed_up(held: Held) -> _Summary:
    held.live.look()
    conditions = [Condition(**doing(one)) for one in held.live.subjects]
    unread, dropped = held.behind()
    return _Summary(
        **_named(held),
        pairs=tuple(one.pair for one in conditions),
        state=max((one.state for one in conditions), key=get_args(Doing).index),
        age_ms=max((one.age_ms for one in conditions if one.age_ms is not None), default=None),
        unread=unread,
        dropped=dropped,
        idle_seconds=round(held.idle),
        stops_at=held.stops_at,
    )
