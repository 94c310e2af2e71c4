"""Loads ccxt.pro's class of one exchange, and changes how it handles WebSockets.

ccxt knows the URLs of each exchange's streams, how to subscribe to them and how to parse them. But
its `watch` methods merge messages that arrive between two calls, and raise an error at every lost
connection. So we use only its message handlers: each result goes at once to the `Subscriber` that
requested it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import importlib.util
import itertools
from typing import Any

from marketdata._exchanges.connector import connector_attributes
from marketdata._exchanges.exact import ExactNumbers
from marketdata._exchanges.lines import Listening, Subscriber, line_class
from marketdata._exchanges.loader import prepare_packages
from marketdata._exchanges.quirks import quirk
from marketdata._exchanges.stream_offers import stream_offer
from marketdata._requests.request import current

_LONGEST_FAREWELL = 0.3
"""Maximum seconds for closing a socket."""


def _who_asks() -> Subscriber | None:
    reference = current().subscriber
    return None if reference is None else reference()


def _throttler() -> Any:
    return importlib.import_module("ccxt.async_support.base.throttler").Throttler


class StreamConnector(Listening):
    """A mixin before ccxt.pro's class of an exchange."""

    subscriptions_a_line: int | None = None
    """How many subscriptions share a socket if ccxt would open one for each."""
    clients: dict[str, Any]

    def ws_dial_delay(self, _url: str) -> float:
        """Return no delay: subscribers have already waited."""
        return 0.0

    def client(self, url: str) -> Any:
        """Return the socket of a URL, created if needed."""
        self.clients = self.clients or {}
        if url not in self.clients:
            config = {
                **self.streaming,
                "ping": self.ping,
                "throttle": _throttler()(self.tokenBucket, self.asyncio_loop),
                "asyncio_loop": self.asyncio_loop,
                "decompressBinary": self.options.get("decompressBinary", True),
                **self.options.get("ws", {}),
            }
            self.clients[url] = line_class()(self, url, config)
        return self.clients[url]

    def stream(self, kind: Any, subscription: Any, count: int = 1) -> str:
        """Return the number of a subscription's socket; ccxt calls it if there can be several."""
        if self.subscriptions_a_line is None:
            return str(super().stream(kind, subscription, count))
        for number in itertools.count():
            ending = f"/{number}"
            there = (self.clients or {}).items()
            line: Any = next((one for url, one in there if url.endswith(ending)), None)
            if line is None or len(line.routes) < self.subscriptions_a_line:
                return str(number)
        raise AssertionError

    def watch(
        self,
        url: str,
        message_hash: str,
        message: Any = None,
        subscribe_hash: Any = None,
        subscription: Any = None,
    ) -> Any:
        """Subscribe, and note who asked."""
        subscriber = _who_asks()
        if subscriber is not None:
            length = subscriber.timeframe
            if length is not None and subscribe_hash is not None and length not in subscribe_hash:
                subscribe_hash = f"{subscribe_hash}#{length}"
            self.client(url).join(subscriber, [message_hash], message, [subscribe_hash])
        return super().watch(url, message_hash, message, subscribe_hash, subscription)

    def watch_multiple(
        self,
        url: str,
        message_hashes: Any,
        message: Any = None,
        subscribe_hashes: Any = None,
        subscription: Any = None,
    ) -> Any:
        """Subscribe, and note who asked."""
        subscriber = _who_asks()
        if subscriber is not None:
            self.client(url).join(
                subscriber, list(message_hashes), message, list(subscribe_hashes or ())
            )
        return super().watch_multiple(url, message_hashes, message, subscribe_hashes, subscription)

    def lines(self, subscriber: Subscriber) -> list[Any]:
        """Return the sockets that a subscriber hears."""
        return [
            line
            for line in (self.clients or {}).values()
            if any(subscriber in those for those in line.routes.values())
        ]

    async def drop(self, line: Any) -> None:
        """Close a socket, and tell its remaining subscribers."""
        own: str = line.url
        if self.clients.get(own) is line:
            del self.clients[own]
        line.over(ended=False)
        if line.dialing is not None:
            line.dialing.cancel()
            await asyncio.wait({line.dialing})
        try:
            await _closed(line)
        except asyncio.CancelledError:
            await _closed(line)  # ccxt has already forgotten it
            raise

    async def fetch_order_book_snapshot(self, client: Any, message: Any, subscription: Any) -> Any:
        """Return nothing if a subscriber reads the frames and requests the book itself."""
        reader = client.books.get(self.market_id(subscription["symbol"]))
        if reader is not None:
            reader.subscribed()
            return None
        return await super().fetch_order_book_snapshot(client, message, subscription)

    def get_cache_index(self, orderbook: Any, deltas: Any) -> Any:
        """Find the first update that follows a requested book; -1 if the book is too old."""
        number = stream_offer(type(self).__name__).change_number
        if number is None:
            return super().get_cache_index(orderbook, deltas)
        begun = int(orderbook["nonce"])
        later = [at for at, delta in enumerate(deltas) if int(delta[number]) > begun]
        if not deltas or later[:1] == [0]:
            return -1
        return later[0] if later else len(deltas)

    def authenticate(self, *args: Any, **named: Any) -> Any:
        """Sign a subscription if there is a key; public streams need none."""
        if not getattr(self, "apiKey", None) and not asyncio.iscoroutinefunction(
            super().authenticate
        ):
            return {}
        return super().authenticate(*args, **named)


@functools.cache
def stream_class(name: str, *, exact: bool = False) -> type[Any] | None:
    """Load ccxt.pro's class of an exchange with `StreamConnector`; None if ccxt has no streams."""
    prepare_packages()
    if importlib.util.find_spec(f"ccxt.pro.{name}") is None:
        return None
    theirs = getattr(importlib.import_module(f"ccxt.pro.{name}"), name)
    special = {
        "subscriptions_a_line": quirk(name).subscriptions_a_line,
        "plain_levels": False,  # ccxt updates the levels of its books in place
    }
    ours = (StreamConnector, ExactNumbers) if exact else (StreamConnector,)
    attributes = connector_attributes(name, theirs, exact=exact)
    return type(name, (*ours, theirs), attributes | special)


async def _closed(line: Any) -> None:
    # aiohttp would wait ten seconds for the close frame of the exchange.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_FAREWELL):
            await line.close()
