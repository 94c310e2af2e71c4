"""One WebSocket of ccxt: its subscribers, and the subscriptions that were sent.

Everything that ccxt's message handlers resolve goes to the `Subscriber` that requested it.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import importlib.util
import itertools
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import orjson

from marketdata._exchanges import faults
from marketdata._exchanges.bodies import parsed, unpacked
from marketdata._exchanges.connector import Connector
from marketdata._exchanges.exact import Theirs, exact_frame
from marketdata._exchanges.loader import ccxt_errors
from marketdata._exchanges.recording import Event
from marketdata._requests.rate_ledger import LONGEST_BLOCK

END_OF_RECORDING = 4000
"""The close code at the end of a replayed recording."""

_BINARY = 2
"""aiohttp's number of a binary frame; aiohttp is imported only when something is watched."""
_LATE = 1.0
"""If a pause is this many seconds too long, our own process was suspended."""

Message: TypeAlias = dict[str, Any]


class RefusedError(Exception):
    """An exchange has refused a subscription."""

    def __init__(self, said: Exception) -> None:
        super().__init__("refused")
        self.said = said
        """ccxt's error."""


class Subscriber(Protocol):
    """The user of one stream."""

    timeframe: str | None
    """The timeframe of candles; ccxt does not always distinguish timeframes."""

    market_id: str
    """The exchange's name of the pair."""

    @property
    def is_asking(self) -> bool:
        """Whether its subscription is sent but not yet confirmed."""

    def asked(self) -> None:
        """Note that its subscription was sent; exchanges require a pause between two."""

    def joined(self, line: Any, /) -> None:
        """Note the socket of the stream."""

    def take(self, result: Any, at: float) -> None:
        """Handle ccxt's result for a frame; ``at`` is the time of receipt in Unix seconds."""

    def refused(self, error: Exception) -> None:
        """Note that the exchange refused the subscription, or that ccxt dropped it."""

    def lost(self, *, ended: bool) -> None:
        """Note that the socket is closed; ``ended`` says that a recording has ended."""


class BookReader(Protocol):
    """A subscriber that reads the frames of its order book itself."""

    def frame(self, frame: Message, at: float) -> None:
        """Handle a frame; ``at`` is the time of receipt in Unix seconds."""

    def subscribed(self) -> None:
        """Note that the exchange has confirmed the subscription."""


_OPPOSITES = {
    "subscribe": "unsubscribe",
    "SUBSCRIBE": "UNSUBSCRIBE",
    "SUBSCRIPTION": "UNSUBSCRIPTION",
    "bts:subscribe": "bts:unsubscribe",
    "sub": "unsub",
    "subscription": "unsubscription",
}


def opposite(message: Any) -> Message | None:
    """Return the message that cancels a subscription; None if its form is unknown."""
    if not isinstance(message, dict):
        return None
    turned: Message = {_turned(key): _turned(value) for key, value in message.items()}
    if turned == message:
        return None
    for name in ("id", "req_id"):
        # Its answer must not look like the answer to the subscription.
        if isinstance(turned.get(name), int):
            turned[name] += 500_000
    return turned


def _turned(value: Any) -> Any:
    return _OPPOSITES.get(value, value) if isinstance(value, str) else value


_numbers = itertools.count(1)


class Listening(Connector):
    """The parts of ccxt.pro's exchange class that a socket needs."""

    room: Callable[[], Awaitable[None]] | None = None
    """Waits until slow readers have caught up. If None, data that they are too slow for is
    dropped."""
    dialed: Callable[[bool, bool, float | None], None] | None = None
    """Called after each attempt to open a socket with: whether it opened, whether the exchange
    refused it, and the seconds that the exchange asks to wait."""
    handle_message: Callable[[Any, Any], Any]


