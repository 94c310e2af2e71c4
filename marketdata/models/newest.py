"""The newest records of a watch: the newest state of each subject, or its last rows with losses.

Each subject counts its news. A reader's position is the number of news that it has read. So any
number of readers of any speed can each continue at their position, or read the same again.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import merge
from itertools import count, islice
from operator import itemgetter
from typing import Any, TypeAlias

from marketdata._arguments.times import instant
from marketdata.models import Candles, OrderBook, Record, Stream, Trade
from marketdata.models.columns import Columns

__all__ = ["Bars", "Newest", "Row", "Series", "State", "Tape", "shortened", "trade_row"]

Row: TypeAlias = Sequence[Any]

_INTERRUPTED = ("stale", "resyncing", "reconnecting", "ended", "failed")


def trade_row(trade: Trade) -> Row:
    """Return a trade as time in Unix milliseconds, price, amount, side and id."""
    return [int(instant(trade.timestamp)), trade.price, trade.amount, trade.side, trade.id]


def shortened(record: Record, levels: int) -> Record:
    """Return a record; an order book is cut to a number of levels per side."""
    if not isinstance(record, OrderBook):
        return record
    return record.model_copy(update={"bids": record.bids[:levels], "asks": record.asks[:levels]})


class State:
    """A subject of which only the newest state is kept."""

    stream: Stream
    """The last known state of its subscription; None before the first."""

    def __init__(self) -> None:
        self.newest: Any = None
        self.count = 0
        """The number of news so far."""

    @property
    def is_stale(self) -> bool:
        """Whether its newest state may be outdated."""
        newest = self.newest
        return newest is not None and (newest.is_stale or self.stream.state in _INTERRUPTED)

    def take(self, record: Any) -> None:
        """Take news."""
        self.newest = record
        self.count += 1

    def behind(self, position: int) -> tuple[int, int]:
        """Return the numbers of kept and of dropped news after a position."""
        return self.count - position, 0


class Series(State, ABC):
    """A subject of which the last rows are kept."""

    def __init__(self) -> None:
        super().__init__()
        self.past: Any = None
        """The data before the stream began or was interrupted, if a reader has requested it."""
        self.past_of = -1
        """The number of that interruption."""

    @abstractmethod
    def rows(self, position: int, most: int) -> list[tuple[int, Row]]:
        """Return the first rows after a position, each with a number for sorting."""

    @abstractmethod
    def after(self, position: int, taken: int) -> int:
        """Return the position of a reader after it has read a number of rows."""


class Tape(Series):
    """The trades of a pair, numbered in the order of arrival among all pairs."""

    def __init__(self, kept: int, numbers: Iterator[int], form: Callable[[Trade], Any]) -> None:
        """Keep a maximum number of converted trades, each with the next number."""
        super().__init__()
        self._numbers = numbers
        self._form = form
        self.kept: deque[tuple[int, Any]] = deque(maxlen=kept)

    @property
    def _first(self) -> int:
        return self.count - len(self.kept)

    def take(self, record: Trade) -> None:
        """Add a trade; if the buffer is full, the oldest is dropped."""
        super().take(record)
        self.kept.append((next(self._numbers), self._form(record)))

    def behind(self, position: int) -> tuple[int, int]:
        """Return the numbers of kept and of dropped trades after a position."""
        return self.count - max(position, self._first), max(0, self._first - position)

    def rows(self, position: int, most: int) -> list[tuple[int, Row]]:
        """Return the first trades after a position."""
        start = max(0, position - self._first)
        return list(islice(self.kept, start, start + most))

    def after(self, position: int, taken: int) -> int:
        """Return the position after a number of trades."""
        return max(position, self._first) + taken


class Bars(Series):
    """The candles of a pair, from the one that was open at the start; each change is news."""

    def __init__(self, kept: int) -> None:
        super().__init__()
        self._kept = kept
        self._bars: dict[int, tuple[int, Row]] = {}
        """The number of its last change and the candle, by open time; sorted by that number."""
        self._lost: deque[int] = deque(maxlen=kept)

    def take(self, record: Candles) -> None:
        """Add changed candles; if the buffer is full, the oldest is dropped."""
        self.newest = record
        for row in record.columns.rows():
            self.count += 1
            self._bars.pop(row[0], None)
            self._bars[row[0]] = (self.count, row)
            if len(self._bars) > self._kept:
                self._lost.append(self._bars.pop(next(iter(self._bars)))[0])

    def behind(self, position: int) -> tuple[int, int]:
        """Return the numbers of kept and of dropped changed candles after a position."""
        changed = sum(change > position for change, _ in self._bars.values())
        return changed, sum(change > position for change in self._lost)

    def rows(self, position: int, most: int) -> list[tuple[int, Row]]:
        """Return the first changed candles after a position; the newest one if none has changed."""
        changed = [one for one in self._bars.values() if one[0] > position]
        return (changed or list(self._bars.values())[-1:])[:most]

    def after(self, position: int, taken: int) -> int:
        """Return the number of the last change among a number of candles."""
        if taken >= self.behind(position)[0]:
            return self.count
        return self.rows(position, taken)[-1][0] if taken else position

    def candles(self, most: int) -> Candles | None:
        """Return the newest candles, including past ones; None before the first."""
        past: Candles | None = self.past
        whole: Candles | None = past if self.newest is None else self.newest
        if whole is None:
            return None
        before = () if past is None else past.columns.rows()
        found: dict[int, Row] = {row[0]: row for row in before}
        found |= {time: row for time, (_, row) in self._bars.items()}
        rows = sorted(found.values(), key=itemgetter(0))[-most:]
        missing = whole.missing if past is None else past.missing
        return whole.model_copy(update={"columns": Columns.from_rows(rows), "missing": missing})


class Newest:
    """The subjects of a watch with their newest records and states."""

    def __init__(self, kept: int, form: Callable[[Trade], Any] = lambda trade: trade) -> None:
        """Keep a maximum number of trades or candles of each subject; trades are converted."""
        self._kept = kept
        self._form = form
        self._numbers = count(1)
        self._states: dict[tuple[str, str], State] = {}

    @property
    def states(self) -> list[State]:
        """All subjects, in the order of their first appearance."""
        return list(self._states.values())

    def of(self, told: Record | Stream) -> State:
        """Return the subject of a record or of a stream."""
        # Records of a consolidated order book have no exchange.
        name = getattr(told, "exchange", ""), str(getattr(told, "pair", ""))
        if name not in self._states:
            self._states[name] = self._made(getattr(told, "kind", type(told).__name__))
        return self._states[name]

    def _made(self, kind: str) -> State:
        match kind:
            case "trades" | "Trade":
                return Tape(self._kept, self._numbers, self._form)
            case "candles" | "Candles":
                return Bars(self._kept)
        return State()

    def take(self, records: Iterable[Record]) -> None:
        """Add new records."""
        for record in records:
            self.of(record).take(record)

    def look(self, streams: Iterable[Stream], *, failed: bool = False) -> list[Stream]:
        """Update the states of subscriptions; missing ones have ended or failed.

        Returns the state of each subject.
        """
        told = {self.of(one): one for one in streams}
        over = {"state": "failed" if failed else "ended"}
        for state in self.states:
            state.stream = told.get(state) or state.stream.model_copy(update=over)
        return [state.stream for state in self.states]

    def trades(self, most: int) -> list[Any]:
        """Return the newest trades of all subjects, in the order of arrival."""
        kept = [state.kept for state in self.states if isinstance(state, Tape)]
        return [trade for _, trade in merge(*kept, key=itemgetter(0))][-most:]
