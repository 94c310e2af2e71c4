"""The order book of a simulated market: what rests at which price, at any moment.

Prices are divided into places of equal width. Each has one price at which orders rest, and what
rests there is made anew once in every `_ROUND` slots of a tenth of a second, at a time of its own.
So a few dozen places change from one slot to the next, and which ones is known without looking at
the others. Around the last price the book reaches `_REACH` places to both sides; its best bid and
ask follow from the last trade.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from marketdata.sim.markets.bars import Trade
from marketdata.sim.markets.prices import mixed, unit

SLOT = 100
"""Milliseconds after which the book changes without a trade."""

STEP = 100_000
"""What the sequence rises by from one slot to the next, besides one for each trade."""

_ROUND = 256
_STRIDE = 101
_STRIDE_BACK = pow(_STRIDE, -1, _ROUND)
_REACH = 6_000
_TOUCH_SLOTS = 3
_NARROWEST = 0.00005
"""The spread as a part of the price, at least: more than simulated exchanges are apart."""
_MASK = (1 << 64) - 1
_FIRST, _SECOND = 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_UNIT = 1 / (1 << 53)

Row = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Book:
    """An order book: rows of (price in ticks, size in lots), best first, and its sequence."""

    sequence: int
    ms: int
    bids: list[Row]
    asks: list[Row]


class State(NamedTuple):
    """A book at one moment, told by what all its rows follow from."""

    sequence: int
    slot: int
    middle: int
    bid: Row
    ask: Row


class Changes(NamedTuple):
    """The rows that became others on the way from one state to a later one, worst last.

    ``first`` and ``last`` are the sequences of the first and the last change; a size is 0 where
    nothing is left. A row that changed and changed back is among them.
    """

    first: int
    last: int
    bids: list[Row]
    asks: list[Row]


class Levels:
    """The book of one market: ``spacing`` is the width of a place, ``usual`` a usual trade."""

    def __init__(self, key: int, spacing: int, usual: int) -> None:
        self._key = key
        self._spacing = spacing
        self._size = max(4, usual)

    def state(self, trade: Trade, slot: int, since: int) -> State:
        """Return the book after ``trade`` in ``slot``, ``since`` being the market's first slot."""
        price, key = trade.price, self._key
        spread = 1 + int(price * (_NARROWEST + 0.00015 * unit(key, 8, trade.id) ** 3))
        turn = slot // _TOUCH_SLOTS
        return State(
            (slot - since) * STEP + trade.id + 1,
            slot,
            price // self._spacing,
            (price - spread if trade.buy else price, self._amount(mixed(key, 9, trade.id, turn))),
            (price if trade.buy else price + spread, self._amount(mixed(key, 10, trade.id, turn))),
        )

    def bids(self, state: State, depth: int) -> list[Row]:
        """Return up to ``depth`` bids, the highest first."""
        best = state.bid[0]
        if best < 1:
            return []
        bottom = max(0, state.middle - _REACH)
        places = range(best // self._spacing, bottom - 1, -1)
        return [state.bid, *self._rows(state.slot, places, depth - 1, 0, best)]

    def asks(self, state: State, depth: int) -> list[Row]:
        """Return up to ``depth`` asks, the lowest first."""
        best = state.ask[0]
        places = range(best // self._spacing, state.middle + _REACH + 1)
        return [state.ask, *self._rows(state.slot, places, depth - 1, best, None)]

    def changes(self, states: Iterable[State]) -> Changes:
        """Return what changed from the first of ``states`` through all others to the last."""
        bids: set[int] = set()
        asks: set[int] = set()
        before: State | None = None
        first = 0
        for state in states:
            if before is None:
                first = state.sequence + 1
            else:
                places = set(self._renewed(before, state))
                for sign, touched in ((-1, bids), (1, asks)):
                    for price in self._suspects(before, state, sign, places):
                        if self._at(before, sign, price) != self._at(state, sign, price):
                            touched.add(price)
            before = state
        if before is None:
            raise ValueError("there is no state before the changes")
        return Changes(
            first,
            before.sequence,
            [(price, self._at(before, -1, price)) for price in sorted(bids, reverse=True)],
            [(price, self._at(before, 1, price)) for price in sorted(asks)],
        )

    def _rows(
        self, slot: int, places: Iterable[int], count: int, above: int, below: int | None
    ) -> list[Row]:
        """Return the first ``count`` rows of ``places`` with prices between two others."""
        rows: list[Row] = []
        if count < 1:
            return rows
        key, spacing, usual = self._key, self._spacing, self._size
        for place in places:
            # `_resting` and `_price`, without the calls, which take as long as all the rest.
            bits = (key + (place << 40) + (slot + place * _STRIDE) // _ROUND) * _FIRST & _MASK
            bits = ((bits ^ (bits >> 29)) * _SECOND) & _MASK
            bits ^= bits >> 32
            if not bits & 7:
                continue
            price = place
            if spacing > 1:
                at = (key + place) * _FIRST & _MASK
                at = ((at ^ (at >> 29)) * _SECOND) & _MASK
                price = place * spacing + (at ^ (at >> 32)) % spacing
            if price > above and (below is None or price < below):
                share = (bits >> 11) * _UNIT
                rows.append((price, 1 + int(usual * (0.1 + 4 * share * share))))
                if len(rows) == count:
                    break
        return rows

    def _price(self, place: int) -> int:
        spacing = self._spacing
        return place * spacing + _scattered(self._key + place) % spacing

    def _resting(self, place: int, slot: int) -> int:
        bits = _scattered(self._key + (place << 40) + ((slot + place * _STRIDE) // _ROUND))
        return self._amount(bits) if bits & 7 else 0

    def _amount(self, bits: int) -> int:
        share = (bits >> 11) * _UNIT
        return 1 + int(self._size * (0.1 + 4 * share * share))

    def _at(self, state: State, sign: int, price: int) -> int:
        """Return what rests at ``price`` on the side of the bids (-1) or the asks (1)."""
        best, size = state.bid if sign < 0 else state.ask
        if price == best:
            return size if best > 0 else 0
        place = price // self._spacing
        if (price - best) * sign < 0 or price < 1 or (place - state.middle) * sign > _REACH:
            return 0
        return self._resting(place, state.slot) if self._price(place) == price else 0

    def _renewed(self, before: State, after: State) -> Iterator[int]:
        """Yield the places that were made anew between two states."""
        low = max(0, min(before.middle, after.middle) - _REACH)
        high = max(before.middle, after.middle) + _REACH
        if after.slot - before.slot >= _ROUND:
            yield from range(low, high + 1)
            return
        for slot in range(before.slot + 1, after.slot + 1):
            due = -slot * _STRIDE_BACK
            yield from range(low + (due - low) % _ROUND, high + 1, _ROUND)

    def _suspects(self, before: State, after: State, sign: int, places: set[int]) -> set[int]:
        """Return the prices of one side that may have changed."""
        spacing = self._spacing
        ends = (before.bid[0], after.bid[0]) if sign < 0 else (before.ask[0], after.ask[0])
        near = range(max(0, min(ends) // spacing), max(ends) // spacing + 1)
        edges = [state.middle + sign * _REACH for state in (before, after)]
        far = range(max(0, min(edges)), max(edges) + 1)
        found = {self._price(place) for part in (places, near, far) for place in part}
        return found.union(ends) if before[1:] != after[1:] else found


def _scattered(number: int) -> int:
    """Return 64 bits that depend on ``number``; one round, as a book asks for thousands."""
    state = (number * _FIRST) & _MASK
    state ^= state >> 29
    state = (state * _SECOND) & _MASK
    return state ^ (state >> 32)
