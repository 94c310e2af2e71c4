"""A conversation on a socket of Coinbase Exchange."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from marketdata.sim.dialects.dialect import Call
from marketdata.sim.sockets.streams import Frame, Session, Subscription

Open = Callable[[str, str], Subscription | None]
"""Makes a subscription of channel and product, None where there is no such product."""

_CHANNELS = ("heartbeat", "level2", "level2_batch", "matches", "ticker")
_SIGNED = ("level2", "level3", "full")
_SIGNATURE = ("signature", "key", "passphrase", "timestamp")


class CoinbaseSession(Session):
    """A socket of the root; ``opener`` makes its subscriptions."""

    def __init__(self, opener: Open) -> None:
        super().__init__()
        self._open = opener

    def receive(self, text: str, now: int) -> list[Frame]:
        """Answer a request to subscribe or to unsubscribe with all that is subscribed to."""
        try:
            asked = json.loads(text)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return [_refused(now, "Malformed JSON")]
        kind = asked.get("type")
        if kind not in ("subscribe", "unsubscribe"):
            reason = "Type has to be either subscribe or unsubscribe"
            return [_refused(now, "Failed to subscribe", reason)]
        wanted = _wanted(asked)
        if kind == "unsubscribe":
            for channel, product in wanted:
                self._drop(channel, product)
            return [self._held(now)]
        opened: list[Subscription] = []
        for channel, product in wanted:
            found = self._opened(channel, product, asked)
            if isinstance(found, str):
                return [_refused(now, "Failed to subscribe", found)]
            opened.append(found)
        new = {one.key: one for one in opened if one.key not in self.subscriptions}
        self.subscriptions.update(new)
        opening = [frame for one in new.values() for frame in one.opening(now)]
        return [self._held(now), *opening]

    def _opened(self, channel: str, product: str, asked: Mapping[str, Any]) -> Subscription | str:
        if channel in _SIGNED and not all(asked.get(name) for name in _SIGNATURE):
            return "level2, level3, and full channels now require authentication"
        if channel not in _CHANNELS:
            return f"{channel} is not a valid channel"
        return self._open(channel, product) or f"{product} is not a valid product"

    def _drop(self, channel: str, product: str) -> None:
        for key, held in list(self.subscriptions.items()):
            if held.channel == channel and product in ("", held.symbol):
                del self.subscriptions[key]

    def _held(self, now: int) -> Frame:
        products: dict[str, list[str]] = {}
        for held in self.subscriptions.values():
            products.setdefault(held.channel, []).append(held.symbol)
        channels = [
            {"name": name, "product_ids": ids, "account_ids": None}
            for name, ids in products.items()
        ]
        return Frame(now, "reply", "", {"type": "subscriptions", "channels": channels})


def session(opener: Open, _call: Call) -> CoinbaseSession:
    """Open a socket of the root."""
    return CoinbaseSession(opener)


def _wanted(asked: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return channels and products; products may be given for all channels or for one."""
    common = _list(asked.get("product_ids")) or [""]
    wanted = []
    for channel in _list(asked.get("channels")):
        if isinstance(channel, dict):
            name, products = channel.get("name"), _list(channel.get("product_ids")) or common
        else:
            name, products = channel, common
        wanted += [(str(name), str(product)) for product in products]
    return wanted


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _refused(now: int, message: str, reason: str | None = None) -> Frame:
    why = {} if reason is None else {"reason": reason}
    return Frame(now, "reply", "", {"type": "error", "message": message, **why})
