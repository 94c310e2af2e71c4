"""One pair on several exchanges, compared."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from marketdata._aggregation.asking import Answer, Ask, ask_each, name_of, pairs_of
from marketdata._candles.tickers import ticker_over
from marketdata.models.aggregates import Best, Comparison, ComparisonRow
from marketdata.models.decimals import EXACT, basis_points, difference, exact, mean

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata.models import Ticker

_OF_TICKERS = {"last", "bid", "bidVolume", "ask", "askVolume", "baseVolume"}
"""Fields of a row that come from the ticker, by JSON name."""


async def compare(
    ask: Ask, pair: str, exchanges: Sequence[str], quotes: Sequence[str] | None
) -> Comparison:
    """Request all exchanges and compare them; see `AsyncClient.compare`."""
    answers = await ask_each(ask, exchanges, pairs_of(pair, quotes), _check, _ticker)
    return compared(pair, answers, datetime.now(UTC))


async def _check(venue: Venue) -> None:
    venue.check("ticker")


async def _ticker(venue: Venue, pair: str) -> Ticker:
    return await ticker_over(venue, pair, "24h")


def compared(pair: str, answers: Sequence[Answer[Ticker]], now: datetime) -> Comparison:
    """Compare answers received until a time."""
    given = [one.given for one in answers if one.given is not None]
    rows = tuple(_row(one, now) for one in answers)
    bids = [_best(row, row.bid, row.bid_volume) for row in rows if row.bid is not None]
    asks = [_best(row, row.ask, row.ask_volume) for row in rows if row.ask is not None]
    best_bid = max(bids, key=lambda one: one.price, default=None)
    best_ask = min(asks, key=lambda one: one.price, default=None)
    spread, in_points = None, None
    if best_bid is not None and best_ask is not None:
        spread, in_points = _spread(best_bid.price, best_ask.price)
    unknown = dict.fromkeys(
        row.exchange
        for row in rows
        if row.fee is None and not (row.bid is None and row.ask is None)
    )
    return Comparison(
        pair=name_of(pair, answers),
        timestamp=min((one.timestamp for one in given), default=now),
        received_at=now,
        simulated=True if any(one.simulated for one in given) else None,
        best_bid=best_bid,
        best_ask=best_ask,
        spread=spread,
        spread_bps=in_points,
        crossed=None if spread is None else spread < 0,
        crossed_after_fees=_crossed_after_fees(rows),
        without_fees=tuple(unknown) or None,
        rows=rows,
    )


def _row(answer: Answer[Ticker], now: datetime) -> ComparisonRow:
    if answer.given is None:
        error = answer.error
        return ComparisonRow(
            exchange=answer.exchange,
            pair=answer.pair,
            code=None if error is None else error.code,
            message=None if error is None else error.message,
        )
    ticker = answer.given
    spread, in_points = _spread(ticker.bid, ticker.ask)
    derived = tuple(name for name in ticker.derived_fields or () if name in _OF_TICKERS)
    return ComparisonRow(
        exchange=answer.exchange,
        pair=answer.pair,
        last=ticker.last,
        bid=ticker.bid,
        bid_volume=ticker.bid_volume,
        ask=ticker.ask,
        ask_volume=ticker.ask_volume,
        spread=spread,
        spread_bps=in_points,
        base_volume=ticker.base_volume,
        fee=answer.fee,
        timestamp=ticker.timestamp,
        age=round((now - ticker.received_at).total_seconds(), 3),
        latency_ms=answer.latency_ms,
        derived=True if derived else None,
        derived_fields=derived or None,
    )


def _spread(bid: float | None, ask: float | None) -> tuple[float | None, float | None]:
    """Return ask minus bid, also in basis points of mid.

    The relative quoted spread: Foucault, Pagano and Roell, Market Liquidity, chapter 2.
    """
    if bid is None or ask is None:
        return None, None
    spread = difference(ask, bid)
    return spread, basis_points(exact(spread), exact(mean(bid, ask)), bid, ask)


def _best(row: ComparisonRow, price: float, size: float | None) -> Best:
    return Best(exchange=row.exchange, pair=row.pair, price=price, size=size)


def _crossed_after_fees(rows: Sequence[ComparisonRow]) -> bool | None:
    bids = [
        EXACT.multiply(exact(row.bid), EXACT.subtract(1, exact(row.fee)))
        for row in rows
        if row.bid is not None and row.fee is not None
    ]
    asks = [
        EXACT.multiply(exact(row.ask), EXACT.add(1, exact(row.fee)))
        for row in rows
        if row.ask is not None and row.fee is not None
    ]
    return max(bids) > min(asks) if bids and asks else None
