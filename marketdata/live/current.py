"""The current state of a subject: from a running stream, or from a call."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from marketdata.live.watch import LiveWatch
from marketdata.models import Record, StreamKind, Trade
from marketdata.models.newest import Bars, Row, Series, State, Tape, shortened, trade_row

if TYPE_CHECKING:
    from marketdata._client.asynchronous import AsyncClient

__all__ = ["BARS", "LEVELS", "TRADES", "Subject", "current"]

LEVELS = 20
"""Levels per side of an order book."""
BARS = 100
"""Newest candles."""
TRADES = 50
"""Newest trades."""


class Subject(NamedTuple):
    """A subject that can be watched."""

    kind: StreamKind
    exchange: str
    pair: str
    timeframe: str | None = None

    def of(self, live: LiveWatch) -> State | None:
        """Return it from the subjects of a watch, if the watch has enough of it."""
        if (live.kind, live.timeframe) == (self.kind, self.timeframe) and (
            live.depth is None or live.depth >= LEVELS
        ):
            for state in live.subjects:
                if (state.stream.exchange, state.stream.pair) == (self.exchange, self.pair):
                    return state
        return None


class _LastTrades(Record):
    exchange: str
    pair: str
    simulated: Literal[True] | None = None
    trades: list[Any]
    """Rows of time in Unix milliseconds, price, amount, side and id, oldest first."""


async def current(client: AsyncClient, lives: Iterable[LiveWatch], subject: Subject) -> Record:
    """Return the current state of a subject, from one of some watches or by a call.

    Raises the errors of the call.
    """
    for live in lives:
        state = subject.of(live)
        if state is not None and state.newest is not None:
            live.look()
            # While the stream is interrupted, a call can still succeed.
            if not state.is_stale:
                return await _streamed(client, subject, state)
    answered = await _called(client, subject)
    if isinstance(answered, Record):
        return answered
    return _last(subject, answered, [trade_row(one) for one in answered])


async def _called(client: AsyncClient, subject: Subject) -> Record | list[Trade]:
    exchange = subject.exchange
    match subject.kind:
        case "ticker":
            return await client.ticker(subject.pair, exchange=exchange)
        case "quote":
            return await client.quote(subject.pair, exchange=exchange)
        case "orderbook":
            return await client.orderbook(subject.pair, LEVELS, exchange=exchange)
        case "candles":
            length = str(subject.timeframe)
            return await client.candles(subject.pair, length, limit=BARS, exchange=exchange)
    return await client.trades(subject.pair, limit=TRADES, exchange=exchange)


async def _streamed(client: AsyncClient, subject: Subject, state: State) -> Record:
    newest: Any = state.newest
    if isinstance(state, Series) and state.past_of != state.stream.reconnects:
        # Data from before the stream began, or while it was interrupted.
        state.past = await _called(client, subject)
        state.past_of = state.stream.reconnects
    if isinstance(state, Tape):
        came = [row for _, row in state.kept][-TRADES:]
        rows = [*map(trade_row, state.past), *came]
        found = {_identity(row): row for row in rows}
        return _last(subject, [newest], sorted(found.values(), key=itemgetter(0))[-TRADES:])
    if isinstance(state, Bars):
        newest = state.candles(BARS)
    return shortened(newest, LEVELS)


def _identity(trade: Row) -> Any:
    return trade[4] if trade[4] is not None else tuple(trade)


def _last(subject: Subject, trades: Sequence[Trade], rows: list[Row]) -> Record:
    return _LastTrades(
        exchange=subject.exchange,
        pair=subject.pair,
        simulated=True if any(one.simulated for one in trades) else None,
        trades=rows,
    )
