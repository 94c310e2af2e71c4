"""Every fault, as ccxt reports it."""

import asyncio
import json
from typing import Any

import aiohttp
import ccxt.async_support as ccxt
import pytest

from marketdata.sim import MARKETS, Fault, SimulatedExchange
from marketdata.sim.faults import Faults

each = pytest.mark.parametrize("name", MARKETS)

PATHS = {
    "binance": "/api/v3/time",
    "kraken": "/0/public/Time",
    "coinbaseexchange": "/time",
    "okx": "/api/v5/public/time",
}
LIMITED = {
    "binance": ccxt.DDoSProtection,
    "kraken": ccxt.DDoSProtection,
    "coinbaseexchange": ccxt.RateLimitExceeded,
    "okx": ccxt.RateLimitExceeded,
}


def outcomes(name: str, faults: list[str], connect: Any, timeout: int = 10_000) -> list[Any]:
    """Return what fetch_time raises, or its answer, under each fault."""

    async def run() -> list[Any]:
        found = []
        async with SimulatedExchange() as sim, connect(name, sim) as exchange:
            exchange.timeout = timeout
            for fault in faults:
                sim.faults.clear()
                sim.faults.add(fault)
                try:
                    found.append(await exchange.fetch_time())
                except ccxt.BaseError as error:
                    found.append(error)
        return found

    return asyncio.run(run())


@each
def test_too_many_requests(name: str, connect) -> None:
    first, second = outcomes(
        name, [f"{name}:*:status=429,retry_after=2", "*:*:status=418,retry_after=120"], connect
    )
    assert isinstance(first, LIMITED[name])
    assert isinstance(second, ccxt.DDoSProtection if name == "coinbaseexchange" else LIMITED[name])


@each
def test_server_errors(name: str, connect) -> None:
    faults = [f"*:*:status={status},html" for status in (500, 502, 503, 504)]
    for found in outcomes(name, faults, connect):
        assert isinstance(found, ccxt.NetworkError)


@each
def test_refused_places(name: str, connect) -> None:
    for found in outcomes(name, ["*:*:status=403", "*:*:status=451"], connect):
        assert isinstance(found, ccxt.BaseError)


@each
def test_bodies_that_are_no_json(name: str, connect) -> None:
    faults = ["*:*:truncated", "*:*:malformed", "*:*:html", "*:*:empty"]
    assert not any(isinstance(found, int) for found in outcomes(name, faults, connect))


@each
def test_dropped_connections(name: str, connect) -> None:
    first, second = outcomes(name, ["*:*:drop", "*:*:drop=body"], connect)
    assert isinstance(first, ccxt.NetworkError)
    assert type(second) is ccxt.ExchangeError
    assert isinstance(second.__cause__, aiohttp.ClientPayloadError)


@each
def test_silence_times_out(name: str, connect) -> None:
    for found in outcomes(name, ["*:*:hang", "*:*:latency=30"], connect, timeout=60):
        assert isinstance(found, ccxt.RequestTimeout)


def test_a_little_latency_is_no_failure(connect) -> None:
    (found,) = outcomes("okx", ["*:*:latency=0.001"], connect)
    assert isinstance(found, int)


def test_retry_after_and_body_are_the_exchanges_own(fetch) -> None:
    bodies = {
        "binance": lambda body: body["code"] == -1003,
        "kraken": lambda body: body["error"] == ["EAPI:Rate limit exceeded"],
        "coinbaseexchange": lambda body: "rate limit" in body["message"],
        "okx": lambda body: body["code"] == "50011",
    }
    with SimulatedExchange(faults=["*:*:status=429,retry_after=2.5"]) as sim:
        for name, path in PATHS.items():
            answer = fetch(sim, path)
            assert (answer.status, answer.headers["Retry-After"]) == (429, "2.5")
            assert answer.headers["X-Marketdata-Simulated"] == "1"
            assert bodies[name](answer.json)


def test_stale_answers_are_old(fetch, now) -> None:
    with SimulatedExchange(now=now, frozen=True) as sim:
        path, query = "/api/v5/market/ticker", {"instId": "BTC-USDT"}
        sim.clock.move(now - 3_600_000)
        old = fetch(sim, path, **query).json
        sim.clock.move(now)
        fresh = fetch(sim, path, **query).json
        sim.faults.add(exchange="okx", stale=3_600)
        assert fetch(sim, path, **query).json == old != fresh


