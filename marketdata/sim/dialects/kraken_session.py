"""A conversation on a socket of Kraken, version 2."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Callable, Mapping
from typing import Any

from marketdata.sim.dialects.dialect import Call
from marketdata.sim.dialects.times import iso
from marketdata.sim.markets.bars import SECOND
from marketdata.sim.sockets.streams import Frame, Session, Subscription, multiples

Open = Callable[[str, str, Mapping[str, Any]], Subscription | str]
"""Makes a subscription of channel, symbol and parameters, or tells why there is none."""

DEPTHS = (10, 25, 100, 500, 1000)
"""How many rows a side a book may have."""

_RAW = "\0"
_RAW_JSON = re.compile(r'"\\u0000([^"]*)"')
_CHANNELS = ("book", "ohlc", "ticker", "trade")


def raw(number: str) -> str:
    """Mark a number that is sent with all its zeros and without quotes."""
    return _RAW + number


class KrakenSession(Session):
    """A socket of /v2; ``opener`` makes its subscriptions."""

    def __init__(self, opener: Open) -> None:
        super().__init__()
        self._open = opener
        self._told = 0

    def greet(self, now: int) -> list[Frame]:
        """Tell the state of the exchange."""
        state = {
            "version": "2.0.10",
            "system": "online",
            "api_version": "v2",
            "connection_id": now * 4_096 + 1,
        }
        body = {"channel": "status", "type": "update", "data": [state]}
        return [Frame(now, "status", "", body)]

    def receive(self, text: str, now: int) -> list[Frame]:
        """Answer a ping or a request to subscribe or to unsubscribe, symbol by symbol."""
        try:
            asked = json.loads(text)
        except ValueError:
            asked = None
        if not isinstance(asked, dict):
            return [_reply(now, {"error": "Malformed request", "success": False}, {})]
        method = asked.get("method")
        if method == "ping":
            return [_reply(now, {"method": "pong"}, asked, "pong")]
        params = asked.get("params")
        if method not in ("subscribe", "unsubscribe") or not isinstance(params, dict):
            body = {"error": "Malformed request", "method": method, "success": False}
            return [_reply(now, body, asked)]
        channel, symbols = params.get("channel"), params.get("symbol")
        if channel not in _CHANNELS:
            return [_refused(now, asked, "Subscription name invalid")]
        if not isinstance(symbols, list) or not symbols:
            return [_refused(now, asked, "Symbol field must be an array")]
        change = self._subscribe if method == "subscribe" else self._unsubscribe
        return [
            frame
            for symbol in symbols
            for frame in change(channel, str(symbol), params, asked, now)
        ]

    def frames(self, after: int, until: int) -> list[Frame]:
        """Send heartbeats where a second has passed without anything else."""
        found = super().frames(after, until)
        if not self.subscriptions:
            return found
        times = [frame.ms for frame in found]
        beats = []
        for ms in multiples(SECOND, after, until):
            before = bisect_right(times, ms)
            self._told = times[before - 1] if before else self._told
            if ms - self._told >= SECOND:
                beats.append(Frame(ms, "heartbeat", "", {"channel": "heartbeat"}))
        self._told = times[-1] if times else self._told
        return sorted(found + beats, key=lambda frame: frame.ms)

    def wire(self, frame: Frame) -> str:
        """Write numbers that are marked as such with all their zeros."""
        return _RAW_JSON.sub(r"\1", super().wire(frame))

    def _subscribe(
        self, channel: str, symbol: str, params: dict[str, Any], asked: dict[str, Any], now: int
    ) -> list[Frame]:
        opened = self._open(channel, symbol, params)
        if isinstance(opened, str):
            return [_refused(now, asked, opened, symbol)]
        if opened.key in self.subscriptions:
            return [_refused(now, asked, "Already subscribed", symbol)]
        self.subscriptions[opened.key] = opened
        self._told = now
        result = {**params, "symbol": symbol}
        result.setdefault("snapshot", True)
        if channel == "book":
            result.setdefault("depth", 10)
        if channel == "ticker":
            result.setdefault("event_trigger", "trades")
        if channel == "ohlc":
            result.setdefault("interval", 1)
        body = {"method": "subscribe", "result": result, "success": True}
        opening = opened.opening(now) if result["snapshot"] else []
        return [_reply(now, body, asked), *opening]

    def _unsubscribe(
        self, channel: str, symbol: str, params: dict[str, Any], asked: dict[str, Any], now: int
    ) -> list[Frame]:
        opened = self._open(channel, symbol, params)
        if isinstance(opened, str):
            return [_refused(now, asked, opened, symbol)]
        if self.subscriptions.pop(opened.key, None) is None:
            return [_refused(now, asked, "Subscription Not Found", symbol)]
        body = {"method": "unsubscribe", "result": {**params, "symbol": symbol}, "success": True}
        return [_reply(now, body, asked)]


def session(opener: Open, _call: Call) -> KrakenSession:
    """Open a socket of /v2."""
    return KrakenSession(opener)


def _refused(now: int, asked: Mapping[str, Any], error: str, symbol: str = "") -> Frame:
    text = f"{error} {symbol}" if error == "Currency pair not supported" else error
    about = {"symbol": symbol} if symbol else {}
    body = {"error": text, "method": asked.get("method"), "success": False, **about}
    return _reply(now, body, asked)


def _reply(
    now: int, body: Mapping[str, Any], asked: Mapping[str, Any], channel: str = "reply"
) -> Frame:
    times = {"time_in": iso(now * 1000), "time_out": iso(now * 1000)}
    number = {"req_id": asked["req_id"]} if "req_id" in asked else {}
    return Frame(now, channel, "", {**body, **times, **number})