class LineMethods(Theirs):  # type: ignore[misc]
    """A mixin before ccxt's class of one WebSocket."""

    connector: Listening
    url: str
    routes: dict[str, list[Subscriber]]
    """The subscribers by the message hash that ccxt resolves."""
    requests: dict[str, Message]
    """The subscription message by message hash."""
    sent: set[str]
    """The message hashes whose subscriptions were sent."""
    hashes: dict[str, set[Any]]
    """The subscribe hashes with which ccxt notes the same, by message hash."""
    books: dict[str, BookReader]
    """The subscribers that read frames themselves, by the exchange's name of the pair."""
    subject: Callable[[Any], str | None] | None
    """Returns the pair of a frame about an order book."""
    dialing: asyncio.Task[Any] | None
    """The task that opens the socket, while it does."""
    number: int
    text: str
    """The frame that is being handled; empty between frames."""
    heard: float
    """The time of the last frame, by the monotonic clock."""
    answered: float
    """The time of the last answer to a ping, by the monotonic clock."""
    received_at: float
    """The time of receipt of the current frame, in Unix seconds."""
    frames: int
    unreadable: int
    is_over: bool
    isConnected: bool  # noqa: N815 ccxt's name
    decompressBinary: bool  # noqa: N815 ccxt's name
    gunzip: bool
    inflate: bool
    last_retry_after: float | None
    keepAlive: float  # noqa: N815 ccxt's name
    maxPingPongMisses: float  # noqa: N815 ccxt's name
    ping: Callable[[Any], Any] | None
    connection: Any
    subscriptions: dict[str, Any]
    futures: dict[str, Any]

    def __init__(self, connector: Listening, url: str, config: Mapping[str, Any]) -> None:
        self.connector = connector
        self.routes, self.requests, self.books = {}, {}, {}
        self.sent = set()
        self.hashes = {}
        self.subject = None
        self.dialing = None
        self.text = ""
        self.number = next(_numbers)
        self.heard = self.answered = time.monotonic()
        self.frames = self.unreadable = 0
        self.is_over = False
        self._last_pong: Any = None
        heard = connector.handle_message, connector.on_error, connector.on_close
        super().__init__(url, *heard, lambda _: None, config)

    async def open(self, session: Any, backoff_delay: float = 0) -> None:
        """Connect, after a pause."""
        self.dialing = asyncio.current_task()
        try:
            await super().open(session, backoff_delay)
        finally:
            self.dialing = None
        if self.isConnected:
            # ccxt starts to receive in the next turn of the loop.
            self.heard = self.answered = time.monotonic()
            if self.connector.dialed is not None:
                self.connector.dialed(True, False, None)
            self.note("open", self.url)

    def note(self, kind: str, text: str = "") -> None:
        """Add an event to the recording, if there is one."""
        record = self.connector.transport.recorder
        if record is None:
            return
        now = time.time_ns()
        if kind == "open":
            name = type(self.connector).__name__
            record(Event(now, self.number, "open", exchange=name, url=text))
        else:
            record(Event(now, self.number, kind, text))  # type: ignore[arg-type]

    @property
    def buffer(self) -> Any:
        """The received frames that ccxt handles at once; None if it has to wait for readers."""
        return None if self.connector.room is not None else super().buffer

    async def receive(self) -> Any:
        """Receive the next frame, after readers have caught up."""
        if self.connector.room is not None:
            await self.connector.room()
        return await super().receive()

    async def send(self, message: Any) -> Any:
        """Send a message."""
        if self.connector.transport.recorder is not None:
            text = message if isinstance(message, str) else orjson.dumps(message).decode()
            self.note("sent", text)
        try:
            answer = await super().send(message)
        except ConnectionError:
            if self.closed():
                raise
            # The exchange has closed the socket. Frames it sent before are still to be read.
            return None
        for name in [name for name, request in self.requests.items() if request is message]:
            self.sent.add(name)
            for subscriber in self.routes.get(name, ()):
                subscriber.asked()
        return answer

    @property
    def lastPong(self) -> Any:  # noqa: N802 ccxt's name
        """The last answer to a ping, as ccxt keeps it: a time of the exchange, or a number."""
        return self._last_pong

    @lastPong.setter
    def lastPong(self, value: Any) -> None:  # noqa: N802
        self._last_pong = value
        self.answered = time.monotonic()

    async def ping_loop(self) -> None:
        """Send pings, and drop the socket when nothing is received any more.

        ccxt's own loop uses the wall clock, which can jump.
        """
        while self.keepAlive and not self.closed():
            pause, before = self.keepAlive / 1000, time.monotonic()
            await asyncio.sleep(pause)
            now = time.monotonic()
            if now - before > pause + _LATE:
                self.answered = now  # our own process was suspended and has not read the answers
            if now - max(self.answered, self.heard) > pause * self.maxPingPongMisses:
                self.on_error(ccxt_errors().RequestTimeout("no answer to a ping"))
                return
            try:
                if self.ping is None:
                    await self.connection.ping()
                else:
                    await self.send(self.ping(self))
            except ConnectionError:
                return  # the receiving loop meets the same error after the frames before it
            except Exception as error:  # noqa: BLE001 - ccxt's ping functions can raise anything
                self.on_error(error)
                return

    def handle_text_or_binary_message(self, data: Any) -> None:
        """Handle a frame; an unreadable frame is skipped and does not end the socket."""
        self.frames += 1
        self.heard = time.monotonic()
        self.received_at = at = time.time()
        self.text = data if type(data) is str else ""
        if self.connector.transport.recorder is not None and self.text:
            self.note("got", self.text)
        try:
            if self.books and type(data) is str and data[:1] == "{" and self._is_read(data, at):
                return
            text = data.decode() if type(data) is bytes and self.decompressBinary else data
            is_json = type(text) is str and len(text) > 1 and text[0] in "{["
            read = exact_frame if self.connector.is_exact else parsed
            self.connector.handle_message(self, read(text) if is_json else text)
        except Exception as error:  # noqa: BLE001 - ccxt's handlers can raise anything
            self._could_not_read(error)
        finally:
            self.text = ""

    def handle_message(self, message: Any) -> None:
        """Handle a message; a compressed frame is unpacked up to a maximum size."""
        packed = self.gunzip or self.inflate
        if not packed or type(message.data) is not bytes or message.type != _BINARY:
            super().handle_message(message)
            return
        try:
            text = unpacked(message.data, has_header=self.gunzip)
        except ValueError as error:
            self._could_not_read(error)
        else:
            self.handle_text_or_binary_message(text)

    def _could_not_read(self, error: Exception) -> None:
        self.unreadable += 1
        faults.note(
            logging.DEBUG, f"a frame of {type(self.connector).__name__} cannot be read", error
        )

    def _is_read(self, text: str, at: float) -> bool:
        """Pass a frame about an order book to its reader; return whether there is one."""
        frame = exact_frame(text) if self.connector.is_exact else orjson.loads(text)
        about = self.subject(frame) if self.subject is not None else None
        reader = None if about is None else self.books.get(about)
        if reader is not None:
            reader.frame(frame, at)
        return reader is not None

    def resolve(self, result: Any, message_hash: str) -> Any:
        """Pass ccxt's result for a frame to its subscribers."""
        for subscriber in tuple(self.routes.get(message_hash, ())):
            subscriber.take(result, self.received_at)
        return super().resolve(result, message_hash)

    def reject(self, error: Any, message_hash: str | None = None) -> Any:
        """Report an error to the subscribers that it concerns."""
        if isinstance(error, ccxt_errors().UnsubscribeError):
            return error  # its subscriber has left, and the next one may have subscribed already
        if self.is_over or not isinstance(error, Exception):
            return super().reject(error, message_hash)
        if message_hash is None:
            if isinstance(error, ccxt_errors().NetworkError):
                # Without an error, ccxt has stopped reading the socket.
                self.on_error(error)
                return error
            concerned = self._meant()
        else:
            concerned = [
                name
                for name, sent in self.requests.items()
                if name == message_hash or message_hash == str(sent.get("req_id", sent.get("id")))
            ]
        # An error outside of a frame is not a refusal by the exchange: a request that ccxt made
        # for the subscription has failed.
        error = RefusedError(error) if self.text else ccxt_errors().NetworkError("given up")
        for name in concerned:
            for subscriber in tuple(self.routes.get(name, ())):
                subscriber.refused(error)
        for name in {message_hash or "", *concerned} & self.futures.keys():
            super().reject(error, name)
        return error

    def _meant(self) -> list[str]:
        """Find the subscriptions of a refusal without a request id: those that its text names."""
        asking = {
            name: those[0].market_id
            for name, those in self.routes.items()
            if any(one.is_asking for one in those)
        }
        named = [name for name, market in asking.items() if market in self.text]
        return named or list(asking)

    def on_error(self, error: Any) -> None:
        """Drop the socket after an error."""
        said = getattr(error.args[0] if error.args else None, "status", 0)
        self.over(ended=False, is_refused=400 <= said < 500)
        # ccxt converts this to whole milliseconds, which fails for infinity.
        pause = getattr(self, "last_retry_after", None)
        if pause is not None and not 0 <= pause <= LONGEST_BLOCK:
            self.last_retry_after = LONGEST_BLOCK if pause > 0 else None
        super().on_error(error)

    def on_close(self, code: Any) -> None:
        """Note that the exchange has closed the socket."""
        self.over(ended=code == END_OF_RECORDING)
        super().on_close(code)

    def over(self, *, ended: bool, is_refused: bool = False) -> None:
        """Tell all subscribers that the socket is closed; ``is_refused``: it was never opened."""
        if self.is_over:
            return
        self.is_over = True
        self.note("lost")
        if not self.isConnected and self.dialing is not None and self.connector.dialed is not None:
            pause = self.last_retry_after
            self.connector.dialed(False, is_refused or pause is not None, pause)
        concerned = {id(one): one for those in self.routes.values() for one in those}
        self.routes, self.requests, self.books = {}, {}, {}
        for subscriber in concerned.values():
            subscriber.lost(ended=ended)

    def join(
        self, subscriber: Subscriber, names: list[str], message: Any, hashes: Sequence[Any]
    ) -> None:
        """Add a subscriber to these message hashes.

        ``hashes`` are the subscribe hashes with which ccxt notes that it has subscribed.
        """
        for name in names:
            self.hashes.setdefault(name, set()).update(hashes)
            there = self.routes.setdefault(name, [])
            if subscriber not in there:
                there.append(subscriber)
            if isinstance(message, dict):
                self.requests.setdefault(name, message)
        subscriber.joined(self)
        if any(name in self.sent for name in names):
            subscriber.asked()

    def leave(self, subscriber: Subscriber) -> list[Message]:
        """Remove a subscriber; return the messages that cancel its subscriptions."""
        messages: list[Message] = []
        mine: object = subscriber
        self.books = {name: one for name, one in self.books.items() if one is not mine}
        for name in [name for name, those in self.routes.items() if subscriber in those]:
            self.routes[name].remove(subscriber)
            if self.routes[name]:
                continue
            del self.routes[name]
            request = self.requests.pop(name, None)
            self.sent.discard(name)
            for known in {name, *self.hashes.pop(name, ())}:
                if not any(known in others for others in self.hashes.values()):
                    self.subscriptions.pop(known, None)
            future = self.futures.pop(name, None)
            if future is not None:
                future.cancel()
            taking_back = opposite(request)
            if taking_back is not None and taking_back not in messages:
                messages.append(taking_back)
        return messages


@functools.cache
def line_class() -> type[Any]:
    """Return ccxt's class of a WebSocket with `LineMethods`."""
    client = importlib.import_module("ccxt.async_support.base.ws.client").Client
    return type("Line", (LineMethods, client), {})
