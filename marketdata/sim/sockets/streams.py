"""What sockets of all dialects have in common: frames, subscriptions, conversations."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from itertools import islice
from typing import Any, NamedTuple

from marketdata.sim.markets.bars import DAY, Trade
from marketdata.sim.markets.levels import SLOT, Book, Row
from marketdata.sim.markets.market import Market


class Frame(NamedTuple):
    """One message to a client: when it is due, what it is about, and what it says.

    ``ms`` is Unix time in milliseconds. ``body`` is what JSON is made of, or a text as it is.
    ``source`` is the subscription that it was sent for, if any; ``order`` its place among the
    frames of one millisecond.
    """

    ms: int
    channel: str
    symbol: str
    body: Any
    source: Subscription | None = None
    order: int = 0

    @property
    def due(self) -> tuple[int, int]:
        """What frames are sorted by."""
        return self.ms, self.order


class Subscription(ABC):
    """One channel of one market, as one socket subscribed to it.

    ``channel`` is the exchange's name for it without its parameters, ``symbol`` its name for the
    market; ``key`` tells it from the others of its socket.
    """

    def __init__(self, channel: str, symbol: str, key: str) -> None:
        self.channel = channel
        self.symbol = symbol
        self.key = key

    @abstractmethod
    def frames(self, after: int, until: int) -> list[Frame]:
        """Return what is sent after ``after`` and up to ``until``, oldest first."""

    def opening(self, now: int) -> list[Frame]:  # noqa: ARG002 most channels begin with an update
        """Return what is sent as soon as the subscription is made."""
        return []

    def frame(self, ms: int, body: Any, order: int = 0) -> Frame:
        """Return a frame of this subscription."""
        return Frame(ms, self.channel, self.symbol, body, self, order)

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Return ``frame`` and ``count`` further updates that are as valid."""
        return [frame] * (count + 1)

    def overtaken(self, frame: Frame) -> bool:  # noqa: ARG002 most floods repeat something
        """Return whether a flood has sent the frame ahead of its time."""
        return False

    def stray(self, frame: Frame) -> Frame:
        """Return ``frame`` with a level that crosses the book, if it is of a book."""
        return frame

    def miscounted(self, frame: Frame) -> Frame:
        """Return ``frame`` with a wrong checksum, if it has one."""
        return frame


class TradeSubscription(Subscription):
    """The trades of a market as they happen."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market) -> None:
        super().__init__(channel, symbol, key)
        self.market = market
        self._told = -1

    @abstractmethod
    def tell(self, trades: list[Trade]) -> list[Frame]:
        """Return the frames that tell of ``trades``, oldest first.

        The ``order`` of each is the id of its last trade.
        """

    def frames(self, after: int, until: int) -> list[Frame]:
        """Tell of the trades in between."""
        return self.tell(list(self.market.forwards(until, ms=after + 1)))

    def overtaken(self, frame: Frame) -> bool:
        """Return whether its last trade was told."""
        return 0 < frame.order <= self._told

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Send the trades that will follow ahead of their time."""
        start = max(self._told, frame.order) + 1
        trades = list(islice(self.market.forwards(frame.ms + DAY, trade_id=start), count))
        if trades:
            self._told = trades[-1].id
        return [frame, *self.tell(trades)]


class BookSubscription(Subscription):
    """The best ``depth`` rows of both sides of a book, and what changes in them by the slot.

    ``trimmed`` says that clients cut what other rows have pushed out of the depth by themselves;
    otherwise they are told that it is gone.
    """

    def __init__(
        self, channel: str, symbol: str, key: str, market: Market, depth: int, *, trimmed: bool
    ) -> None:
        super().__init__(channel, symbol, key)
        self.market = market
        self._depth = depth
        self._trimmed = trimmed
        self._told = Book(0, 0, [], [])

    @abstractmethod
    def snapshot(self, book: Book) -> Any:
        """Return the body of the frame that holds all of ``book``."""

    @abstractmethod
    def update(self, before: Book, after: Book, bids: list[Row], asks: list[Row]) -> Any:
        """Return the body that leads from one book to the next by the rows that changed."""

    def opening(self, now: int) -> list[Frame]:
        """Send the book as it is."""
        self._told = self.market.book(now, self._depth) or Book(0, now, [], [])
        return [self.frame(now, self.snapshot(self._told))]

    def frames(self, after: int, until: int) -> list[Frame]:
        """Send what changed since the frame before."""
        found = []
        for ms in multiples(SLOT, after, until):
            book, told = self.market.book(ms, self._depth), self._told
            if book is None:
                continue
            bids = self._changed(told.bids, book.bids, -1)
            asks = self._changed(told.asks, book.asks, 1)
            if bids or asks:
                found.append(self.frame(ms, self.update(told, book, bids, asks)))
                self._told = book
        return found

    def _changed(self, before: list[Row], after: list[Row], sign: int) -> list[Row]:
        old, new = dict(before), dict(after)
        rows = [row for row in after if old.get(row[0]) != row[1]]
        gone = [price for price in old if price not in new]
        if self._trimmed and len(after) == self._depth:
            gone = [price for price in gone if (price - after[-1][0]) * sign < 0]
        return rows + [(price, 0) for price in gone]


class Session(ABC):
    """What one socket was asked and is owed, in one exchange's language.

    ``subscriptions`` are those it holds, by their keys.
    """

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscription] = {}

    @property
    def asked(self) -> int:
        """How many subscriptions it was asked for and has."""
        return len(self.subscriptions)

    @abstractmethod
    def receive(self, text: str, now: int) -> list[Frame]:
        """Take a message of the client and return what is answered to it."""

    def greet(self, now: int) -> list[Frame]:  # noqa: ARG002 most exchanges say nothing
        """Return what is sent when the socket was opened."""
        return []

    def frames(self, after: int, until: int) -> list[Frame]:
        """Return what all subscriptions send after ``after`` and up to ``until``, by time."""
        found = [
            frame
            for subscription in self.subscriptions.values()
            for frame in subscription.frames(after, until)
        ]
        return sorted(found, key=_due)

    def wire(self, frame: Frame) -> str:
        """Return the text that is sent for a frame."""
        return frame.body if isinstance(frame.body, str) else compact(frame.body)


def _due(frame: Frame) -> tuple[int, int]:
    return frame.due


def compact(body: Any) -> str:
    """Return JSON without spaces."""
    return json.dumps(body, separators=(",", ":"))


def multiples(step: int, after: int, until: int) -> range:
    """Return the multiples of ``step`` after ``after`` and up to ``until``."""
    return range(after - after % step + step, until + 1, step)
