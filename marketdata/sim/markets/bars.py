"""Candles, trades and the grids that candles stand on, in integers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NamedTuple

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# 1970-01-05, the first Monday: weeks that begin on Mondays are counted from here.
MONDAY = 4 * DAY


class Trade(NamedTuple):
    """One execution.

    ``price`` is in ticks and ``amount`` in lots of the market; ``nanos`` is Unix time in
    nanoseconds, strictly rising with ``id``; ``buy`` says that the taker bought.
    """

    id: int
    nanos: int
    price: int
    amount: int
    buy: bool

    @property
    def ms(self) -> int:
        """Unix milliseconds."""
        return self.nanos // 1_000_000


class Bar(NamedTuple):
    """What was traded from ``start`` (Unix milliseconds) on.

    Prices are in ticks, ``volume`` in lots, ``quote`` in ticks times lots; ``trades`` is their
    number. ``first_id`` is the id
    of the first trade inside; of an empty candle it is the id that the next trade will carry.
    """

    start: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote: int
    trades: int
    first_id: int
    last_id: int


def merged(start: int, bars: list[Bar]) -> Bar:
    """Return the candle that begins at ``start`` and holds all of ``bars``, which are not empty."""
    first, last = bars[0], bars[-1]
    if len(bars) == 1:
        return first if first.start == start else first._replace(start=start)
    return Bar(
        start,
        first.open,
        max([bar.high for bar in bars]),
        min([bar.low for bar in bars]),
        last.close,
        sum([bar.volume for bar in bars]),
        sum([bar.quote for bar in bars]),
        sum([bar.trades for bar in bars]),
        first.first_id,
        last.last_id,
    )


def of_trades(start: int, trades: list[Trade]) -> Bar:
    """Return the candle that begins at ``start`` and holds ``trades``, at least one."""
    prices = [trade.price for trade in trades]
    return Bar(
        start,
        prices[0],
        max(prices),
        min(prices),
        prices[-1],
        sum([trade.amount for trade in trades]),
        sum([trade.price * trade.amount for trade in trades]),
        len(trades),
        trades[0].id,
        trades[-1].id,
    )


def quiet(start: int, price: int, next_id: int) -> Bar:
    """Return a candle in which nothing was traded and the price stood at ``price``."""
    return Bar(start, price, price, price, price, 0, 0, 0, next_id, next_id - 1)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where the candles of one timeframe begin.

    Either ``step`` milliseconds apart, counted from ``offset``, or ``months`` calendar months
    apart (UTC, shifted by ``offset``), in which case ``step`` is the shortest such span.
    """

    step: int
    offset: int = 0
    months: int = 0

    def floor(self, ms: int) -> int:
        """Return the start of the candle that ``ms`` falls into."""
        if not self.months:
            return ms - (ms - self.offset) % self.step
        month = self._month(ms)
        return self._begin(month - month % self.months)

    def after(self, start: int, count: int = 1) -> int:
        """Return the start of the candle ``count`` places after the one at ``start``.

        A negative ``count`` goes back.
        """
        if not self.months:
            return start + count * self.step
        return self._begin(self._month(start) + count * self.months)

    def ceil(self, ms: int) -> int:
        """Return the first start at or after ``ms``."""
        start = self.floor(ms)
        return start if start == ms else self.after(start)

    def group(self, bars: Iterable[Bar]) -> list[Bar]:
        """Merge finer candles, oldest first, into candles of this grid; empty ones are left out."""
        result: list[Bar] = []
        inside: list[Bar] = []
        start = end = 0
        for bar in bars:
            if bar.start >= end:
                if inside:
                    result.append(merged(start, inside))
                start = self.floor(bar.start)
                end = self.after(start)
                inside = [bar]
            else:
                inside.append(bar)
        if inside:
            result.append(merged(start, inside))
        return result

    def _month(self, ms: int) -> int:
        moment = datetime.fromtimestamp((ms - self.offset) / 1000, UTC)
        return moment.year * 12 + moment.month - 1

    def _begin(self, month: int) -> int:
        moment = datetime(month // 12, month % 12 + 1, 1, tzinfo=UTC)
        return int(moment.timestamp()) * 1000 + self.offset


def months(count: int, offset: int = 0) -> Grid:
    """Return the grid of candles that last ``count`` calendar months."""
    return Grid(28 * count * DAY, offset, count)
