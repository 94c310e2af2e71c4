"""Formats of exchanges, written by hand from their references: pairs, tickers and books."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qsl, urlsplit


class Asked(NamedTuple):
    """A request as it came."""

    path: str
    query: dict[str, str]


class Answer(NamedTuple):
    """An answer that is more than JSON with status 200."""

    body: Any
    status: int = 200
    headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it


Route = Any
"""What is sent as JSON, an `Answer`, or a function of `Asked` that gives one of these."""


class Wire:
    """A server that answers a path with what the first of ``routes`` that is part of it holds."""

    def __init__(self, routes: dict[str, Route]) -> None:
        self.routes = dict(routes)
        self.asked: list[Asked] = []
        wire = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                found = wire._found(urlsplit(self.path))
                body = found.body
                if not isinstance(body, bytes | str):
                    body = json.dumps(body)
                body = body.encode() if isinstance(body, str) else body
                headers = {
                    "Content-Type": "application/json",
                    "Date": self.date_time_string(),
                    **found.headers,
                }
                self.send_response_only(found.status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET  # noqa: N815

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _found(self, url: Any) -> Answer:
        asked = Asked(url.path, dict(parse_qsl(url.query)))
        self.asked.append(asked)
        for part, route in self.routes.items():
            if part in url.path:
                found = route(asked) if callable(route) else route
                return found if isinstance(found, Answer) else Answer(found)
        return Answer({}, 404)

    def paths(self, part: str = "") -> list[Asked]:
        """Return the requests whose path has this part."""
        return [one for one in self.asked if part in one.path]

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()


def now() -> int:
    return int(time.time() * 1000)


def binance_symbol(base: str, quote: str, status: str = "TRADING") -> dict[str, Any]:
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1e6", "tickSize": "0.01"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "9000", "stepSize": "0.001"},
    ]
    return {
        "symbol": f"{base}{quote}",
        "status": status,
        "baseAsset": base,
        "baseAssetPrecision": 8,
        "quoteAsset": quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "orderTypes": ["LIMIT"],
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": filters,
        "permissions": [],
        "permissionSets": [["SPOT"]],
    }


def binance_ticker(symbol: str, **changed: str) -> dict[str, Any]:
    """A ticker of 24 hours; zeros in place of prices for ``last="0"``."""
    sent: dict[str, Any] = {
        "symbol": symbol,
        "priceChange": "1.00",
        "priceChangePercent": "1.010",
        "weightedAvgPrice": "99.50",
        "prevClosePrice": "99.00",
        "lastPrice": "100.00",
        "lastQty": "0.1",
        "bidPrice": "99.99",
        "bidQty": "3",
        "askPrice": "100.01",
        "askQty": "2",
        "openPrice": "99.00",
        "highPrice": "101.00",
        "lowPrice": "98.00",
        "volume": "1000.0",
        "quoteVolume": "99500.0",
        "openTime": now() - 86_400_000,
        "closeTime": now(),
        "firstId": 1,
        "lastId": 100,
        "count": 100,
    }
    return sent | changed


_PRICES = (
    *("priceChange", "weightedAvgPrice", "prevClosePrice", "lastPrice", "lastQty", "bidPrice"),
    *("bidQty", "askPrice", "askQty", "openPrice", "highPrice", "lowPrice"),
    *("volume", "quoteVolume"),
)
NOTHING = {**dict.fromkeys(_PRICES, "0.00000000"), "priceChangePercent": "0.000"}
"""What Binance sends of a pair that was never traded."""


def binance(
    tickers: dict[str, dict[str, Any]], book: Any = None, **routes: Route
) -> dict[str, Route]:
    """Binance with these tickers by their symbols, all with USDT."""

    def of(make: Callable[[dict[str, Any]], Any]) -> Route:
        def route(asked: Asked) -> Any:
            if "symbol" in asked.query:
                return make(tickers[asked.query["symbol"]])
            wanted = json.loads(asked.query.get("symbols", "null")) or list(tickers)
            return [make(tickers[one]) for one in wanted]

        return route

    best = ("symbol", "bidPrice", "bidQty", "askPrice", "askQty")
    return {
        **routes,
        "/exchangeInfo": {
            "timezone": "UTC",
            "serverTime": now(),
            "rateLimits": [],
            "exchangeFilters": [],
            "symbols": [binance_symbol(one.removesuffix("USDT"), "USDT") for one in tickers],
        },
        "/ticker/24hr": of(lambda one: one),
        "/ticker/bookTicker": of(lambda one: {name: one[name] for name in best}),
        "/depth": book
        if book is not None
        else {"lastUpdateId": 5, "bids": [["99.99", "1"]], "asks": [["100.01", "1"]]},
    }
