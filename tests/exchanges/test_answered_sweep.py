"""What every exchange answers about prices and fees, right or contradicting itself, holds together.

The answers are those that ccxt's parsers show or, where they show none, made of the fields that
they read. They reach the operations through the real connectors.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ccxt.async_support.base.exchange import Exchange

import marketdata as md
from marketdata._exchanges.connector import connector_class

from .asking import PAIR, World, markets
from .ccxts_tickers import examples, fields, spot_exchanges
from .invariants import check_fees, check_ticker

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
INNER = ("list", "data", "ticker", "tickers", "items", "rows", "1", "BTC")
REFUSED = {"DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE", "PAIR_NOT_SUPPORTED"}

UNASKED = {"hyperliquid", "nado", "revolutx", "woo"}
"""Their tickers come by name from a list of all pairs, or there are none."""
NOT_READ = {"alpaca", "bitteam", "coinbase", "coincheck", "coinspot", "derive", "lighter"}
"""What ccxt makes one ticker of is several answers, or under names of the moment."""
BY_HAND: dict[str, Any] = {
    "bitfinex": [100.5, 1.0, 101.5, 1.0, 1.0, 0.01, 101.0, 10.0, 103.0, 99.0],
    "btse": {
        "data": {
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
    },
    "foxbit": {
        "data": [
            {
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
        ]
    },
    "lbank": {
        "data": [
            {
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
        ],
        "result": "true",
        "error_code": 0,
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
"""Answers as the references of these have them."""

Row = dict[str, Any]


def rows(exchange: str) -> list[Row]:
    """Give answers about one pair, as they are inside of their envelopes."""
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


def contradicted(value: Any, factor: float, turn: list[int]) -> Any:
    """Give an answer of which every second number is multiplied."""
    if isinstance(value, dict):
        return {name: contradicted(one, factor, turn) for name, one in value.items()}
    if isinstance(value, list):
        return [contradicted(one, factor, turn) for one in value]
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


async def understood(exchange: str, answers: dict[str, Any]) -> Any:
    """Give an answer of which ccxt makes a ticker with a last price; None: there is none."""
    if exchange in BY_HAND:
        return BY_HAND[exchange]
    api = connector_class(exchange)({"enableRateLimit": False})
    try:
        api.set_markets([one.raw for one in markets(exchange)])
        for row in rows(exchange):
            for answer in enveloped(row):
                answers[exchange] = answer
                try:
                    ticker = await api.fetch_ticker(PAIR["pair"])
                except Exception:  # noqa: BLE001 - it is not that envelope
                    continue
                if ticker and ticker.get("last"):
                    return answer
    finally:
        await api.close()
    return None


def test_tickers_and_fees_of_every_exchange_hold_together(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: dict[str, Any] = {}

    async def fetch(self: Any, *_: Any, **__: Any) -> Any:
        return copy.deepcopy(answers[type(self).__name__])

    monkeypatch.setattr(Exchange, "fetch", fetch)
    given: set[str] = set()
    wrong: list[str] = []

    async def one(world: World, exchange: str) -> None:
        answer = await understood(exchange, answers)
        if answer is None:
            return
        for said in variants(answer):
            answers[exchange] = said
            came = (await world.asks(exchange, "ticker", PAIR)).came
            try:
                if isinstance(came, md.Ticker):
                    given.add(exchange)
                    check_ticker(came)
                else:
                    assert isinstance(came, md.MarketDataError)
                    assert came.code in REFUSED
            except AssertionError as error:
                wrong.append(f"{exchange} {said}: {came!r}: {error}")
        try:
            check_fees((await world.asks(exchange, "fees", PAIR)).came)
        except AssertionError as error:
            wrong.append(f"{exchange} fees: {error}")

    async def all_of_them() -> None:
        async with World.begun(home, spot_exchanges(), trip_after=10**6) as world:
            await asyncio.gather(*(one(world, name) for name in spot_exchanges()))

    asyncio.run(all_of_them())
    assert wrong == []
    assert set(spot_exchanges()) - given == UNASKED | NOT_READ
