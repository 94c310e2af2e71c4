"""What any simulated market can answer, whether its prices are made up or recorded."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from itertools import pairwise

from marketdata.sim.markets.bars import DAY, HOUR, Bar, Grid, Trade, merged, of_trades, quiet
from marketdata.sim.markets.levels import SLOT, Book, Changes, Levels, Row, State
from marketdata.sim.markets.listings import Listing

_PLACES = 70_000
"""Prices at which orders rest between nothing and the usual price."""


class Market(ABC):
    """One pair on one exchange, at any moment of its history.

    ``price_scale`` and ``amount_scale`` are the decimals of a tick and of a lot, ``usual_lots``
    what a usual trade amounts to, ``usual_price`` about what it is made at, in ticks. ``levels``
    are the candle lengths that are at hand without aggregation, longest first; the shortest is the
    block in which trades are made. ``first`` and ``last`` bound the history: Unix milliseconds,
    the second exclusive, None for a market that still trades. ``fills`` says
    that an exchange which sends candles without trades does so here; ``ticks`` that candles shorter
    than a block can be made of the trades.
    """

    listing: Listing
    usual_lots: int
    usual_price: int
    price_scale: int
    amount_scale: int
    levels: tuple[int, ...]
    first: int
    last: int | None
    fills: bool
    ticks: bool
    _shown: tuple[State | None, int, list[Row], list[Row]] = (None, 0, [], [])

    @abstractmethod
    def level(self, step: int, start: int, stop: int) -> list[Bar]:
        """Return the candles of length ``step`` that begin in [start, stop) and are not empty."""

    @abstractmethod
    def block_trades(self, block: Bar) -> list[Trade]:
        """Return the trades of a candle of the shortest level, oldest first."""

    @abstractmethod
    def block_of(self, trade_id: int) -> int:
        """Return the start of the block of the first trade whose id is at least ``trade_id``.

        That is the end of the history when there is no such trade.
        """

    @abstractmethod
    def dice(self, *key: int) -> random.Random:
        """Return random numbers that depend on the market and ``key`` only."""

    def aggregate_of(self, trade_id: int) -> int:
        """Return the id of the aggregate trade that a trade belongs to."""
        return trade_id

    def first_of_aggregate(self, aggregate_id: int) -> int:
        """Return the id of the first trade of an aggregate trade."""
        return aggregate_id

    @property
    def block(self) -> int:
        """The length of the shortest candle that is at hand."""
        return self.levels[-1]

    def end(self, now: int) -> int:
        """Return the first millisecond that has not been traded at ``now``."""
        return now + 1 if self.last is None else min(now + 1, self.last)

    def bars(self, grid: Grid, start: int, stop: int, now: int) -> list[Bar]:
        """Return the candles of ``grid`` that begin in [start, stop), oldest first.

        Candles without trades are left out. The one that ``now`` falls into holds what was traded
        up to and including ``now``. Empty when the grid is finer than the market's records.
        """
        start = grid.ceil(max(start, grid.floor(self.first)))
        end = self.end(now)
        if stop <= start or end <= start:
            return []
        stop = min(grid.ceil(stop), grid.after(grid.floor(end - 1)))
        step = next((s for s in self.levels if _divides(s, grid)), None)
        if step is None:
            if grid.step >= self.block or not self.ticks:
                return []
            return grid.group(
                of_trades(trade.ms, [trade]) for trade in self._trades(start, min(stop, end))
            )
        whole = max(start, end - (end - grid.offset) % step)
        pieces = self.level(step, start, min(stop, whole))
        if stop > whole:
            pieces += self._pieces(whole, end)
        if step == grid.step and grid.floor(whole) == whole:
            closed = [bar for bar in pieces if bar.start < whole]
            return closed + grid.group(pieces[len(closed) :])
        return grid.group(pieces)

    def grid_bars(self, grid: Grid, start: int, stop: int, now: int) -> list[Bar]:
        """Return the same candles as ``bars``, those without trades included."""
        present = self.bars(grid, start, stop, now)
        if not self.fills:
            return present
        begin = grid.ceil(max(start, grid.floor(self.first)))
        stop = min(stop, self.end(now))
        previous = self.last_trade(begin - 1)
        if previous is None and present:
            begin = present[0].start
        price, next_id = (previous.price, previous.id + 1) if previous else (0, 0)
        if previous is None and not present:
            return []
        result: list[Bar] = []
        for bar in present:
            while begin < bar.start:
                result.append(quiet(begin, price, next_id))
                begin = grid.after(begin)
            result.append(bar)
            price, next_id = bar.close, bar.last_id + 1
            begin = grid.after(bar.start)
        while begin < stop:
            result.append(quiet(begin, price, next_id))
            begin = grid.after(begin)
        return result

    def oldest(
        self, grid: Grid, count: int, start: int, stop: int, now: int, *, filled: bool
    ) -> list[Bar]:
        """Return the first ``count`` candles that begin in [start, stop), oldest first.

        ``filled`` includes those without trades where the market has them (`grid_bars`).
        """
        find = self.grid_bars if filled else self.bars
        stop = min(stop, self.end(now))
        if stop <= start:
            return []
        start = grid.ceil(max(start, grid.floor(self.first)))
        reach = count
        while True:
            until = grid.after(start, reach)
            bars = find(grid, start, min(until, stop), now)
            if len(bars) >= count or until >= stop:
                return bars[:count]
            reach *= 2

    def newest(
        self, grid: Grid, count: int, start: int, stop: int, now: int, *, filled: bool
    ) -> list[Bar]:
        """Return the last ``count`` candles that begin in [start, stop), oldest first.

        ``filled`` includes those without trades where the market has them (`grid_bars`).
        """
        find = self.grid_bars if filled else self.bars
        start = max(start, grid.floor(self.first))
        stop = min(stop, self.end(now))
        if stop <= start:
            return []
        end = grid.floor(stop - 1)
        reach = count
        while True:
            since = grid.after(end, 1 - reach)
            bars = find(grid, max(start, since), stop, now)
            if len(bars) >= count or since <= start:
                return bars[-count:]
            reach *= 2

    def window(self, start: int, now: int) -> Bar | None:
        """Return all that was traded from ``start`` to ``now``, both included, as one candle.

        A window without trades stands at the last price before it; None when there is none.
        """
        pieces = self._pieces(max(start, self.first), self.end(now))
        if pieces:
            return merged(start, pieces)
        before = self.last_trade(now)
        return quiet(start, before.price, before.id + 1) if before else None

    def last_trade(self, now: int) -> Trade | None:
        """Return the newest trade at ``now``, or None before the first one."""
        return next(self.backwards(now), None)

    def backwards(self, now: int) -> Iterator[Trade]:
        """Yield the trades up to and including ``now``, newest first."""
        end = self.end(now)
        for block in self._blocks_backwards(end):
            for trade in reversed(self.block_trades(block)):
                if trade.ms < end:
                    yield trade

    def forwards(self, now: int, *, ms: int | None = None, trade_id: int = 0) -> Iterator[Trade]:
        """Yield the trades up to and including ``now``, oldest first.

        They begin at ``ms`` (Unix milliseconds) or, without it, at ``trade_id``, both included.
        """
        end = self.end(now)
        if ms is not None:
            yield from self._trades(max(ms, self.first), end)
            return
        for trade in self._trades(self.block_of(trade_id), end):
            if trade.id >= trade_id:
                yield trade

    def book(self, now: int, depth: int) -> Book | None:
        """Return up to ``depth`` rows a side at ``now``; None before the first trade.

        The best bid and ask enclose the last price.
        """
        state = self.book_state(now)
        if state is None:
            return None
        shown, most, bids, asks = self._shown
        if shown != state or most < depth:
            bids, asks = self._book.bids(state, depth), self._book.asks(state, depth)
            self._shown = state, depth, bids, asks
        return Book(state.sequence, now, bids[:depth], asks[:depth])

    def book_state(self, now: int) -> State | None:
        """Return what the book at ``now`` follows from; None before the first trade."""
        last = self.last_trade(now)
        return None if last is None else self._after(last, self.end(now) - 1)

    def book_states(self, start: int, stop: int) -> list[tuple[int, State]]:
        """Return every state of the book from ``start`` to ``stop`` and when it began.

        The first is the one that is there at ``start``.
        """
        last = self.last_trade(start)
        states = [] if last is None else [(start, self._after(last, self.end(start) - 1))]
        end = self.end(stop)
        trades = {trade.ms: trade for trade in self.forwards(stop, ms=start + 1)}
        slots = range(start - start % SLOT + SLOT, end, SLOT)
        for ms in sorted({*trades, *slots}):
            last = trades.get(ms, last)
            if last is not None:
                states.append((ms, self._after(last, ms)))
        return states

    def quotes(self, start: int, stop: int) -> list[tuple[int, State]]:
        """Return the states after ``start`` until ``stop`` in which the best prices are new."""
        return [
            (ms, state)
            for (_, before), (ms, state) in pairwise(self.book_states(start, stop))
            if (before.bid, before.ask) != (state.bid, state.ask)
        ]

    def book_changes(self, start: int, stop: int) -> Changes | None:
        """Return what changed in the book after ``start`` until ``stop``, if anything."""
        states = [state for _, state in self.book_states(start, stop)]
        return self._book.changes(states) if len(states) > 1 else None

    @cached_property
    def _book(self) -> Levels:
        key = self.dice(8).getrandbits(64)
        return Levels(key, max(1, self.usual_price // _PLACES), self.usual_lots)

    def _after(self, trade: Trade, ms: int) -> State:
        return self._book.state(trade, ms // SLOT, self.first // SLOT)

    def _trades(self, start: int, end: int) -> Iterator[Trade]:
        for block in self._blocks(start - start % self.block, end):
            for trade in self.block_trades(block):
                if start <= trade.ms < end:
                    yield trade

    def _blocks(self, start: int, end: int) -> Iterator[Bar]:
        span = max(HOUR, self.block)
        while start < end:
            stop = min(start - start % span + span, end)
            yield from self.level(self.block, start, stop)
            start = stop

    def _blocks_backwards(self, end: int) -> Iterator[Bar]:
        span = max(HOUR, self.block)
        while end > self.first:
            start = (end - 1) - (end - 1) % span
            yield from reversed(self.level(self.block, start, end))
            end = start

    def _pieces(self, start: int, end: int, depth: int = 0) -> list[Bar]:
        if start >= end:
            return []
        if depth == len(self.levels):
            trades = list(self._trades(start, end))
            return [of_trades(start, trades)] if trades else []
        step = self.levels[depth]
        low = start + -start % step
        high = end - end % step
        if low >= high:
            return self._pieces(start, end, depth + 1)
        return [
            *self._pieces(start, low, depth + 1),
            *self.level(step, low, high),
            *self._pieces(high, end, depth + 1),
        ]


def between(bars: list[Bar], start: int, stop: int) -> list[Bar]:
    """Return those of ``bars``, oldest first, that begin in [start, stop)."""
    low = bisect_left(bars, start, key=_start)
    high = bisect_left(bars, stop, key=_start)
    return bars[low:high]


def _start(bar: Bar) -> int:
    return bar.start


def _divides(step: int, grid: Grid) -> bool:
    if grid.months:
        return DAY % step == 0 and grid.offset % step == 0
    return grid.step % step == 0 and grid.offset % step == 0
