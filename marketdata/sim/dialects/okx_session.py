"""A conversation on a socket of OKX."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from marketdata.sim.dialects.dialect import Call
from marketdata.sim.sockets.streams import Frame, Session, Subscription

Open = Callable[[str, str], Subscription | None]
"""Makes a subscription of channel and instrument, None for one that there is not."""

_CONNECTION = "a4d3ae55"
_BUSINESS = ("candle", "trades-all")


class OkxSession(Session):
    """A socket of /ws/v5/public, or of /ws/v5/business, which has candles.

    ``opener`` makes its subscriptions; a socket that is neither has both. Who logs in is believed.
    """

    def __init__(self, opener: Open, *, business: bool | None) -> None:
        super().__init__()
        self._open = opener
        self._business = business

    def receive(self, text: str, now: int) -> list[Frame]:
        """Answer a ping or a request to subscribe or to unsubscribe, argument by argument."""
        if text == "ping":
            return [Frame(now, "pong", "", "pong")]
        try:
            asked = json.loads(text)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return [_refused(now, "60012", f"Illegal request: {text}", {})]
        number = {"id": asked["id"]} if "id" in asked else {}
        operation, arguments = asked.get("op"), asked.get("args")
        if operation == "login":
            return [_reply(now, {"event": "login", "code": "0", "msg": ""}, number)]
        if operation not in ("subscribe", "unsubscribe") or not isinstance(arguments, list):
            return [_refused(now, "60012", f"Illegal request: {text}", number)]
        change = self._subscribe if operation == "subscribe" else self._unsubscribe
        return [frame for one in arguments for frame in change(one, number, now)]

    def _subscribe(self, argument: Any, number: dict[str, Any], now: int) -> list[Frame]:
        channel, instrument = _named(argument)
        allowed = self._business in (None, channel.startswith(_BUSINESS))
        opened = self._open(channel, instrument) if allowed else None
        if opened is None:
            message = f"Wrong URL or channel:{channel},instId:{instrument} doesn't exist."
            return [_refused(now, "60018", f"{message} Please use the correct URL.", number)]
        frames = [_reply(now, {"event": "subscribe", "arg": argument}, number)]
        if opened.key not in self.subscriptions:
            self.subscriptions[opened.key] = opened
            frames += opened.opening(now)
        return frames

    def _unsubscribe(self, argument: Any, number: dict[str, Any], now: int) -> list[Frame]:
        channel, instrument = _named(argument)
        for key, held in list(self.subscriptions.items()):
            if (held.channel, held.symbol) == (channel, instrument):
                del self.subscriptions[key]
        return [_reply(now, {"event": "unsubscribe", "arg": argument}, number)]


def public(opener: Open, _call: Call) -> OkxSession:
    """Open a socket of /ws/v5/public."""
    return OkxSession(opener, business=False)


def business(opener: Open, _call: Call) -> OkxSession:
    """Open a socket of /ws/v5/business."""
    return OkxSession(opener, business=True)


def _named(argument: Any) -> tuple[str, str]:
    if not isinstance(argument, dict):
        return "", ""
    return str(argument.get("channel", "")), str(argument.get("instId", ""))


def _refused(now: int, code: str, message: str, number: dict[str, Any]) -> Frame:
    return _reply(now, {"event": "error", "msg": message, "code": code}, number)


def _reply(now: int, body: dict[str, Any], number: dict[str, Any]) -> Frame:
    return Frame(now, "reply", "", {**number, **body, "connId": _CONNECTION})
