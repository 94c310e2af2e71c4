"""How the frames of a recording are told apart, for the exchanges that are spoken here."""

from __future__ import annotations

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from marketdata.sim.dialects import binance_session, coinbase_session, kraken_session, okx_session
from marketdata.sim.dialects.kraken_session import raw
from marketdata.sim.recorded.books import KeptBook
from marketdata.sim.recorded.reels import Reel, Shot
from marketdata.sim.sockets.streams import Frame, Session, Subscription, compact

_WRAPPED = re.compile(r'\{"stream":"([^"]+)","data":(.*)\}', re.DOTALL)
_STREAM = re.compile(r"([^@]+)@(\w+)(?:@(?:100ms|1000ms))?")
_DEPTH = re.compile(r"/api/v[13]/depth")


class Subject(NamedTuple):
    """What a frame is about, in the exchange's names."""

    channel: str
    symbol: str


class Played(Subscription):
    """The recorded frames of one channel and market; ``book`` is what they tell of a book."""

    def __init__(
        self, channel: str, symbol: str, key: str, reel: Reel, book: KeptBook | None
    ) -> None:
        super().__init__(channel, symbol, key)
        self._reel = reel
        self._book = book
        self._told = 0

    def opening(self, now: int) -> list[Frame]:
        """Send the book, if it is known by now; otherwise a recorded snapshot is to come."""
        body = self._book.opening(now) if self._book else None
        return [] if body is None else [self.frame(now, body)]

    def frames(self, after: int, until: int) -> list[Frame]:
        """Send what was recorded."""
        return [self._shown(shot) for shot in self._reel.between(after, until)]

    def overtaken(self, frame: Frame) -> bool:
        """Return whether a flood has sent it."""
        return 0 < frame.order <= self._told

    def flood(self, frame: Frame, count: int) -> list[Frame]:
        """Send the frames that were recorded after it ahead of their time."""
        told = max(frame.order, self._told)
        later = self._reel.shots[self._reel.index(frame.ms - 1) :]
        shots = [shot for shot in later if shot.order > told][:count]
        if shots:
            self._told = shots[-1].order
        return [frame, *map(self._shown, shots)]

    def stray(self, frame: Frame) -> Frame:
        """Bid far more than is asked."""
        body = frame.body
        if isinstance(body, str):
            body = json.loads(body, parse_float=raw)
        crossed = _crossed(body)
        return frame if crossed is None else frame._replace(body=crossed)

    def miscounted(self, frame: Frame) -> Frame:
        """Change the checksum's digits, and nothing else."""
        text = frame.body if isinstance(frame.body, str) else compact(frame.body)
        changed = re.sub(r'("checksum":\s*-?)(\d+)', _other, text)
        return frame._replace(body=changed)

    def _shown(self, shot: Shot) -> Frame:
        return self.frame(shot.ms, shot.text, shot.order)


Play = Callable[[Subject, str, str, str], Played | None]
"""Makes the subscription to a subject, given its channel, symbol and key as a client has them."""


class Reader(ABC):
    """What is known of one exchange's frames."""

    @abstractmethod
    def read(self, text: str) -> tuple[Subject, str] | None:
        """Return what a frame is about, and its text outside of any wrapping; None for others."""

    @abstractmethod
    def source(self, play: Play) -> Any:
        """Return what the exchange's sessions are opened with."""

    @abstractmethod
    def session(self, source: Any) -> Session:
        """Return a session that reads what clients ask for."""

    def book_of(self, path: str, query: Mapping[str, str]) -> Subject | None:  # noqa: ARG002
        """Return which streamed book a request asks for, where books begin with an answer."""
        return None

    def asked(self, text: str) -> list[Subject]:
        """Return what a client has asked for."""
        found: list[Subject] = []

        def note(subject: Subject, channel: str, symbol: str, key: str) -> Played:
            found.append(subject)
            return Played(channel, symbol, key, Reel(), None)

        self.session(self.source(note)).receive(text, 0)
        return found


