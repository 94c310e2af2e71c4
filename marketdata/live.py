"""Live data as somebody finds it who asks now and then: a watch, read in the background.

Each subject counts its news. How many of them a reader has had is its position, so any number of
readers, however slow, ask each from where it was, and may ask for the same again.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice
from typing import TYPE_CHECKING, Any, TypeAlias

from marketdata.arguments import instant
from marketdata.errors import InternalError, MarketDataError
from marketdata.models import Candles, Stream, StreamKind, Trade

if TYPE_CHECKING:
    from marketdata._client.asynchronous import AsyncClient

__all__ = ["LiveWatch", "News", "Row", "Series", "State", "trade_row"]

Row: TypeAlias = Sequence[Any]

_INTERRUPTED = ("stale", "resyncing", "reconnecting", "ended", "failed")
_BUFFER = 100_000
"""Trades that may come while the event loop is busy with something else."""

_logger = logging.getLogger(__name__)


def trade_row(trade: Trade) -> Row:
    """Return a trade as time in Unix milliseconds, price, amount, side and id."""
    return [int(instant(trade.timestamp)), trade.price, trade.amount, trade.side, trade.id]


class State:
    """A subject of which the newest state is of interest, and nothing before it."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream
        """How it was doing at the last look."""
        self.newest: Any = None
        self.count = 0
        """How many news there have been."""

    @property
    def is_stale(self) -> bool:
        """Whether its newest state may be an old one."""
        newest = self.newest
        return newest is not None and (newest.is_stale or self.stream.state in _INTERRUPTED)

    def take(self, record: Any) -> None:
        """Take news."""
        self.newest = record
        self.count += 1

    def behind(self, position: int) -> tuple[int, int]:
        """Count the news behind a position that are there, and those that are lost."""
        return self.count - position, 0


class Series(State, ABC):
    """A subject of which several rows are kept."""

    def __init__(self, stream: Stream, kept: int) -> None:
        super().__init__(stream)
        self.kept = kept
        self.before: Any = None
        """What was before the stream began or was interrupted, where somebody has asked for it."""
        self.before_of = -1
        """Which interruption that was."""

    @abstractmethod
    def rows(self, position: int, most: int) -> list[tuple[int, Row]]:
        """Return the first rows behind a position, each with a number to order it by."""

    @abstractmethod
    def after(self, position: int, taken: int) -> int:
        """Return the position of a reader that was at one and has got so many rows."""

    @abstractmethod
    def last(self, most: int) -> list[Row]:
        """Return the newest rows, oldest first."""


class Tape(Series):
    """The trades of a pair, numbered in the order in which those of all pairs came."""

    def __init__(self, stream: Stream, kept: int, numbers: Iterator[int]) -> None:
        super().__init__(stream, kept)
        self._numbers = numbers
        self._rows: deque[tuple[int, Row]] = deque(maxlen=kept)

    @property
    def _first(self) -> int:
        return self.count - len(self._rows)

    def take(self, record: Trade) -> None:
        """Take a trade; where there is no room the oldest is lost."""
        super().take(record)
        self._rows.append((next(self._numbers), trade_row(record)))

    def behind(self, position: int) -> tuple[int, int]:
        """Count the trades behind a position that are kept, and those that are lost."""
        return self.count - max(position, self._first), max(0, self._first - position)

    def rows(self, position: int, most: int) -> list[tuple[int, Row]]:
        """Return the first trades behind a position."""
        start = max(0, position - self._first)
        return list(islice(self._rows, start, start + most))

    def after(self, position: int, taken: int) -> int:
        """Return the position behind so many trades."""
        return max(position, self._first) + taken

    def last(self, most: int) -> list[Row]:
        """Return the newest trades."""
        return [row for _, row in islice(reversed(self._rows), most)][::-1]


class Bars(Series):
    """The candles of a pair from the one on that was forming when it began; a change is news."""

    def __init__(self, stream: Stream, kept: int) -> None:
        super().__init__(stream, kept)
        self._bars: dict[int, tuple[int, Row]] = {}
        """By open time: the number of the candle's last change, and the candle; by that number."""
        self._lost: deque[int] = deque(maxlen=kept)

    def take(self, record: Candles) -> None:
        """Take candles that have changed; where there is no room the oldest is lost."""
        self.newest = record
        for row in record.columns.rows():
            self.count += 1
            self._bars.pop(row[0], None)
            self._bars[row[0]] = (self.count, row)
            if len(self._bars) > self.kept:
                self._lost.append(self._bars.pop(next(iter(self._bars)))[0])

    def behind(self, position: int) -> tuple[int, int]:
        """Count the candles that have changed behind a position, and those that are lost."""
        changed = sum(change > position for change, _ in self._bars.values())
        return changed, sum(change > position for change in self._lost)

    def rows(self, position: int, most: int) -> list[tuple[int, Row]]:
        """Return the first candles that have changed; the newest one where none has."""
        changed = [one for one in self._bars.values() if one[0] > position]
        return (changed or list(self._bars.values())[-1:])[:most]

    def after(self, position: int, taken: int) -> int:
        """Return the number of the last change that is among so many candles."""
        if taken >= self.behind(position)[0]:
            return self.count
        return self.rows(position, taken)[-1][0] if taken else position

    def last(self, most: int) -> list[Row]:
        """Return the newest candles."""
        return [row for _, row in islice(reversed(self._bars.values()), most)][::-1]


