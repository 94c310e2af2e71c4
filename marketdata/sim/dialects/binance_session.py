"""A conversation on a socket of Binance: what is asked, answered and subscribed to."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from marketdata.sim.dialects.dialect import Call
from marketdata.sim.sockets.streams import Frame, Session, Subscription

_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")

Open = Callable[[str], Subscription | None]


class BinanceSession(Session):
    """A socket of /ws, or of /stream, which tells of each message what stream it is of.

    ``opener`` makes the subscription to a stream, None for one that there is not. ``streams`` are
    those that the path names.
    """

    def __init__(self, opener: Open, *, combined: bool, streams: Iterable[str] = ()) -> None:
        super().__init__()
        self._open = opener
        self._combined = combined
        self._add([opener(stream) for stream in streams])

    def receive(self, text: str, now: int) -> list[Frame]:
        """Answer a request to subscribe, to unsubscribe or to list what is subscribed to."""
        try:
            asked = json.loads(text)
        except ValueError as error:
            return [_refused(now, None, 3, f"Invalid JSON: {error}")]
        if not isinstance(asked, dict):
            return [_refused(now, None, 2, "Invalid request: request must be an object")]
        number, method = asked.get("id"), asked.get("method")
        if "method" not in asked:
            return [_refused(now, number, 2, "Invalid request: missing field `method`")]
        if method not in _METHODS:
            expected = ", ".join(f"`{name}`" for name in _METHODS)
            message = f"Invalid request: unknown variant `{method}`, expected one of {expected}"
            return [_refused(now, number, 2, message)]
        if method == "LIST_SUBSCRIPTIONS":
            return [_answer(now, number, list(self.subscriptions))]
        if method == "SET_PROPERTY":
            return self._set_property(asked, now)
        if method == "GET_PROPERTY":
            return [_answer(now, number, self._combined)]
        streams = asked.get("params")
        if not isinstance(streams, list) or not all(isinstance(name, str) for name in streams):
            return [_refused(now, number, 2, "Invalid request: params must be strings")]
        return self._change(method, streams, number, now)

    def wire(self, frame: Frame) -> str:
        """Wrap what a combined socket sends."""
        text = super().wire(frame)
        if self._combined and frame.source is not None:
            return f'{{"stream":"{frame.source.key}","data":{text}}}'
        return text

    def _change(self, method: str, streams: list[str], number: Any, now: int) -> list[Frame]:
        if method == "UNSUBSCRIBE":
            for stream in streams:
                self.subscriptions.pop(stream, None)
            return [_answer(now, number, None)]
        opened = [self._open(stream) for stream in streams]
        for stream, subscription in zip(streams, opened, strict=True):
            if subscription is None:
                return [_refused(now, number, 2, f"Invalid request: invalid stream {stream}")]
        self._add(opened)
        return [_answer(now, number, None)]

    def _add(self, opened: Iterable[Subscription | None]) -> None:
        for subscription in opened:
            if subscription is not None:
                self.subscriptions.setdefault(subscription.key, subscription)

    def _set_property(self, asked: Mapping[str, Any], now: int) -> list[Frame]:
        number = asked.get("id")
        match asked.get("params"):
            case ["combined", bool() as combined]:
                self._combined = combined
                return [_answer(now, number, None)]
            case ["combined", _]:
                return [_refused(now, number, 1, "Invalid value type: expected Boolean")]
        return [_refused(now, number, 0, "Unknown property")]


def single(opener: Open, call: Call) -> BinanceSession:
    """Open a socket of /ws; what follows in the path may be the names of streams."""
    return BinanceSession(opener, combined=False, streams=call.path.get("streams", "").split("/"))


def combined(opener: Open, call: Call) -> BinanceSession:
    """Open a socket of /stream; its query may name streams."""
    return BinanceSession(opener, combined=True, streams=call.query.get("streams", "").split("/"))


def _answer(now: int, number: Any, result: Any) -> Frame:
    return Frame(now, "reply", "", {"result": result, "id": number})


def _refused(now: int, number: Any, code: int, message: str) -> Frame:
    return Frame(now, "reply", "", {"error": {"code": code, "msg": message}, "id": number})
