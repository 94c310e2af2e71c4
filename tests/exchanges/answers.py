"""Responses about one pair in the exchanges' formats: from ccxt's parsers, or written by hand."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from inside.exchanges import connector_class, quirk

from .asking import PAIR, markets
from .ccxts_tickers import examples, fields

NUMBERS = {
    "last": "101",
    "close": "101",
    "bid": "100.5",
    "ask": "101.5",
    "open": "100",
    "low": "99",
    "high": "103",
    "vwap": "100.5",
    "average": "100.5",
    "change": "1",
    "percentage": "1",
    "baseVolume": "10",
    "quoteVolume": "1005",
    "previousClose": "100",
    "bidVolume": "1",
    "askVolume": "1",
    "timestamp": "1700000000000",
}
NAMES = {"id", "symbol", "market", "instId", "pair", "s", "i", "code", "name", "contract"} | {
    f"{one}{end}"
    for one in ("market", "product", "instrument", "symbol", "ticker", "trading", "currency")
    for end in ("_id", "Id", "_name", "Name", "_pair", "Pair", "_code", "Code")
}
"""Fields that may name the pair."""
ENVELOPES = ("data", "result", "ticker", "tickers", "tick", "payload", "item", "results")
OUTER_OF_ALL = ("products", "markets", "symbols", "list")
INNER = ("list", "data", "ticker", "tickers", "items", "rows", "1", "BTC")
REFUSED = {"DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE", "PAIR_NOT_SUPPORTED"}

UNASKED = {"hyperliquid", "nado", "revolutx", "woo"}
"""Their tickers come by name from a list of all pairs, or there are none."""
NOT_READ = {"alpaca", "bitteam", "coinbase", "coincheck", "coinspot", "derive", "lighter"}
"""What ccxt makes one ticker of is several answers, or under names of the moment."""
_BID_AND_ASK = {"bid": "100.5", "ask": "101.5"}
_BITFINEX = [100.5, 1.0, 101.5, 1.0, 1.0, 0.01, 101.0, 10.0, 103.0, 99.0]
_BTSE = {
    "symbol": "1",
    "lastPrice": "101",
    "openPrice": "100",
    "highPrice": "103",
    "lowPrice": "99",
    "bidPrice": "100.5",
    "askPrice": "101.5",
    "volume": "10",
    "quoteVolume": "1005",
    "openTime": 1_699_913_600,
    "closeTime": 1_700_000_000,
}
_COINONE = {
    "quote_currency": "usdt",
    "target_currency": "btc",
    "timestamp": 1_700_000_000_000,
    "high": "103",
    "low": "99",
    "first": "100",
    "last": "101",
    "quote_volume": "1005",
    "target_volume": "10",
    "best_asks": [{"price": "101.5", "qty": "1"}],
    "best_bids": [{"price": "100.5", "qty": "1"}],
}
_FOXBIT = {
    "market_symbol": "1",
    "last_trade": {"price": "101", "volume": "1", "date": "2024-01-01T00:00:00.000Z"},
    "rolling_24h": {
        "price_change": "1",
        "price_change_percent": "1",
        "volume": "10",
        "trades_count": "7",
        "open": "100",
        "high": "103",
        "low": "99",
    },
    "best": {
        "ask": {"price": "101.5", "volume": "1"},
        "bid": {"price": "100.5", "volume": "1"},
    },
}
_LBANK = {
    "symbol": "1",
    "ticker": {
        "high": "103",
        "vol": "10",
        "low": "99",
        "change": "1",
        "turnover": "1005",
        "latest": "101",
    },
    "timestamp": 1_700_000_000_000,
}

BOTH_BY_HAND: dict[str, Any] = {
    "alpaca": {
        "snapshots": {
            "1": {
                "dailyBar": {"o": 100, "h": 103, "l": 99, "c": 101, "v": 10, "vw": 100.5, "n": 9},
                "prevDailyBar": {"o": 90, "h": 91, "l": 80, "c": 100, "v": 5, "vw": 88, "n": 9},
                "latestQuote": {"bp": 100.5, "bs": 1, "ap": 101.5, "as": 1},
                "latestTrade": {"p": 101, "s": 1, "tks": "B"},
            }
        }
    },
    "coinspot": {"status": "ok", "prices": {"1": {**_BID_AND_ASK, "last": "101"}}},
    "foxbit": {"data": [_FOXBIT]},
    "hyperliquid": [
        {
            "universe": [{"name": "1", "tokens": [0, 1], "index": 0}],
            "tokens": [{"name": "BTC", "szDecimals": "5"}, {"name": "USDT", "szDecimals": "8"}],
        },
        [{"coin": "1", "prevDayPx": "100", "dayNtlVlm": "1005", "markPx": "101", "midPx": "101"}],
    ],
    "lbank": {"data": [_LBANK], "result": "true", "error_code": 0},
    "lighter": {
        "code": 200,
        "spot_order_book_details": [
            {
                "market_id": "1",
                "last_trade_price": 101,
                "daily_trades_count": 7,
                "daily_base_token_volume": 10,
                "daily_quote_token_volume": 1005,
                "daily_price_low": 99,
                "daily_price_high": 103,
                "daily_price_change": 1.0,
            }
        ],
    },
    "nado": {
        "1": {
            "product_id": "1",
            "last_price": 101,
            "base_volume": 10,
            "quote_volume": 1005,
            "price_change_percent_24h": 1,
        }
    },
    "revolutx": {
        "data": [
            {
                **_BID_AND_ASK,
                "symbol": "1",
                "last_price": "101",
                "high_24h": "103",
                "low_24h": "99",
                "price_change_24h": "1",
                "volume_24h": "10",
            }
        ],
        "metadata": {"timestamp": 1_700_000_000_000},
    },
}
"""Answers as the references of these have them: the same where one pair and where all are asked."""
ONE_BY_HAND: dict[str, Any] = {
    "bitfinex": _BITFINEX,
    "bitteam": {
        "result": {
            "pair": {
                "name": "1",
                "lastPrice": "101",
                "change24": "1",
                "volume24": 10,
                "quoteVolume24": 1005,
                "lowPrice24": 99,
                "highPrice24": 103,
                "asks": [{"price": "101.5", "quantity": "1"}],
                "bids": [{"price": "100.5", "quantity": "1"}],
            }
        }
    },
    "btse": {"data": _BTSE},
    "coinbase": {
        "trades": [{"product_id": "1", "price": "101", "size": "1", "side": "BUY"}],
        "best_bid": "100.5",
        "best_ask": "101.5",
    },
    "coincheck": {**_BID_AND_ASK, "last": 101, "high": 103, "low": 99, "volume": 10},
    "derive": {
        "result": {
            "t": 1_700_000_000_000,
            "A": "1",
            "a": "101.5",
            "B": "1",
            "b": "100.5",
            "stats": {"c": "10", "v": "1005", "n": 7, "h": "103", "l": "99", "p": "0.01"},
        }
    },
    "phemex": {
        "result": {
            "openEp": 10_000,
            "highEp": 10_300,
            "lowEp": 9_900,
            "lastEp": 10_100,
            "bidEp": 10_050,
            "askEp": 10_150,
            "turnoverEv": 100_500,
            "volumeEv": 1_000,
            "timestamp": 1_700_000_000_000_000_000,
        }
    },
}
ALL_BY_HAND: dict[str, Any] = {
    "bigone": {
        "code": 0,
        "data": [
            {
                "asset_pair_name": "1",
                "bid": {"price": "100.5", "order_count": 1, "quantity": "1"},
                "ask": {"price": "101.5", "order_count": 1, "quantity": "1"},
                "open": "100",
                "high": "103",
                "low": "99",
                "close": "101",
                "volume": "10",
                "daily_change": "1",
            }
        ],
    },
    "bingx": {
        "code": 0,
        "data": [
            {
                "symbol": "1",
                "openPrice": 100,
                "highPrice": 103,
                "lowPrice": 99,
                "lastPrice": 101,
                "volume": 10,
                "quoteVolume": 1005,
                "openTime": 1_699_913_600_000,
                "closeTime": 1_700_000_000_000,
                "askPrice": 101.5,
                "askQty": 1,
                "bidPrice": 100.5,
                "bidQty": 1,
                "priceChangePercent": "1.00%",
            }
        ],
    },
    "bitteam": [
        {
            "trading_pairs": "1",
            "last_price": 101,
            "lowest_ask": 101.5,
            "highest_bid": 100.5,
            "base_volume": 10,
            "quote_volume": 1005,
            "price_change_percent_24h": 1,
            "highest_price_24h": 103,
            "lowest_price_24h": 99,
        }
    ],
    "btse": {"data": [_BTSE]},
    "coinone": {"result": "success", "error_code": "0", "tickers": [_COINONE]},
    "delta": {
        "success": True,
        "result": [
            {
                "symbol": "1",
                "contract_type": "spot",
                "open": 100,
                "high": 103,
                "low": 99,
                "close": 101,
                "volume": 10,
                "turnover": 1005,
                "timestamp": 1_700_000_000_000_000,
                "quotes": {
                    "best_bid": "100.5",
                    "bid_size": "1",
                    "best_ask": "101.5",
                    "ask_size": "1",
                },
            }
        ],
    },
    "latoken": [
        {
            "symbol": "BTC/USDT",
            "baseCurrency": "BTC",
            "quoteCurrency": "USDT",
            "volume24h": "1005",
            "change24h": "1",
            "amount24h": "10",
            "lastPrice": "101",
            "bestBid": "100.5",
            "bestBidQuantity": "1",
            "bestAsk": "101.5",
            "bestAskQuantity": "1",
        }
    ],
}


def _woo() -> Any:
    """Return candles: Woo's tickers of spot pairs are made of them."""
    bar = {"open": "100", "close": "101", "high": "103", "low": "99", "volume": "1"}
    last = int(time.time()) // 300 * 300_000
    times = range(last - 288 * 300_000, last + 1, 300_000)
    rows = [{**bar, "symbol": "1", "type": "5m", "startTimestamp": one} for one in times]
    return {"success": True, "data": {"rows": rows}}


