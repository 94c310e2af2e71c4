"""The world's exchange on a socket, in two forms: Binance's, and HTX's with the newest first.

What is asked and answered there is known: which candles came in which answer.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from .world import OTHERS, PAIR, Candle, Exchange

PERIODS = {
    **{f"{minutes}min": f"{minutes}m" for minutes in (1, 5, 15, 30)},
    "60min": "1h",
    "4hour": "4h",
    "1day": "1d",
    "1week": "1w",
    "1mon": "1M",
    "1year": "1y",
}
"""HTX's names of timeframes, and ours."""


class Sent(NamedTuple):
    """An answer with candles."""

    pair: str
    timeframe: str
    candles: list[Candle]
    now: int
    """The time of the response on the exchange."""
    start: int | None = None
    limit: int = 0
    """The requested start and number."""


class Wire:
    """A server on the loopback; set ``exchange`` to the one whose answers it shall give."""

    def __init__(self) -> None:
        self.exchange: Exchange | None = None
        self.sent: list[Sent] = []
        self.on_tick: Callable[[], None] = lambda: None
        """Called when time has passed: our clock is to go on as well."""
        self.is_dated = True
        """Whether answers have a ``Date``."""
        self.answers = dict(_ANSWERS)
        """The handler of each path."""
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._lock = threading.Lock()
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """Listen no more."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, path: str, asked: Mapping[str, str]) -> tuple[int, Any, int]:
        """Return status, body and the time by the exchange's own clock."""
        exchange, answers = self.exchange, self.answers.get(path)
        assert exchange is not None
        with self._lock:
            if answers is None:
                status, body = 404, {"code": -1, "msg": "no such path"}
            else:
                status, body = answers(self, exchange, asked)
            return status, body, exchange.now + exchange.world.date

    def page(
        self,
        exchange: Exchange,
        pair: str,
        timeframe: str,
        start: int | None,
        limit: int,
        upto: int = 1 << 62,
    ) -> list[Candle]:
        """Return candles of the exchange up to a time, and remember that."""
        exchange.now += exchange.world.tick
        self.on_tick()
        found = exchange.page(pair, timeframe, start, limit)
        found = [one for one in found if one.time <= upto]
        self.sent.append(Sent(pair, timeframe, found, exchange.now, start, limit))
        return found


def _pair(symbol: str) -> str | None:
    return next((one for one in (PAIR, *OTHERS) if one.replace("/", "") == symbol.upper()), None)


def _binance_info(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    def one(pair: str) -> dict[str, Any]:
        base, quote = pair.split("/")
        return {
            "symbol": base + quote,
            "status": "TRADING",
            "isSpotTradingAllowed": True,
            "baseAsset": base,
            "quoteAsset": quote,
            "permissionSets": [["SPOT"]],
            "filters": [
                {"filterType": "PRICE_FILTER", "tickSize": "0.00100000"},
                {"filterType": "LOT_SIZE", "stepSize": "0.00100000", "minQty": "0.00100000"},
            ],
        }

    return 200, {"timezone": "UTC", "symbols": [one(pair) for pair in (PAIR, *OTHERS)]}


def _binance_klines(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    pair = _pair(asked["symbol"])
    if pair is None:
        return 400, {"code": -1121, "msg": "Invalid symbol."}
    start = int(asked["startTime"]) if "startTime" in asked else None
    limit = min(1_000, int(asked.get("limit", 500)))
    upto = int(asked.get("endTime", 1 << 62))
    found = wire.page(exchange, pair, asked["interval"], start, limit, upto)
    return 200, [
        [
            *(one.time, f"{one.open:.8f}", f"{one.high:.8f}", f"{one.low:.8f}"),
            *(f"{one.close:.8f}", f"{one.volume:.8f}", one.time, "0", one.trades, "0", "0", "0"),
        ]
        for one in found
    ]


def _htx_symbols(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    def one(pair: str) -> dict[str, Any]:
        base, quote = pair.lower().split("/")
        return {
            "base-currency": base,
            "quote-currency": quote,
            "symbol": base + quote,
            "state": "online",
            "api-trading": "enabled",
            "symbol-partition": "main",
            "price-precision": 3,
            "amount-precision": 3,
            "value-precision": 8,
        }

    return 200, {"status": "ok", "data": [one(pair) for pair in (PAIR, *OTHERS)]}


def _htx_candles(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    """Return the ``size`` oldest candles from ``from`` on, or the newest, the newest of them first.

    HTX documents the path with the newest first, without ``from``; that pages lead forward from
    it is what ccxt relies on, and what programs that page so have found.
    """
    pair, size = _pair(asked["symbol"]), int(asked.get("size", 150))
    if pair is None or not 1 <= size <= 2_000:
        return 200, {"status": "error", "err-code": "invalid-parameter", "err-msg": "invalid"}
    start = int(asked["from"]) * 1000 if "from" in asked else None
    upto = int(asked.get("to", 1 << 40)) * 1000
    found = wire.page(exchange, pair, PERIODS[asked["period"]], start, size, upto)
    rows = [
        {
            "id": one.time // 1000,
            "open": one.open,
            "close": one.close,
            "low": one.low,
            "high": one.high,
            "amount": one.volume,
            "vol": 1.0,
            "count": one.trades,
        }
        for one in reversed(found)
    ]
    now = exchange.now + exchange.world.date
    return 200, {"status": "ok", "ch": "market.kline", "ts": now, "data": rows}


Answer = Callable[[Wire, Exchange, Mapping[str, str]], tuple[int, Any]]
_ANSWERS: dict[str, Answer] = {
    "/api/v3/exchangeInfo": _binance_info,
    "/api/v3/klines": _binance_klines,
    "/v1/common/symbols": _htx_symbols,
    "/market/history/candles": _htx_candles,
}


def _handler(wire: Wire) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Head and body leave together: else the one waits for the other to be acknowledged.
        wbufsize = -1

        def do_GET(self) -> None:
            url = urlsplit(self.path)
            status, body, clock = wire.answer(url.path, dict(parse_qsl(url.query)))
            said = json.dumps(body).encode()
            self.send_response_only(status)
            # Whole seconds, rounded down, as servers write it.
            date = datetime.fromtimestamp(clock // 1000, UTC)
            if wire.is_dated:
                self.send_header("Date", format_datetime(date, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