class _Binance(Reader):
    _kinds = {"depthUpdate": "depth", "24hrTicker": "ticker", "24hrMiniTicker": "miniTicker"}  # noqa: RUF012

    def read(self, text: str) -> tuple[Subject, str] | None:
        wrapped = _WRAPPED.fullmatch(text)
        if wrapped:
            subject = self._named(str(wrapped[1]))
            return (subject, wrapped[2]) if subject else None
        body = _json(text)
        if not isinstance(body, dict) or "s" not in body:
            return None
        kind: str = body.get("e", "bookTicker")
        if kind == "kline":
            kind = f"kline_{body['k']['i']}"
        return Subject(self._kinds.get(kind, kind), body["s"]), text

    def source(self, play: Play) -> Any:
        def opener(stream: str) -> Subscription | None:
            subject = self._named(stream)
            return play(subject, *subject, stream) if subject else None

        return opener

    def session(self, source: Any) -> Session:
        return binance_session.BinanceSession(source, combined=False)

    def book_of(self, path: str, query: Mapping[str, str]) -> Subject | None:
        if _DEPTH.fullmatch(path) and "symbol" in query:
            return Subject("depth", query["symbol"].upper())
        return None

    def _named(self, stream: str) -> Subject | None:
        match = _STREAM.fullmatch(stream)
        return Subject(match[2], match[1].upper()) if match else None


class _Kraken(Reader):
    def read(self, text: str) -> tuple[Subject, str] | None:
        body = _json(text)
        if not isinstance(body, dict) or not body.get("data") or "channel" not in body:
            return None
        data = body["data"][0]
        if "symbol" not in data:
            return None
        return self._subject(body["channel"], data["symbol"], data), text

    def source(self, play: Play) -> Any:
        def opener(channel: str, symbol: str, params: Mapping[str, Any]) -> Subscription | str:
            subject = self._subject(channel, symbol, params)
            played = play(subject, channel, symbol, f"{subject.channel}/{symbol}")
            return played or "Currency pair not supported"

        return opener

    def session(self, source: Any) -> Session:
        return kraken_session.KrakenSession(source)

    def _subject(self, channel: str, symbol: str, about: Mapping[str, Any]) -> Subject:
        if channel == "ohlc":
            return Subject(f"ohlc-{about.get('interval', 1)}", symbol)
        return Subject(channel, symbol)


class _Coinbase(Reader):
    _kinds = {  # noqa: RUF012
        "snapshot": "level2",
        "l2update": "level2",
        "match": "matches",
        "last_match": "matches",
        "ticker": "ticker",
        "heartbeat": "heartbeat",
    }

    def read(self, text: str) -> tuple[Subject, str] | None:
        body = _json(text)
        if not isinstance(body, dict) or body.get("type") not in self._kinds:
            return None
        return Subject(self._kinds[body["type"]], body["product_id"]), text

    def source(self, play: Play) -> Any:
        def opener(channel: str, product: str) -> Subscription | None:
            kind = "level2" if channel == "level2_batch" else channel
            return play(Subject(kind, product), channel, product, f"{channel}/{product}")

        return opener

    def session(self, source: Any) -> Session:
        return coinbase_session.CoinbaseSession(source)


class _Okx(Reader):
    def read(self, text: str) -> tuple[Subject, str] | None:
        body = _json(text)
        if not isinstance(body, dict) or "event" in body or "arg" not in body:
            return None
        argument = body["arg"]
        return Subject(argument["channel"], argument.get("instId", "")), text

    def source(self, play: Play) -> Any:
        def opener(channel: str, instrument: str) -> Subscription | None:
            subject = Subject(channel, instrument)
            return play(subject, channel, instrument, f"{channel}/{instrument}")

        return opener

    def session(self, source: Any) -> Session:
        return okx_session.OkxSession(source, business=None)


READERS: dict[str, Reader] = {
    "binance": _Binance(),
    "kraken": _Kraken(),
    "coinbaseexchange": _Coinbase(),
    "okx": _Okx(),
}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _crossed(body: Any) -> Any:
    """Return a frame of a book with a bid at twice its highest price; None for other frames."""
    match body:
        case {"b": [*bids], "a": [*asks]}:
            return {**body, "b": [[_far(row[0] for row in [*bids, *asks]), "1"], *bids]}
        case {"changes": [*rows]}:
            return {**body, "changes": [["buy", _far(row[1] for row in rows), "1"], *rows]}
        case {"data": [{"bids": [*bids], "asks": [*asks]} as data]}:
            rows = [*bids, *asks]
            if rows and isinstance(rows[0], dict):
                stray: Any = {"price": raw(_far(row["price"] for row in rows)), "qty": raw("1.0")}
            else:
                stray = [_far(row[0] for row in rows), "1", "0", "1"]
            return {**body, "data": [{**data, "bids": [stray, *bids]}]}
    return None


def _far(prices: Iterable[Any]) -> str:
    return format(2 * max([Decimal(str(price).lstrip("\0")) for price in prices], default=1), "f")


def _other(match: re.Match[str]) -> str:
    return f"{match[1]}{int(match[2]) ^ 1}"