_PAIRS = {"coincheck": "BTC/JPY"}


def pair_of(exchange: str) -> str:
    """Return the pair that an exchange is asked for: all but one have tickers of any."""
    return _PAIRS.get(exchange, PAIR["pair"])


Row = dict[str, Any]


def rows(exchange: str) -> list[Row]:
    """Return answers about one pair, as they are inside of their envelopes."""
    found = examples(exchange)
    made: Row = {}
    for name, raw in fields(exchange, NUMBERS).items():
        made |= {one: NUMBERS[name] for one in raw if one not in made}
    return [*found, made] if made else found


def enveloped(row: Row) -> Iterator[Any]:
    row = {**row, **{name: "1" for name in row if name in NAMES and isinstance(row[name], str)}}
    good = {"code": "0", "retCode": 0, "success": True, "status": "ok", "ret_code": 0}
    for one in (row, [row]):
        yield one
        for outer in ENVELOPES:
            yield {**good, outer: one}
            for inner in INNER:
                yield {**good, outer: {inner: one}}
    yield {"1": row}
    for outer in OUTER_OF_ALL:
        yield {**good, outer: [row]}


def contradicted(value: Any, factor: float, turn: list[int]) -> Any:
    """Return an answer of which every second number is multiplied, and no name."""
    if isinstance(value, dict):
        return {
            name: one if name in NAMES else contradicted(one, factor, turn)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [one if one == "1" else contradicted(one, factor, turn) for one in value]
    try:
        number = float(value) if isinstance(value, str | int | float) else 1e12
    except ValueError:
        return value
    if isinstance(value, bool) or abs(number) >= 1e9:
        return value  # no price and no size, but a time
    turn[0] += 1
    return type(value)(number * factor) if turn[0] % 2 else value


def variants(answer: Any) -> Iterator[Any]:
    yield answer
    for factor in (3.0, 0.0, -1.0):
        for start in (0, 1):
            yield contradicted(answer, factor, [start])


async def understood(exchange: str, answers: Row, *, of_all: bool = False) -> Any:
    """Return an answer of which ccxt makes a ticker with a last price; None: there is none.

    ``answers`` is where a request finds it; ``of_all`` asks for the call for all pairs.
    """
    by_hand = BOTH_BY_HAND | (ALL_BY_HAND if of_all else ONE_BY_HAND)
    if exchange in by_hand:
        return by_hand[exchange]
    if exchange == "woo":
        return _woo()
    api = connector_class(exchange)({"enableRateLimit": False})
    pair, special = pair_of(exchange), quirk(exchange)
    try:
        if of_all and not (api.has.get("fetchTickers") and special.full_tickers):
            return None
        api.set_markets(markets(exchange))
        for row in rows(exchange):
            for answer in enveloped(row):
                answers[exchange] = answer
                try:
                    if of_all:
                        asked = None if special.tickers_of_all else [pair]
                        ticker = (await api.fetch_tickers(asked)).get(pair)
                    else:
                        ticker = await api.fetch_ticker(pair)
                except Exception:  # noqa: BLE001 - it is not that envelope
                    continue
                if ticker and ticker.get("last"):
                    return answer
    finally:
        await api.close()
    return None
