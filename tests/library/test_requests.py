"""The exact requests of each operation: none that its answer does not need."""

from __future__ import annotations

from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .markets import DIALECTS

LISTS = {
    "binance": "/api/v3/exchangeInfo",
    "kraken": "/0/public/AssetPairs",
    "coinbaseexchange": "/products",
    "okx": "/api/v5/public/instruments",
}

# Operation, arguments, and the last parts of the paths asked for, per exchange.
NEEDED: list[tuple[str, dict[str, Any], dict[str, list[str]]]] = [
    ("pairs", {}, {exchange: [] for exchange in DIALECTS}),
    (
        "ticker",
        {"pair": "BTC/USDT"},
        {
            "binance": ["24hr"],
            "kraken": ["Ticker"],
            "coinbaseexchange": ["ticker"],
            "okx": ["ticker"],
        },
    ),
    (
        "ticker",
        {"pair": "BTC/USDT", "window": "4h"},
        {
            "binance": ["v3/ticker"],
            "kraken": ["OHLC"],
            "coinbaseexchange": ["candles"],
            "okx": ["candles"],
        },
    ),
    (
        "ticker",
        {"pair": "LTC/BTC", "window": "day"},
        {
            "binance": ["tradingDay"],
            "kraken": ["OHLC"],
            "coinbaseexchange": ["candles"],
            "okx": ["candles"],
        },
    ),
    (
        "tickers",
        {"pairs": ["BTC/USDT", "ETH/USDT"]},
        {
            "binance": ["24hr"],
            "kraken": ["Ticker"],
            "coinbaseexchange": ["ticker", "ticker"],
            "okx": ["tickers"],
        },
    ),
    (
        "tickers",
        {},
        {
            "binance": ["24hr"],
            "kraken": ["Ticker"],
            "coinbaseexchange": ["spark-lines"],
            "okx": ["tickers"],
        },
    ),
    (
        "quote",
        {"pair": "BTC/USDT"},
        {
            "binance": ["bookTicker"],
            "kraken": ["Depth"],
            "coinbaseexchange": ["book"],
            "okx": ["books"],
        },
    ),
    (
        "quotes",
        {"pairs": ["BTC/USDT", "ETH/USDT"]},
        {
            "binance": ["bookTicker"],
            "kraken": ["Ticker"],
            "coinbaseexchange": ["book", "book"],
            "okx": ["tickers"],
        },
    ),
    (
        "orderbook",
        {"pair": "BTC/USDT"},
        {
            "binance": ["depth"],
            "kraken": ["Depth"],
            "coinbaseexchange": ["book"],
            "okx": ["books"],
        },
    ),
    (
        "candles",
        {"pair": "BTC/USDT", "limit": 200},
        {
            "binance": ["klines"],
            "kraken": ["OHLC"],
            "coinbaseexchange": ["candles"],
            "okx": ["candles"],
        },
    ),
    (
        "candles",
        {"pair": "BTC/USDT", "start": "2024-04-28", "end": "2024-04-30"},
        {
            "binance": ["klines"],
            "kraken": ["OHLC"],
            "coinbaseexchange": ["candles"],
            "okx": ["candles"],
        },
    ),
    (
        "trades",
        {"pair": "BTC/USDT"},
        {
            "binance": ["v3/trades"],
            "kraken": ["Trades"],
            "coinbaseexchange": ["trades"],
            "okx": ["market/trades"],
        },
    ),
    (
        "trades",
        {"pair": "BTC/USDT", "aggregate": True},
        {
            "binance": ["aggTrades"],
            "kraken": ["Trades"],
            "coinbaseexchange": ["trades"],
            "okx": ["market/trades"],
        },
    ),
    (
        "status",
        {},
        {
            "binance": ["time", "system/status"],
            "kraken": ["Time", "SystemStatus"],
            "coinbaseexchange": ["time"],
            "okx": ["public/time", "system/status"],
        },
    ),
]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_an_operation_sends_only_the_requests_it_needs(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    connect(sim, exchange).pairs()
    assert [request.path for request in sim.requests] == [LISTS[exchange]]

    # Each time with a client that has asked for nothing yet.
    for operation, given, needed in NEEDED:
        sim.forget()
        getattr(connect(sim, exchange), operation)(**given)
        paths = [request.path for request in sim.requests]
        for end in needed[exchange]:
            found = [path for path in paths if path.endswith(end)]
            assert found, (operation, given, paths)
            paths.remove(found[0])
        assert paths == [], (operation, given)
        assert {request.method for request in sim.requests} <= {"GET"}
        assert {request.exchange for request in sim.requests} <= {exchange}


@pytest.mark.parametrize("exchange", DIALECTS)
def test_only_public_spot_paths_are_ever_requested(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    client = connect(sim, exchange)
    for operation, given, _ in NEEDED:
        getattr(client, operation)(**given)
    spot = {
        "binance": ("/api/v3/", "/sapi/v1/system/status"),
        "kraken": ("/0/public/",),
        "coinbaseexchange": ("/products", "/time"),
        "okx": ("/api/v5/market/", "/api/v5/public/", "/api/v5/system/"),
    }[exchange]

    for request in sim.requests:
        assert request.path.startswith(spot)
        assert request.status == 200
        kinds = {request.query[name] for name in ("instType", "category") if name in request.query}
        assert kinds <= {"SPOT"}


@pytest.mark.parametrize("exchange", ["binance", "kraken"])
def test_the_first_ticker_takes_two_requests_and_later_processes_one(
    sim: SimulatedExchange, python: Run, exchange: str
) -> None:
    program = """
        import sys
        import marketdata as md

        print(md.ticker("btc-usdt", exchange=sys.argv[1]).pair)
    """

    assert python(program, exchange) == "BTC/USDT\n"
    assert len(sim.requests) == 2
    assert sim.requests[0].path == LISTS[exchange]
    sim.forget()
    assert python(program, exchange) == "BTC/USDT\n"
    assert len(sim.requests) == 1


def test_exchanges_need_no_request(client: md.Client, sim: SimulatedExchange) -> None:
    known = client.exchanges()

    assert sim.requests == []
    ids = [one.id for one in known]
    assert ids == sorted(ids)
    assert set(DIALECTS) < set(ids)
    assert {"binanceusdm", "krakenfutures"} & set(ids) == set()


def test_the_description_of_exchanges_is_right(client: md.Client) -> None:
    known = {one.id: one for one in client.exchanges()}

    binance = known["binance"]
    assert binance.name == "Binance"
    assert set(binance.operations) >= {"ticker", "orderbook", "candles", "trades", "status"}
    assert {"1m", "1h", "4h", "1d", "1w", "1M"} <= set(binance.timeframes)
    assert binance.candles_per_request == 1000
    assert "4h" not in known["coinbaseexchange"].timeframes
    assert "2w" not in known["kraken"].timeframes
    assert known["kucoin"].depths == (20, 100)
    assert (known["okx"].depths, known["okx"].max_depth) == (None, 5_000)
    assert (known["kraken"].history, known["kraken"].history_bars) == (False, 720)
    for one in known.values():
        assert set(one.operations) <= {
            operation for operation in dir(md.Client) if operation[0] != "_"
        }
        assert {*one.derived, *one.needs_key} <= set(one.operations)
        assert set(one.operations).isdisjoint(one.unavailable or ())
        assert set(one.timeframes).isdisjoint(one.derived_timeframes)
        made = "candles" in one.operations and not one.timeframes
        assert not made or "candles" in {*one.derived, *one.needs_key}
        assert not (one.timeframes and "candles" in one.derived), "bars of trades are not its own"
        assert not one.history or (one.timeframes and one.history_bars is None)


def test_the_simulator_lists_its_own_exchanges(sim: SimulatedExchange) -> None:
    with md.Client(sim=True) as simulated:
        assert [one.id for one in simulated.exchanges()] == sorted(DIALECTS)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_trading_key_does_not_change_the_requests(
    sim: SimulatedExchange,
    connect: Factory,
    exchange: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Any,
) -> None:
    def requests(home: str) -> list[Any]:
        sim.forget()
        client = connect(sim, exchange, home=tmp_path / home)
        for operation, given, _ in NEEDED:
            getattr(client, operation)(**given)
        return sorted((one.path, sorted(one.query.items())) for one in sim.requests)

    without = requests("without")
    for name in ("API_KEY", "SECRET", "PASSWORD"):
        monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_{name}", "aGVsbG8gd29ybGQ=")
    assert requests("with") == without


def test_a_range_of_history_takes_one_request_per_page(
    client: md.Client, sim: SimulatedExchange
) -> None:
    client.pairs()
    sim.forget()
    candles = client.candles("BTC/USDT", "1h", start="2024-01-01", end="2024-05-01")

    assert len(candles) == 2904
    assert len(sim.requests) == 3
    # Each page but the first begins with the last bar of the one before.
    assert sorted(request.query["limit"] for request in sim.requests) == ["1000", "1000", "907"]
