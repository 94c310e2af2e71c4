"""A server with the formats of exchanges that the simulator lacks, written by hand."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, Self

from aiohttp import web

from marketdata.sim.listening import Listener

MINUTE, HOUR, DAY = 60_000, 3_600_000, 86_400_000
DATE = "Wed, 01 May 2024 12:00:00 GMT"


class Asked(NamedTuple):
    """A received request."""

    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: str


class Status(NamedTuple):
    """An error response."""

    code: int


Route = Any
"""A response: JSON, a `Status`, or a function of `Asked` that returns one of these."""


class OtherExchange:
    """Answers each path with the response of the first matching pattern; else with 404.

    ``asked`` holds the requests. ``date`` is the Date header; None: the real time.
    """

    def __init__(self, routes: Mapping[str, Route], date: str | None = None) -> None:
        self.routes = dict(routes)
        self.date = date
        self.asked: list[Asked] = []
        self.url = ""

    def paths(self) -> list[str]:
        """The last part of each requested path."""
        return [one.path.rpartition("/")[2] for one in self.asked]

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(ready),), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        server = web.Server(self._answer, access_log=None, handler_cancellation=True)
        listener = Listener(web.ServerRunner(server, shutdown_timeout=0.1))
        self.url = await listener.start()
        ready.set()
        await self._leave.wait()
        await listener.stop()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        asked = Asked(
            request.path, dict(request.query), dict(request.headers), await request.text()
        )
        self.asked.append(asked)
        given: Any = Status(404)
        for pattern, route in self.routes.items():
            if fnmatchcase(request.path, pattern):
                given = route(asked) if callable(route) else route
                break
        if given is HANG:
            await asyncio.Event().wait()
        code = given.code if isinstance(given, Status) else 200
        body = {} if isinstance(given, Status) else given
        headers = {} if self.date is None else {"Date": self.date}
        return web.Response(
            text=json.dumps(body), status=code, content_type="application/json", headers=headers
        )


HANG = object()
"""No answer at all."""

# ---------------------------------------------------------------------------- what they send


def opened(step: int, bars_ago: int = 0) -> int:
    """The open time of the open bar, or of one before it (Unix ms)."""
    now = round(time.time() * 1000)
    return now - now % step - bars_ago * step


def wait_for_room(step: int) -> None:
    """Wait if a bar is about to end, so that a test runs within one bar."""
    left = (step - round(time.time() * 1000) % step) / 1000
    if left < 3:
        time.sleep(left)


def price(at: int) -> int:
    """The opening price of every bar at a time."""
    return 100 + at // MINUTE % 50


def bitso(*books: str) -> dict[str, Route]:
    """No bulk tickers, no time and no state."""
    known = {name: 100 + place for place, name in enumerate(books)}

    def ticker(asked: Asked) -> Any:
        name = asked.query["book"]
        return {
            "success": True,
            "payload": {
                "book": name,
                "last": f"{known[name]}.5",
                "bid": f"{known[name]}",
                "ask": f"{known[name] + 1}",
                "high": "120",
                "low": "90",
                "vwap": "100",
                "volume": "7",
                "created_at": "2024-05-01T12:00:00+00:00",
            },
        }

    def book(asked: Asked) -> Any:
        base = known[asked.query["book"]]
        return {
            "success": True,
            "payload": {
                "bids": [{"price": f"{base}", "amount": "2"}, {"price": "1", "amount": "3"}],
                "asks": [{"price": f"{base + 1}", "amount": "4"}],
                "updated_at": "2024-05-01T12:00:00+00:00",
            },
        }

    listed = [{"book": name, "tick_size": "0.01", "fees": {}} for name in books]
    return {
        "*/available_books": {"success": True, "payload": listed},
        "*/ticker": ticker,
        "*/order_book": book,
    }


def woo(*symbols: str, quiet: str = "") -> dict[str, Route]:
    """No tickers of spot pairs: one-minute and longer bars, and books."""

    def kline(asked: Asked) -> Any:
        step = {"1m": MINUTE, "5m": 5 * MINUTE, "15m": 15 * MINUTE}[asked.query["type"]]
        count = int(asked.query["limit"])
        rows = [
            {
                "open": str(price(at)),
                "high": str(price(at) + 3),
                "low": str(price(at) - 2),
                "close": str(price(at) + 1),
                "volume": "2",
                "startTimestamp": at,
            }
            for at in range(opened(step), opened(step, count), -step)
        ]
        return {"success": True, "data": {"rows": [] if asked.query["symbol"] == quiet else rows}}

    return {
        "*/instruments": {
            "success": True,
            "data": {
                "rows": [
                    {"symbol": name, "status": "TRADING", "baseTick": "0.01", "quoteTick": "0.1"}
                    for name in symbols
                ]
            },
        },
        "*/klineHistory": kline,
        "*/orderbook": {
            "success": True,
            "timestamp": round(time.time() * 1000),
            "data": {
                "bids": [{"price": "99", "quantity": "2"}],
                "asks": [{"price": "101", "quantity": "3"}],
            },
        },
        "*/systemInfo": {"success": True, "timestamp": 1714564800000, "data": {"status": 0}},
    }


def blockchaincom(bids: Any = (), asks: Any = ()) -> dict[str, Route]:
    """Tickers without bid and ask; neither candles nor trades."""
    return {
        "*/symbols": {
            "BTC-USD": {
                "base_currency": "BTC",
                "counter_currency": "USD",
                "id": 1,
                "status": "open",
                "min_price_increment": 1,
                "min_price_increment_scale": 2,
                "lot_size": 1,
                "lot_size_scale": 8,
                "min_order_size": 1,
                "min_order_size_scale": 4,
                "max_order_size": 0,
                "max_order_size_scale": 0,
            }
        },
        "*/tickers": [_BLOCKCHAINCOM],
        "*/tickers/BTC-USD": _BLOCKCHAINCOM,
        "*/l2/BTC-USD": {
            "symbol": "BTC-USD",
            "bids": [{"px": bid, "qty": 2, "num": 1} for bid in bids],
            "asks": [{"px": ask, "qty": 3, "num": 1} for ask in asks],
        },
    }


_BLOCKCHAINCOM = {
    "symbol": "BTC-USD",
    "price_24h": 90.0,
    "volume_24h": 5.0,
    "last_trade_price": 100.0,
}


def derive() -> dict[str, Route]:
    """No books; everything is posted, contracts are listed apart."""

    def instruments(asked: Asked) -> Any:
        kind = json.loads(asked.body)["instrument_type"]
        spot = {
            "instrument_type": "erc20",
            "instrument_name": "ETH-USDC",
            "base_currency": "ETH",
            "quote_currency": "USDC",
            "is_active": True,
            "tick_size": "0.01",
            "amount_step": "0.01",
            "minimum_amount": "0.1",
            "maximum_amount": "1000",
        }
        found = [spot] if kind == "erc20" else []
        return {"result": {"instruments": found, "pagination": {"count": len(found)}}}

    return {
        "*/get_all_instruments": instruments,
        "*/get_ticker": {
            "result": {
                "t": 1714564800000,
                "b": "99",
                "B": "2",
                "a": "101",
                "A": "3",
                "stats": {"h": "110", "l": "90", "c": "7", "v": "700", "p": "0.01"},
            }
        },
        "*/get_time": {"result": 1714564800000},
    }


def luno(trades: Any = ()) -> dict[str, Route]:
    """Candles for those with a key, trades for all."""

    def candles(asked: Asked) -> Any:
        step = int(asked.query["duration"]) * 1000
        since = -(-int(asked.query["since"]) // step) * step
        rows = [
            {
                "timestamp": at,
                "open": str(price(at)),
                "close": str(price(at) + 1),
                "high": str(price(at) + 2),
                "low": str(price(at) - 1),
                "volume": "2",
            }
            for at in range(since, opened(step) + 1, step)
        ]
        return {"candles": rows[:1000], "duration": step // 1000, "pair": "XBTZAR"}

    return {
        "*/markets": {
            "markets": [
                {
                    "market_id": "XBTZAR",
                    "trading_status": "ACTIVE",
                    "base_currency": "XBT",
                    "counter_currency": "ZAR",
                    "volume_scale": 6,
                    "price_scale": 0,
                }
            ]
        },
        "*/trades": {
            "trades": [
                {
                    "sequence": number,
                    "timestamp": at,
                    "price": str(cost),
                    "volume": "0.5",
                    "is_buy": True,
                }
                for number, (at, cost) in reversed(list(enumerate(trades, 1)))
            ]
        },
        "*/candles": candles,
    }


def bitflyer(trades: Any = ()) -> dict[str, Route]:
    """No candles; trades are newest first, as many as requested."""

    def executions(asked: Asked) -> Any:
        newest = [
            {
                "id": number,
                "side": "BUY",
                "price": cost,
                "size": 0.5,
                "exec_date": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)),
            }
            for number, (at, cost) in reversed(list(enumerate(trades, 1)))
        ]
        return newest[: int(asked.query.get("count", 100))]

    return {
        "*/getmarkets": [{"product_code": "BTC_JPY", "market_type": "Spot"}],
        "*/getmarkets/*": [],
        "*/getexecutions": executions,
    }


def p2b(ids: range = range(0)) -> dict[str, Route]:
    """Trades after an id only."""

    def history(asked: Asked) -> Any:
        after, limit = int(asked.query["lastId"]), int(asked.query["limit"])
        return {
            "success": True,
            "result": [
                {"id": one, "type": "buy", "time": 1714564800 + one, "amount": "1", "price": "100"}
                for one in ids
                if one > after
            ][:limit],
        }

    return {
        "*/markets": {
            "success": True,
            "result": [{"name": "BTC_USDT", "stock": "BTC", "money": "USDT", "limits": {}}],
        },
        "*/history": history,
    }


def pacifica() -> dict[str, Route]:
    """Bars from a time on only."""

    def kline(asked: Asked) -> Any:
        start, end = int(asked.query["start_time"]), int(asked.query["end_time"])
        first = -(-start // HOUR) * HOUR
        return {
            "success": True,
            "data": [
                {"t": at, "o": "10", "h": "12", "l": "9", "c": "11", "v": "2"}
                for at in range(first, min(end, opened(HOUR)) + 1, HOUR)
            ],
        }

    pair = {"symbol": "SOL-USDC", "instrument_type": "spot", "base_asset": "SOL"}
    return {
        "*/info": {"success": True, "data": [{**pair, "tick_size": "0.01", "lot_size": "0.01"}]},
        "*/kline": kline,
    }


def btcturk() -> dict[str, Route]:
    """Bars between two times, in seconds, as columns."""

    def history(asked: Asked) -> Any:
        begin, end = int(asked.query["from"]) * 1000, int(asked.query["to"]) * 1000
        assert begin >= 0, "from before 1970 on"
        times = range(-(-begin // HOUR) * HOUR, min(end, opened(HOUR)) + 1, HOUR)
        columns = {"o": 10.0, "h": 12.0, "l": 9.0, "c": 11.0, "v": 2.0}
        return {
            "s": "ok",
            "t": [at // 1000 for at in times],
            **{name: [value] * len(times) for name, value in columns.items()},
        }

    pair = {"name": "BTCTRY", "numerator": "BTC", "denominator": "TRY", "status": "TRADING"}
    scales = {"numeratorScale": 8, "denominatorScale": 0, "filters": []}
    return {
        "*/exchangeinfo": {"success": True, "data": {"symbols": [{**pair, **scales}]}},
        "*/klines/history": history,
    }


def zebpay() -> dict[str, Route]:
    """Bars between two times, both of which have to be named."""
    done = {"statusCode": 200, "statusDescription": "SUCCESS"}

    def klines(asked: Asked) -> Any:
        begin, end = int(asked.query["startTime"]), int(asked.query["endTime"])
        times = range(-(-begin // HOUR) * HOUR, min(end, opened(HOUR) + 1), HOUR)
        return {**done, "data": [[at, "10", "12", "9", "11", "2"] for at in times]}

    pair = {"symbol": "BTC-INR", "baseAsset": "BTC", "quoteAsset": "INR"}
    return {
        "*/exchangeInfo": {**done, "data": {"symbols": [{**pair, "lotSz": "0.1", "tickSz": "1"}]}},
        "*/klines": klines,
    }


def nado() -> dict[str, Route]:
    """The last bars up to a time, in seconds."""

    def candlesticks(asked: Asked) -> Any:
        wanted = json.loads(asked.body)["candlesticks"]
        until = min(wanted.get("max_time", 1 << 40) * 1000, opened(HOUR))
        last = until - until % HOUR
        return {
            "candlesticks": [
                {
                    "product_id": wanted["product_id"],
                    "timestamp": str(at // 1000),
                    **{f"{name}_x18": "10" + "0" * 18 for name in ("open", "high", "low", "close")},
                    "volume": "2" + "0" * 18,
                }
                for at in range(last, last - wanted["limit"] * HOUR, -HOUR)
            ]
        }

    return {
        "*/symbols": [{"type": "spot", "product_id": 3, "symbol": "WETH"}],
        "*/pairs": [{"product_id": 3, "ticker_id": "WETH_USDT0", "base": "WETH", "quote": "USDT0"}],
        "*/assets": [{"product_id": 3, "symbol": "WETH"}],
        "*/v1": candlesticks,
    }


def bithumb(has: int) -> dict[str, Route]:
    """The newest minutes, as many as requested and available; a start is not supported."""

    def minutes(asked: Asked) -> Any:
        step = int(asked.path.rpartition("/")[2]) * MINUTE
        count = min(int(asked.query["count"]), has, 200)
        return [
            {
                "market": "KRW-BTC",
                "candle_date_time_utc": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at // 1000)),
                "opening_price": price(at),
                "high_price": price(at) + 2,
                "low_price": price(at) - 1,
                "trade_price": price(at) + 1,
                "candle_acc_trade_volume": 2.5,
            }
            for at in range(opened(step), opened(step, count), -step)
        ]

    return {
        "*/market/all": [{"market": "KRW-BTC"}, {"market": "KRW-ETH"}],
        "*/candles/minutes/*": minutes,
    }


def cryptocom(*names: str) -> dict[str, Route]:
    """Tickers of one pair or of all."""
    return {
        "*/get-instruments": {
            "code": 0,
            "result": {
                "data": [
                    {
                        "symbol": name,
                        "inst_type": "CCY_PAIR",
                        "base_ccy": name.split("_")[0],
                        "quote_ccy": name.split("_")[1],
                        "tradable": True,
                    }
                    for name in names
                ]
            },
        },
        "*/get-tickers": {
            "code": 0,
            "result": {
                "data": [
                    {"i": name, "a": f"{place}.5", "b": f"{place}", "k": f"{place + 1}", "t": 1}
                    for place, name in enumerate(names, 1)
                ]
            },
        },
    }


def deribit(*names: str) -> dict[str, Route]:
    """Tickers of all pairs of one currency, which are not requested, and single ones."""

    def ticker(asked: Asked) -> Any:
        place = names.index(asked.query["instrument_name"]) + 1
        return {
            "result": {
                "instrument_name": asked.query["instrument_name"],
                "timestamp": 1714564800000,
                "last_price": place,
                "best_bid_price": place,
                "best_bid_amount": 1,
                "best_ask_price": place + 1,
                "best_ask_amount": 2,
            }
        }

    return {
        "*/get_instruments": {
            "result": [
                {
                    "kind": "spot",
                    "instrument_name": name,
                    "base_currency": name.split("_")[0],
                    "counter_currency": name.split("_")[1],
                    "is_active": True,
                }
                for name in names
            ]
        },
        "*/ticker": ticker,
    }


def coincheck() -> dict[str, Route]:
    """A ticker of one pair; the list of pairs is in ccxt."""
    return {
        "*/ticker": {"last": 10, "bid": 9, "ask": 11, "volume": 5, "timestamp": 1714564800},
        "*/order_books": {"bids": [["9", "1"]], "asks": [["11", "2"]]},
    }


def coinspot() -> dict[str, Route]:
    """Last prices for all, books for those with a key; the list of pairs is in ccxt."""
    return {
        "*/latest": {"status": "ok", "prices": {"btc": {"bid": "9", "ask": "11", "last": "10"}}}
    }


def alpaca() -> dict[str, Route]:
    """Even the list of pairs wants a key; prices do not."""
    book = {"t": "2024-05-01T12:00:00Z", "b": [{"p": 9, "s": 1}], "a": [{"p": 11, "s": 2}]}
    return {"*/latest/orderbooks": {"orderbooks": {"BTC/USD": book}}}
