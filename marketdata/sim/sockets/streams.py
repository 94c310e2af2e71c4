"""What the sockets of all dialects share: frames, subscriptions, sessions."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from itertools import islice
from typing import Any, NamedTuple

from marketdata.sim.markets.bars import DAY, Trade
from marketdata.sim.markets.levels import SLOT, Book, Row
from marketdata.sim.markets.market import Market


class Frame(NamedTuple):
    """One message to a client, with the time at which it is due.

    ``ms`` is Unix time in milliseconds. ``body`` is sent as JSON, or unchanged if it is a text.
    ``source`` is the subscription that the frame belongs to, if any. ``order`` sorts the frames of
    one millisecond.
    """

    ms: int
    channel: str
    symbol: str
    body: Any
    source: Subscription | None = None
    order: int = 0

    @property
    def due(self) -> tuple[int, int]:
        """The sort key of frames."""
        return self.ms, self.order


class Subscription(ABC):
    """The subscription of one socket to one channel of one market.

    ``channel`` is the exchange's name of the channel without parameters. ``symbol`` is its name of
    the market. ``key`` is unique among the subscriptions of the socket.
    """

    def __init__(self, channel: str, symbol: str, key: str) -> None:
        self.channel = channel
        self.symbol = symbol
        self.key = key

    @abstractmethod
    def frames(self, after: int, until: int) -> list[Frame]:
        """Return the frames after ``after`` and up to ``until``, oldest first."""

    def opening(self, now: int) -> list[Frame]:  # noqa: ARG002 most channels begin with an update
        """Return the frames that are sent right after subscribing."""
        return []

    def frame(self, ms: int, body: Any, order: int = 0) -> Frame:
        """Return a frame of this subscription."""
        return Frame(ms, self.channel, self.symbol, body, self, order)

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Return ``frame`` and ``count`` more valid updates."""
        return [frame] * (count + 1)

    def overtaken(self, frame: Frame) -> bool:  # noqa: ARG002 most floods repeat something
        """Return whether a flood has already sent the frame."""
        return False

    def stray(self, frame: Frame) -> Frame:
        """Return ``frame`` with a level that crosses the book, if it belongs to a book."""
        return frame

    def miscounted(self, frame: Frame) -> Frame:
        """Return ``frame`` with a wrong checksum, if it has one."""
        return frame


class TradeSubscription(Subscription):
    """The live trades of a market."""

    def __init__(self, channel: str, symbol: str, key: str, market: Market) -> None:
        super().__init__(channel, symbol, key)
        self.market = market
        self._told = -1

    @abstractmethod
    def tell(self, trades: list[Trade]) -> list[Frame]:
        """Return the frames with ``trades``, oldest first.

        The ``order`` of each is the id of its last trade.
        """

    def frames(self, after: int, until: int) -> list[Frame]:
        """Return the frames with the trades in between."""
        return self.tell(list(self.market.forwards(until, ms=after + 1)))

    def overtaken(self, frame: Frame) -> bool:
        """Return whether the frame's last trade was already sent."""
        return 0 < frame.order <= self._told

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Send the trades that follow before they are due."""
        start = max(self._told, frame.order) + 1
        trades = list(islice(self.market.forwards(frame.ms + DAY, trade_id=start), count))
        if trades:
            self._told = trades[-1].id
        return [frame, *self.tell(trades)]


class BookSubscription(Subscription):
    """The best ``depth`` levels of both sides of a book, with the changes of each time slot.

    With ``trimmed``, clients remove levels that fall below the depth by themselves. Otherwise an
    update removes them.
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
        """Return the body of a snapshot of ``book``."""

    @abstractmethod
    def update(self, before: Book, after: Book, bids: list[Row], asks: list[Row]) -> Any:
        """Return the body of an update from one book to the next, with the changed levels."""

    def opening(self, now: int) -> list[Frame]:
        """Send a snapshot of the book."""
        self._told = self.market.book(now, self._depth) or Book(0, now, [], [])
        return [self.frame(now, self.snapshot(self._told))]

    def frames(self, after: int, until: int) -> list[Frame]:
        """Send the changes since the last frame."""
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
    """The requests and subscriptions of one socket, in the dialect of one exchange.

    ``subscriptions`` has the active subscriptions by key.
    """

    def __init__(self) -> None:
        self.subscriptions: dict[str, Subscription] = {}

    @property
    def asked(self) -> int:
        """The number of active subscriptions."""
        return len(self.subscriptions)

    @abstractmethod
    def receive(self, text: str, now: int) -> list[Frame]:
        """Handle a message of the client and return the answer."""

    def greet(self, now: int) -> list[Frame]:  # noqa: ARG002 most exchanges say nothing
        """Return the frames that are sent when the socket opens."""
        return []

    def frames(self, after: int, until: int) -> list[Frame]:
        """Return the frames of all subscriptions after ``after`` and up to ``until``, by time."""
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