@dataclass(frozen=True)
class News:
    """What a subject has for a reader."""

    subject: State
    rows: list[Row]
    updates: int
    """How much was new to the reader."""
    unread: int
    """How much of that is left for the next time."""
    dropped: int
    position: int
    """Where the reader is afterwards."""


class LiveWatch:
    """One watch of the library's with what it has brought."""

    def __init__(
        self,
        client: AsyncClient,
        kind: StreamKind,
        pairs: Sequence[str],
        *,
        exchange: str | None = None,
        depth: int = 20,
        timeframe: str = "1m",
        kept: int,
    ) -> None:
        """Check the arguments; `kept` is how many trades, or candles a pair, it keeps."""
        self.kind = kind
        self.depth = depth if kind == "orderbook" else None
        self.timeframe = timeframe if kind == "candles" else None
        self.subjects: list[State] = []
        self.error: MarketDataError | None = None
        self.is_over = False
        more: dict[str, dict[str, Any]] = {
            "orderbook": {"depth": depth},
            "candles": {"timeframe": timeframe},
            "trades": {"buffer": _BUFFER},
        }
        watch = getattr(client, f"watch_{kind}")
        self._watch = watch(list(pairs), exchange=exchange, **more.get(kind, {}))
        self._kept = kept
        self._numbers = count(1)
        self._news = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to watch; raises what a call about the same pairs would raise."""
        await self._watch.open()
        streams = {(one.exchange, one.pair): one for one in self._watch.streams}
        subjects = {name: self._subject(one, len(streams)) for name, one in streams.items()}
        self.subjects = list(subjects.values())
        self._reading = asyncio.create_task(self._read(subjects))

    def _subject(self, stream: Stream, of: int) -> State:
        match self.kind:
            case "trades":
                # Each has room of its own, so that a busy pair does not push out a quiet one.
                return Tape(stream, max(1, self._kept // of), self._numbers)
            case "candles":
                return Bars(stream, self._kept)
        return State(stream)

    async def _read(self, subjects: dict[tuple[str, str], State]) -> None:
        try:
            while records := await self._watch.batch():
                for record in records:
                    subjects[record.exchange, record.pair].take(record)
                self._tell()
        except MarketDataError as error:
            self.error = error
        except Exception:
            _logger.exception("a watch of %s failed", self.kind)
            self.error = InternalError("The watch failed inside the server; its log says why.")
        finally:
            self.is_over = True
            self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def close(self) -> None:
        """Watch no more; whoever waits for news waits no more."""
        self.is_over = True
        self._tell()
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait([self._reading])
        await self._watch.close()

    # ------------------------------------------------------------------ for readers

    @property
    def positions(self) -> list[int]:
        """Where a reader is that has had everything."""
        return [subject.count for subject in self.subjects]

    async def first(self, seconds: float) -> None:
        """Wait until there is something of each subject, or until the time is over."""
        await self._until(lambda: all(self.positions), seconds)

    async def wait(self, positions: Sequence[int], seconds: float | None = None) -> bool:
        """Wait for news behind the positions; return whether there were, or will be no more."""
        return await self._until(lambda: self.positions != list(positions), seconds)

    async def _until(self, is_enough: Callable[[], bool], seconds: float | None) -> bool:
        try:
            async with asyncio.timeout(seconds):
                while not (self.is_over or is_enough()):
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def look(self) -> None:
        """See how the streams are doing."""
        now = {(one.exchange, one.pair): one for one in self._watch.streams}
        over = "ended" if self.error is None else "failed"
        for subject in self.subjects:
            was = subject.stream
            there = now.get((was.exchange, was.pair))
            subject.stream = there or was.model_copy(update={"state": over})

    def news(self, positions: Sequence[int], most: int) -> list[News]:
        """Return what a reader at these positions gets: so many trades or candles a pair."""
        found = [
            subject.rows(position, most) if isinstance(subject, Series) else []
            for subject, position in zip(self.subjects, positions, strict=True)
        ]
        if self.kind == "trades":
            numbers = heapq.nsmallest(most, (number for rows in found for number, _ in rows))
            found = [[one for one in rows if one[0] <= numbers[-1]] for rows in found]
        return [
            _news(subject, position, [row for _, row in rows])
            for subject, position, rows in zip(self.subjects, positions, found, strict=True)
        ]


def _news(subject: State, position: int, rows: list[Row]) -> News:
    after = subject.count
    if isinstance(subject, Series):
        after = subject.after(position, len(rows))
    updates, dropped = subject.behind(position)
    return News(
        subject,
        rows,
        updates=updates,
        unread=subject.behind(after)[0],
        dropped=dropped,
        position=after,
    )