@pytest.mark.parametrize(
    ("path", "query", "rows"),
    [
        ("/api/v3/klines", {"symbol": "BTCUSDT", "interval": "1m"}, lambda body: body),
        ("/0/public/OHLC", {"pair": "XBTUSDT"}, lambda body: body["result"]["XBTUSDT"]),
        ("/products/BTC-USDT/candles", {}, lambda body: body),
        ("/api/v5/market/candles", {"instId": "BTC-USDT"}, lambda body: body["data"]),
    ],
)
def test_short_pages(path: str, query: dict, rows, fetch) -> None:
    with SimulatedExchange(faults=["*:*:short=3"]) as sim:
        assert len(rows(fetch(sim, path, **query).json)) == 3


def test_which_requests_are_met() -> None:
    def met(fault: str, count: int = 8, exchange: str = "okx", path: str = "/a/b/c") -> str:
        faults = Faults()
        faults.add(fault)
        return "".join("x" if faults.meet(exchange, path) else "." for _ in range(count))

    assert met("*:*:hang") == "xxxxxxxx"
    assert met("okx:/a/*:hang") == "xxxxxxxx"
    assert met("okx:/b/*:hang") == "........"
    assert met("kraken:*:hang") == "........"
    assert met("*:*:hang,times=2") == "xx......"
    assert met("*:*:hang,every=3") == "..x..x.."
    assert met("*:*:hang,after=2,times=3") == "..xxx..."
    assert met("*:*:hang,every=2,times=2") == ".x.x...."
    assert met("*:*:hang,probability=0") == "........"
    half = met("*:*:hang,probability=0.5,seed=4", 400)
    assert half == met("*:*:hang,probability=0.5,seed=4", 400)
    assert 120 < half.count("x") < 280


def test_the_first_rule_that_applies_wins() -> None:
    faults = Faults()
    faults.add("*:*:status=500,times=1")
    faults.add(Fault(status=502))
    found = [faults.meet("okx", "/") for _ in range(2)]
    assert [fault.status for fault in found if fault] == [500, 502]
    faults.clear()
    assert faults.meet("okx", "/") is None


def test_text_and_values_make_the_same_rule() -> None:
    text = Fault.parse("binance:*/ticker*:status=429,retry_after=2,times=3")
    assert text == Fault(exchange="binance", path="*/ticker*", status=429, retry_after=2.0, times=3)
    assert Fault.parse("*:*:malformed") == Fault(body="malformed")
    assert Fault.parse("::hang") == Fault(hang=True)
    assert Fault.from_mapping({"drop": "body", "times": None}) == Fault(drop="body")


@pytest.mark.parametrize(
    "text",
    [
        "binance",
        "binance:*",
        "*:*:",
        "*:*:explode",
        "*:*:status=teapot",
        "*:*:status=42",
        "*:*:every=0",
        "*:*:probability=2",
        "*:*:latency=-1",
        "*:*:drop=later",
        "*:*:body=odd",
        "*:*:hang=perhaps",
        "*:*:colour=red",
    ],
)
def test_rules_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Fault.parse(text)


def test_control_over_http(fetch) -> None:
    with SimulatedExchange() as sim:
        added = fetch(sim, "/_sim/faults", method="POST", body="okx:*:status=503,times=1")
        assert (added.status, added.json["status"]) == (201, 503)
        rule = json.dumps({"exchange": "binance", "status": 500})
        assert fetch(sim, "/_sim/faults", method="POST", body=rule).status == 201
        bad = fetch(sim, "/_sim/faults", method="POST", body="nonsense")
        assert bad.status == 400
        assert "EXCHANGE:PATH" in bad.json["error"]
        assert [rule["status"] for rule in fetch(sim, "/_sim/faults").json] == [503, 500]
        assert fetch(sim, PATHS["okx"]).status == 503
        assert fetch(sim, PATHS["binance"], extra="1").status == 500
        assert fetch(sim, "/_sim/faults", method="DELETE").status == 204
        assert fetch(sim, PATHS["okx"]).status == 200
        log = fetch(sim, "/_sim/requests").json
        assert [(entry["exchange"], entry["status"]) for entry in log] == [
            ("okx", 503),
            ("binance", 500),
            ("okx", 200),
        ]
        assert log[1]["query"] == {"extra": "1"}
        assert fetch(sim, "/_sim/requests", method="DELETE").status == 204
        assert sim.requests == []
        info = fetch(sim, "/_sim/info")
        assert info.json["exchanges"] == list(MARKETS)
        assert info.headers["X-Marketdata-Simulated"] == "1"
