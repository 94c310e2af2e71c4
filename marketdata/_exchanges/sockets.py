"""Loads ccxt.pro's class of one exchange, and changes how its sockets are handled.

ccxt knows where each exchange's streams are, how to subscribe to them and how to read them. Its
own surface, awaiting the next state, merges what arrives in between and ends with an error at
every loss. Here its message handlers are heard instead: whatever they resolve goes to the
`Subscriber` that asked for it, at once and each time.
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
"""Seconds that closing a socket may take."""


def _who_asks() -> Subscriber | None:
    reference = current().subscriber
    return None if reference is None else reference()


def _throttler() -> Any:
    return importlib.import_module("ccxt.async_support.base.throttler").Throttler


class StreamConnector(Listening):
    """What is changed in ccxt.pro's class of an exchange, mixed in before it."""

    subscriptions_a_line: int | None = None
    """How many subjects share a socket, where ccxt would open one for each."""
    clients: dict[str, Any]

    def ws_dial_delay(self, _url: str) -> float:
        """Wait no more than whoever subscribes has waited already."""
        return 0.0

    def client(self, url: str) -> Any:
        """Return the socket of an address, made where it is not there."""
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
        """Number the socket of a subscription; only exchanges that have several call this."""
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
        """Close a socket; whoever still hears it is told."""
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
            await _closed(line)  # nobody else knows of it any more
            raise

    async def fetch_order_book_snapshot(self, client: Any, message: Any, subscription: Any) -> Any:
        """Leave the whole book to who reads it from the frames."""
        reader = client.books.get(self.market_id(subscription["symbol"]))
        if reader is not None:
            reader.subscribed()
            return None
        return await super().fetch_order_book_snapshot(client, message, subscription)

    def get_cache_index(self, orderbook: Any, deltas: Any) -> Any:
        """Find the first change that leads on from a requested book; -1: it is too old."""
        number = stream_offer(type(self).__name__).change_number
        if number is None:
            return super().get_cache_index(orderbook, deltas)
        begun = int(orderbook["nonce"])
        later = [at for at, delta in enumerate(deltas) if int(delta[number]) > begun]
        if not deltas or later[:1] == [0]:
            return -1
        return later[0] if later else len(deltas)

    def authenticate(self, *args: Any, **named: Any) -> Any:
        """Sign a subscription where there is a key; public streams are had without one."""
        if not getattr(self, "apiKey", None) and not asyncio.iscoroutinefunction(
            super().authenticate
        ):
            return {}
        return super().authenticate(*args, **named)


@functools.cache
def stream_class(name: str, *, exact: bool = False) -> type[Any] | None:
    """Load ccxt.pro's class of one exchange, with `StreamConnector` mixed in; None: it has none."""
    prepare_packages()
    if importlib.util.find_spec(f"ccxt.pro.{name}") is None:
        return None
    theirs = getattr(importlib.import_module(f"ccxt.pro.{name}"), name)
    special = {
        "subscriptions_a_line": quirk(name).subscriptions_a_line,
        "plain_levels": False,  # ccxt changes the levels of the books that it keeps
    }
    ours = (StreamConnector, ExactNumbers) if exact else (StreamConnector,)
    attributes = connector_attributes(name, theirs, exact=exact)
    return type(name, (*ours, theirs), attributes | special)


async def _closed(line: Any) -> None:
    # aiohttp would wait ten seconds for the other end to say farewell as well.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_LONGEST_FAREWELL):
            await line.close()
