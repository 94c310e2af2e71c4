"""What a stream needs from its exchange: subscriptions on a socket, and REST requests."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

from marketdata._candles.trades import trades
from marketdata._exchanges.lines import Subscriber, opposite
from marketdata._requests.deadline import within
from marketdata.errors import MarketDataError
from marketdata.models import Columns, OrderBook, Trade
from marketdata.models.decimals import decimal

if TYPE_CHECKING:
    from marketdata._exchanges.exchange import Venue
    from marketdata._exchanges.quirks import Quirk

T = TypeVar("T")

LOOKS_EVERY = 0.5
"""Seconds between two checks of the watchdog."""
_LATE = 0.1
"""Seconds by which a check is late if our own process was suspended or blocked."""
_LONGEST_PAUSE = 30.0
"""Longest pause in seconds between two attempts to connect while the exchange refuses."""
_LONGEST_PAUSE_UNREACHED = 2.0
"""The same while the exchange cannot be reached: that ends for all streams at once."""
_LONGEST_ANSWER = 2.0
"""Longest time in seconds to wait for the answer to a ping."""
_LONGEST_FAREWELL = 1.0
"""Longest time in seconds to wait for an unsubscription to be sent."""


class Listener(Subscriber, Protocol):
    """A subscriber that waits its turn to send a message or a request."""

    waits_its_turn: bool
    """Whether it waits for others to send a message or a request first."""

    async def subscribe(self, api: Any) -> None:
        """Have ccxt subscribe; when it returns has no meaning."""

    def has_its_turn(self) -> None:
        """Note that its turn has come."""


class Upstream:
    """One exchange as its streams use it. Belongs to one event loop."""

    def __init__(
        self, venue: Venue, api: Any, *, timeout: float, retries: int, simulated: bool
    ) -> None:
        self.id = venue.id
        self.venue = venue
        self.api = api
        self.quirk: Quirk = venue.quirk
        self.number: Callable[[Any], Any] = decimal if venue.is_exact else float
        """Reads a price or a size."""
        self.timeout = timeout
        """Longest time in seconds to wait for the first state."""
        self.retries = retries
        """0: failed requests are not repeated. Streams reconnect all the same."""
        self.simulated: Literal[True] | None = True if simulated else None
        self.room: Callable[[], Awaitable[None]] = _no_wait
        """Waits until readers have made room, if the source can wait, as a recording can."""
        self.stalled_at = time.monotonic()
        """When our own process last went on after it was suspended or blocked."""
        self._looked_at = time.monotonic()
        self._one_book_at_a_time = asyncio.Lock()
        self._failed_dials = 0
        self._not_before = 0.0
        """When the next connection may be attempted, by the monotonic clock."""
        self._first: Subscriber | None = None
        """The subscriber that tries to connect while the others wait for the result."""
        self._tried = asyncio.Event()
        api.dialed = self._dialed
        self._closing: list[asyncio.Task[None]] = []
        """Tasks that close sockets; nothing else holds a reference to them."""

    # ------------------------------------------------------------------ our own process

    def begins_to_look(self) -> None:
        """Note that the watchdog starts now."""
        self._looked_at = time.monotonic()

    def looked(self) -> None:
        """Note that the watchdog checks now."""
        now = time.monotonic()
        if now - self._looked_at > LOOKS_EVERY + _LATE:
            self.stalled_at = now
        self._looked_at = now

    def slept_since(self, moment: float) -> bool:
        """Return whether our own process was suspended or blocked since a monotonic time.

        Then frames came late because of us, and the silence was not the exchange's.
        """
        late = time.monotonic() - self._looked_at > LOOKS_EVERY + _LATE
        return late or self.stalled_at > moment

    # ------------------------------------------------------------------ sockets

    def _dialed(self, is_open: bool, is_refused: bool, retry_after: float | None) -> None:
        self._first = None
        self._tried.set()
        if is_open:
            self._failed_dials = 0
            self._not_before = 0.0
            return
        self._failed_dials += 1
        longest = _LONGEST_PAUSE if is_refused else _LONGEST_PAUSE_UNREACHED
        pause = min(longest, 0.1 * 2 ** min(self._failed_dials, 10))
        pause *= random.uniform(0.5, 1.0)  # noqa: S311
        self._not_before = time.monotonic() + max(pause, retry_after or 0.0)

    async def turn_to_dial(self, subscriber: Subscriber) -> None:
        """Wait until a connection may be attempted.

        After a failure one subscriber tries, and the others wait for the result.
        """
        while True:
            while (left := self._not_before - time.monotonic()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(left)
            if not self._failed_dials or self._first in (None, subscriber):
                self._first = subscriber if self._failed_dials else None
                return
            self._tried.clear()
            await self._tried.wait()

    def gives_up_its_turn(self, subscriber: Subscriber) -> None:
        """Let another subscriber try to connect if this one was to try."""
        if self._first is subscriber:
            self._first = None
            self._tried.set()

    async def unsubscribe(self, subscriber: Subscriber) -> None:
        """Unsubscribe, and close sockets that have no subscriptions left."""
        for line in self.api.lines(subscriber):
            messages = line.leave(subscriber)
            # A lost socket has no subscriptions to take back.
            with contextlib.suppress(Exception):
                async with asyncio.timeout(_LONGEST_FAREWELL):
                    for message in messages:
                        await line.send(message)
            if not line.routes:
                await self.api.drop(line)

    async def resubscribe(self, subscriber: Subscriber, changes: dict[str, Any]) -> None:
        """Unsubscribe and subscribe again, with changed parameters."""
        for line in self.api.lines(subscriber):
            for name, request in list(line.requests.items()):
                if subscriber not in line.routes.get(name, ()):
                    continue
                taking_back = opposite(request)
                if taking_back is None:
                    await self.api.drop(line)
                    return
                if changes:
                    request = {**request, "params": {**request.get("params", {}), **changes}}
                    line.requests[name] = request
                try:
                    await line.send(taking_back)
                    await line.send(request)
                except Exception:  # noqa: BLE001 - whatever it is, the socket cannot be used
                    await self.api.drop(line)
                    return

    def drop_silent(self, subscriber: Subscriber, seconds: float) -> bool:
        """Close the sockets of a subscriber that received nothing for so many seconds."""
        now = time.monotonic()
        silent = [line for line in self.api.lines(subscriber) if now - line.heard >= seconds]
        for line in silent:
            line.over(ended=False)
            self._closing.append(asyncio.create_task(self.api.drop(line)))
        self._closing = [task for task in self._closing if not task.done()]
        return bool(silent)

    async def is_alive(self, subscriber: Subscriber, seconds: float) -> bool:
        """Return whether a socket received anything within so many seconds.

        If not, it is pinged: some exchanges are pinged rarely, or by their own message.
        """
        since = time.monotonic() - seconds
        lines = self.api.lines(subscriber)
        if any(max(line.heard, line.answered) > since for line in lines):
            return True
        since = time.monotonic()
        with contextlib.suppress(Exception):  # of a lost socket
            for line in lines:
                await line.connection.ping()
        while time.monotonic() - since < _LONGEST_ANSWER:
            if any(max(line.heard, line.answered) > since for line in lines):
                return True
            await asyncio.sleep(_LONGEST_ANSWER / 20)
        return False

    def is_open(self, subscriber: Subscriber) -> bool:
        """Return whether a socket of a subscriber is open."""
        return any(line.isConnected for line in self.api.lines(subscriber))

    def unreadable(self, subscriber: Subscriber) -> int:
        """Return the number of unreadable frames on a subscriber's sockets."""
        return sum(line.unreadable for line in self.api.lines(subscriber))

    def forget(self, pair: str) -> None:
        """Drop the data that ccxt keeps of a pair."""
        for kept in ("orderbooks", "trades", "ohlcvs", "tickers", "bidsasks"):
            (getattr(self.api, kept, None) or {}).pop(pair, None)

    async def close(self) -> None:
        """Close all sockets."""
        for line in list((self.api.clients or {}).values()):
            await self.api.drop(line)

    # ------------------------------------------------------------------ requests

    async def request(self, work: Awaitable[T]) -> T:
        """Await a REST request for at most `timeout` seconds."""
        return await within(self.timeout, self.id, work)

    async def request_again(self, make: Callable[[], Awaitable[T]]) -> T:
        """Repeat a REST request while its errors are retryable and time is left.

        It is made once if retries are off.
        """
        ends, pause = time.monotonic() + self.timeout, 0.25
        while True:
            try:
                return await make()
            except MarketDataError as error:
                pause = max(2 * pause, error.retry_after or 0.0)
                over = not self.retries or time.monotonic() + pause > ends
                if over or not error.retryable:
                    raise
            await asyncio.sleep(pause)

    async def whole_book(self, listener: Listener, pair: str, depth: int) -> OrderBook:
        """Request an order book; one request at a time per exchange."""
        listener.waits_its_turn = True
        try:
            async with self._one_book_at_a_time:
                listener.has_its_turn()
                return await self.request(self.venue.whole_book(pair, depth))
        finally:
            listener.waits_its_turn = False

    async def trades_between(self, pair: str, start: int, end: int, since: int) -> list[Trade]:
        """Request the trades with numbers from ``start`` up to ``end``, exclusive.

        ``since`` is the time in Unix ms of the trade before them, for exchanges that page by
        time.
        """
        found: list[Trade] = []
        by_id = self.quirk.trades_from_id is not None
        while start < end:
            page = await self.request(
                trades(
                    self.venue,
                    pair,
                    limit=min(1_000, end - start) if by_id else 1_000,
                    start=None if by_id else since,
                    from_id=start if by_id else None,
                    aggregate=False,
                )
            )
            fresh = [one for one in page if one.id is not None and start <= int(one.id) < end]
            if not fresh:
                break
            found += fresh
            start = int(fresh[-1].id or 0) + 1
            since = int(fresh[-1].timestamp.timestamp() * 1000)
        return found

    async def candles_from(self, pair: str, timeframe: str, start: int | None) -> Columns:
        """Request a page of candles from ``start`` in Unix ms on, or the newest ones for None."""
        columns, _ = await self.request(
            self.venue.candles(pair, timeframe, start, self.venue.candles_per_request(timeframe))
        )
        return columns


async def _no_wait() -> None:
    pass
