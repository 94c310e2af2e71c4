"""The tools for live data: start a watch, read it again and again, stop it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge, Le, MaxLen

from marketdata.arguments import Described, ExchangeId, PairName, PairNames, timeframe
from marketdata.errors import InvalidParameterError, MissingParameterError
from marketdata.live import News, State
from marketdata.models import Candles, OrderBook, Quote, Record, StreamKind, Ticker
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.catalogue.schemas import outward
from marketdata_mcp.live.watches import MAX_SUBJECTS, Held
from marketdata_mcp.tools import ServerTool, Tool

if TYPE_CHECKING:
    from marketdata_mcp.ask import Caller
    from marketdata_mcp.served import Served

__all__ = ["WATCH_TOOLS"]

_DEPTH = 20
_TIMEFRAME = "1m"
_STATES = ("live", "connecting", "resyncing", "stale", "reconnecting", "ended", "failed")
"""How a stream can be doing, the worst last."""
_ELSEWHERE = frozenset(
    ("exchange", "pair", "window", "source", "receivedAt", "freshFor", "stale", "simulated")
)
"""Fields of a record that stand beside it, or that a watch always has the same."""

# ---------------------------------------------------------------------------- the tools


async def _start(served: Served, caller: Caller, asked: Content) -> Answer:
    kind: StreamKind = asked["kind"]
    _check_goes_with(kind, "depth", asked["depth"], "orderbook")
    _check_goes_with(kind, "timeframe", asked["timeframe"], "candles")
    if asked["pair"] is None and asked["pairs"] is None:
        raise MissingParameterError(
            "watch_start needs 'pair', or 'pairs' for several.", details={"parameter": "pair"}
        )
    pairs = [*filter(None, [asked["pair"]]), *(asked["pairs"] or ())]
    held = await served.watches.start(
        served.client,
        caller.account,
        kind,
        list(dict.fromkeys(pairs)),
        exchange=asked["exchange"],
        depth=asked["depth"] or _DEPTH,
        timeframe=asked["timeframe"] or _TIMEFRAME,
    )
    held.live.look()
    content = {
        **_named(held),
        "stopsAt": _moment(held),
        "next": {"cursor": held.note(held.had)},
        "subjects": [_doing(subject) for subject in held.live.subjects],
    }
    return content, answers.compact(content)


def _check_goes_with(kind: str, name: str, value: object, only: str) -> None:
    if value is not None and kind != only:
        raise InvalidParameterError(
            f"{name} goes with kind={only}; kind was {kind}.", details={"parameter": name}
        )


async def _read(served: Served, caller: Caller, asked: Content) -> Answer:
    seconds = float(asked["timeout"]) if asked["wait"] else None
    held, positions, timed_out = await served.watches.read(
        caller.account, asked["watch"], asked["cursor"], seconds
    )
    depth = held.live.depth
    last: list[News] = []

    def build(count: int) -> Content:
        last[:] = held.live.news(positions, count if depth is None else 0)
        cursor = ".".join(str(news.position) for news in last)
        cut = depth is not None and count < depth
        return {
            **_named(held),
            **({"timedOut": True} if timed_out else {}),
            **({"note": f"First {count} of {depth} levels a side."} if cut else {}),
            "next": {"cursor": cursor},
            "subjects": [_told(held, news, count) for news in last],
        }

    answer = answers.fitted(build, asked["limit"] if depth is None else depth)
    held.note([news.position for news in last])
    return answer


async def _stop(served: Served, caller: Caller, asked: Content) -> Answer:
    await served.watches.stop(caller.account, asked["watch"])
    content = {"watch": asked["watch"], "stopped": True}
    return content, answers.compact(content)


async def _list(served: Served, caller: Caller, _: Content) -> Answer:
    watches = [_summed_up(held) for held in served.watches.of(caller.account)]
    content = {"watches": watches}
    return content, answers.compact(content)


# ---------------------------------------------------------------------------- what they say


def _named(held: Held) -> Content:
    live = held.live
    first = live.subjects[0].stream
    length = {} if live.timeframe is None else {"timeframe": live.timeframe}
    simulated = {"simulated": True} if first.simulated else {}
    return {
        "watch": held.name,
        "kind": live.kind,
        "exchange": first.exchange,
        **length,
        **simulated,
    }


def _doing(subject: State) -> Content:
    age = {} if subject.newest is None else {"ageMs": round(subject.newest.age * 1000)}
    return {
        "pair": subject.stream.pair,
        "state": subject.stream.state,
        **age,
        "stale": subject.is_stale,
    }


def _told(held: Held, news: News, count: int) -> Content:
    subject = news.subject
    return {
        **_doing(subject),
        "updates": news.updates,
        "unread": news.unread,
        "dropped": news.dropped,
        "gaps": subject.stream.gaps,
        **_data(held.live.kind, subject.newest, news, count),
    }


def _data(kind: StreamKind, newest: Record | None, news: News, count: int) -> Content:
    if kind in ("trades", "candles"):
        return {kind: news.rows}
    if newest is None:
        return {}
    if isinstance(newest, OrderBook):
        best = {"bids": newest.bids[:count], "asks": newest.asks[:count]}
        newest = newest.model_copy(update=best)
    record = newest.to_dict()
    return {kind: {name: value for name, value in record.items() if name not in _ELSEWHERE}}


def _summed_up(held: Held) -> Content:
    live = held.live
    live.look()
    behind = [one.behind(had) for one, had in zip(live.subjects, held.had, strict=True)]
    doing = [_doing(subject) for subject in live.subjects]
    ages = [one["ageMs"] for one in doing if "ageMs" in one]
    return {
        **_named(held),
        "pairs": [one["pair"] for one in doing],
        "state": max((one["state"] for one in doing), key=_STATES.index),
        **({"ageMs": max(ages)} if ages else {}),
        "unread": sum(unread for unread, _ in behind),
        "dropped": sum(dropped for _, dropped in behind),
        "idleSeconds": round(held.idle),
        "stopsAt": _moment(held),
    }


def _moment(held: Held) -> str:
    return held.stops_at.isoformat(timespec="seconds").replace("+00:00", "Z")


# ---------------------------------------------------------------------------- schemas

_TEXT: Content = {"type": "string"}
_COUNT: Content = {"type": "integer"}
_TRUE: Content = {"type": "boolean", "const": True}
_TIME: Content = {"type": "string", "format": "date-time"}
_NEXT: Content = {
    "type": "object",
    "properties": {"cursor": _TEXT},
    "required": ["cursor"],
    "description": "Arguments to change for what comes behind.",
}
_NAMED: Content = {
    "watch": _TEXT,
    "kind": _TEXT,
    "exchange": _TEXT,
    "timeframe": _TEXT,
    "simulated": _TRUE,
}
_DOING: Content = {
    "pair": _TEXT,
    "state": {"type": "string", "enum": list(_STATES)},
    "ageMs": _COUNT,
    "stale": {"type": "boolean"},
}


def _state_schema(kind: type[Record]) -> Content:
    schema: Content = outward(kind.json_schema())
    properties = {name: one for name, one in schema["properties"].items() if name not in _ELSEWHERE}
    return {"type": "object", "properties": properties}


def _subjects(more: Content) -> Content:
    properties = {**_DOING, **more}
    required = [name for name in properties if name in ("pair", "state", "stale", *_COUNTS)]
    row = {"type": "object", "properties": properties, "required": required}
    return {"type": "array", "items": row}


_COUNTS = ("updates", "unread", "dropped", "gaps")
_TOLD: Content = {
    **dict.fromkeys(_COUNTS, _COUNT),
    "ticker": _state_schema(Ticker),
    "quote": _state_schema(Quote),
    "orderbook": _state_schema(OrderBook),
    "candles": outward(Candles.json_schema())["properties"]["candles"],
    "trades": {
        "type": "array",
        "items": {
            "type": "array",
            "items": {"type": ["number", "string", "null"]},
            "minItems": 5,
            "maxItems": 5,
        },
    },
}

_Watch = Annotated[str, Described("Id from watch_start, e.g. w1.")]

WATCH_TOOLS: Mapping[str, Tool] = {
    tool.name: tool
    for tool in (
        ServerTool(
            "watch_start",
            "Start to watch pairs live: stream, follow, track, monitor or subscribe in real-time, "
            "continuously. Unread for 10 minutes it stops.",
            {
                "kind": (Annotated[StreamKind, Described("E.g. ticker.")], ...),
                "pair": (PairName | None, None),
                "pairs": (Annotated[PairNames, MaxLen(MAX_SUBJECTS)] | None, None),
                "exchange": (ExchangeId | None, None),
                "depth": (
                    Annotated[
                        int,
                        Ge(1),
                        Le(100),
                        Described(f"Of orderbook: levels a side, e.g. 5; else {_DEPTH}."),
                    ]
                    | None,
                    None,
                ),
                "timeframe": (
                    Annotated[
                        str,
                        Described(
                            f"Of candles: e.g. 5m; else {_TIMEFRAME}.",
                            parse=timeframe,
                            numbers_too=True,
                        ),
                    ]
                    | None,
                    None,
                ),
            },
            {**_NAMED, "stopsAt": _TIME, "next": _NEXT, "subjects": _subjects({})},
            ("watch", "kind", "exchange", "stopsAt", "next", "subjects"),
            _start,
            is_repeatable=False,
        ),
        ServerTool(
            "watch_read",
            "Read a watch: poll or wait for its next update, news since the last read: newest "
            "states, new trades [timeMs, price, amount, side, id] or candles; `unread` come next "
            "time.",
            {
                "watch": (_Watch, ...),
                "wait": (Annotated[bool, Described("Wait for news.")], False),
                "timeout": (
                    Annotated[int, Ge(1), Le(55), Described("Seconds to wait, e.g. 25.")],
                    25,
                ),
                "cursor": (
                    Annotated[str, Described("From a `next`, e.g. 17; else behind the last read.")]
                    | None,
                    None,
                ),
                "limit": (
                    Annotated[
                        int, Ge(1), Le(200), Described("Trades, or candles a pair, e.g. 50.")
                    ],
                    50,
                ),
            },
            {
                **_NAMED,
                "timedOut": _TRUE,
                "note": _TEXT,
                "next": _NEXT,
                "subjects": _subjects(_TOLD),
            },
            ("watch", "kind", "exchange", "next", "subjects"),
            _read,
        ),
        ServerTool(
            "watch_stop",
            "Stop a watch: end, cancel or unsubscribe from its stream, no more updates.",
            {"watch": (_Watch, ...)},
            {"watch": _TEXT, "stopped": _TRUE},
            ("watch", "stopped"),
            _stop,
        ),
        ServerTool(
            "watch_list",
            "List your watches: which watches are running (active, open), and their state.",
            {},
            {
                "watches": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            **_NAMED,
                            "pairs": {"type": "array", "items": _TEXT},
                            "state": _DOING["state"],
                            "ageMs": _COUNT,
                            "unread": _COUNT,
                            "dropped": _COUNT,
                            "idleSeconds": _COUNT,
                            "stopsAt": _TIME,
                        },
                        "required": ["watch", "kind", "exchange", "pairs", "state", "stopsAt"],
                    },
                }
            },
            ("watches",),
            _list,
        ),
    )
}
