"""Operations without a call of the exchange: derived and marked, or refused without a request."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from inside.exchanges import described
from waiting import taking_at_most

import marketdata as md
from marketdata.sim import SimulatedExchange

from . import other_exchanges as wire
from .conftest import Factory
from .derivation import BEST, Open, fields
from .other_exchanges import (
    DATE,
    HANG,
    HOUR,
    Status,
    opened,
    wait_for_room,
)


def test_an_unavailable_stream_is_not_requested(speaking: Open) -> None:
    for exchange, routes, kind, why in (
        ("bitso", wire.bitso("btc_mxn"), "ticker", "no streams in ccxt"),
        ("derive", wire.derive(), "candles", "no stream of candles"),
        ("blockchaincom", wire.blockchaincom(), "quote", "no stream of quote"),
    ):
        client, server = speaking(exchange, routes)
        with pytest.raises(md.DataUnavailableError, match=why):
            next(getattr(client, f"watch_{kind}")("BTC/USD"))
        assert server.asked == []


def test_best_prices_without_a_book_come_from_the_ticker(speaking: Open) -> None:
    client, server = speaking("derive", wire.derive())
    quote = client.quote("ETH/USDC")
    assert (quote.source, quote.bid, quote.ask_volume) == ("ticker", 99.0, 3.0)
    assert fields(quote) == BEST
    [quote] = client.quotes(["ETH/USDC"])
    assert fields(quote) == BEST
    assert "get_ticker" in server.paths()
    ticker = client.ticker("ETH/USDC")
    assert (ticker.last, ticker.bid, ticker.derived) == (None, 99.0, None)


def test_an_unavailable_book_is_not_requested(speaking: Open) -> None:
    client, server = speaking("derive", wire.derive())
    with pytest.raises(md.DataUnavailableError, match="derive offers no order books: ccxt has no"):
        client.orderbook("ETH/USDC")
    for ask in (
        lambda: client.consolidated_orderbook("ETH/USDC"),
        lambda: client.execution_cost("ETH/USDC", side="buy", amount=1),
    ):
        with pytest.raises(md.DataUnavailableError, match="no order books"):
            ask()
    assert server.asked == []


def test_an_unavailable_book_is_a_source_with_a_code(
    speaking: Open, sim: SimulatedExchange, connect: Factory
) -> None:
    _, server = speaking("derive", wire.derive())
    client = connect(sim, "binance", endpoints={"derive": server.url})
    names = ["binance", "derive"]
    book = client.consolidated_orderbook("ETH/USDT", exchanges=names)
    cost = client.execution_cost("ETH/USDT", side="buy", amount=0.1, exchanges=names)
    for sources in (book.sources, cost.sources):
        assert [one.code for one in sources] == [None, "DATA_UNAVAILABLE"]
        assert "no order books" in (sources[1].message or "")
    assert book.bids
    assert server.asked == []


KEY, SECRET = "Lk3-canary-key", "Ls4-canary-secret"


def keyed(monkeypatch: pytest.MonkeyPatch, exchange: str) -> None:
    monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_API_KEY", KEY)
    monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_SECRET", SECRET)


def test_candles_are_built_from_trades_unless_there_is_a_key(
    speaking: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for_room(HOUR)
    routes = wire.luno([(opened(HOUR, 3), 90.0), (opened(HOUR, 1), 100.0)])
    client, server = speaking("luno", routes)
    candles = client.candles("BTC/ZAR", limit=2)
    assert (candles.source, len(candles), fields(candles)) == ("trades", 1, {"candles"})
    assert not any("Authorization" in one.headers for one in server.asked)
    [stored] = client.history.download(["BTC/ZAR"], "1h", start="2024-01-01", end="2024-01-02")
    assert stored.error is not None
    assert "MARKETDATA_LUNO_API_KEY" in stored.error["message"]

    keyed(monkeypatch, "luno")
    client, server = speaking("luno", routes)
    candles = client.candles("BTC/ZAR", limit=3)
    assert (candles.source, len(candles), fields(candles)) == ("candles", 3, set())
    assert [row[0] for row in candles.columns.rows()] == [opened(HOUR, ago) for ago in (2, 1, 0)]
    [signed] = [one for one in server.asked if one.path.endswith("candles")]
    assert signed.headers["Authorization"].startswith("Basic ")
    assert not any(secret in candles.to_json() for secret in (KEY, SECRET))


def test_nothing_is_signed_while_recording(speaking: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    keyed(monkeypatch, "luno")
    client, server = speaking("luno", wire.luno([(opened(HOUR, 3), 90.0)]))
    client._client._session._recorder = lambda event: None
    assert client.candles("BTC/ZAR", limit=2).source == "trades"
    assert not any("Authorization" in one.headers for one in server.asked)


def test_a_call_that_requires_a_key_names_it(speaking: Open) -> None:
    client, server = speaking("coinspot", wire.coinspot())
    for noun, ask in (
        ("order books", lambda: client.orderbook("BTC/AUD")),
        ("trades", lambda: client.trades("BTC/AUD")),
        ("candles", lambda: client.candles("BTC/AUD")),
    ):
        with pytest.raises(md.DataUnavailableError) as caught:
            ask()
        assert str(caught.value) == (
            f"coinspot offers no {noun}: it requires an API key. "
            "Set MARKETDATA_COINSPOT_API_KEY and MARKETDATA_COINSPOT_SECRET."
        )
    assert server.asked == []
    assert fields(client.quote("BTC/AUD")) == {"bid", "ask"}


def test_an_exchange_that_requires_a_key_for_everything(speaking: Open) -> None:
    client, server = speaking("alpaca", wire.alpaca(), date=DATE)
    for ask in (
        client.pairs,
        client.tickers,
        lambda: client.ticker("BTC/USD"),
        lambda: client.orderbook("BTC/USD"),
        lambda: client.fees("BTC/USD"),
    ):
        with pytest.raises(md.DataUnavailableError, match="MARKETDATA_ALPACA_API_KEY"):
            ask()
    assert server.asked == []

    status = client.status()
    assert (status.reachable, status.server_time) == (True, datetime(2024, 5, 1, 12, tzinfo=UTC))
    assert fields(status) == {"reachable", "latencyMs", "serverTime"}
    assert server.paths() == ["orderbooks"]
    server.routes.clear()
    server.routes["*"] = Status(500)
    assert client.status().reachable is False
    known = described("alpaca")
    assert ("status" in known.derived, "status" in known.needs_key) == (True, False)
    assert {"pairs", "ticker", "candles"} <= set(known.needs_key)


def test_a_status_is_derived_from_another_call(speaking: Open) -> None:
    client, server = speaking("bitso", wire.bitso("btc_mxn"), date=DATE)
    status = client.status()

    assert (status.reachable, status.code, status.maintenance) == (True, None, None)
    assert status.server_time == datetime(2024, 5, 1, 12, tzinfo=UTC)
    assert status.latency_ms is not None
    assert 0 < status.latency_ms < 10_000
    assert status.clock_offset_ms is None
    assert fields(status) == {"reachable", "latencyMs", "serverTime"}
    assert server.paths() == ["available_books", "order_book"]
    client.status()
    assert server.paths()[2:] == ["order_book"]


@pytest.mark.parametrize("broken", ["*/order_book", "*"])
@pytest.mark.parametrize("answer", [Status(500), "html", lambda _: HANG], ids=["500", "html", "-"])
def test_an_exchange_without_a_status_that_is_down(
    speaking: Open, broken: str, answer: Any
) -> None:
    routes = {broken: answer, **{k: v for k, v in wire.bitso("btc_mxn").items() if k != broken}}
    hangs = callable(answer)
    # Only what never answers is waited for in vain; a busy machine may take longer for the others.
    client, _ = speaking("bitso", routes, timeout=1 if hangs else 30)
    with taking_at_most(5 if hangs else math.inf):
        status = client.status()
    assert (status.reachable, status.latency_ms, status.server_time) == (False, None, None)
    assert status.code in ("EXCHANGE_UNAVAILABLE", "DATA_UNAVAILABLE")
    assert fields(status) - {"reason"} == {"reachable", "code"}
    assert ("reason" in fields(status)) is (status.code == "EXCHANGE_UNAVAILABLE")


def test_an_exchange_without_a_status_that_is_unreachable(speaking: Open) -> None:
    client, server = speaking("bitso", wire.bitso("btc_mxn"))
    server.__exit__()
    status = client.status()
    assert (status.reachable, status.code) == (False, "EXCHANGE_UNAVAILABLE")
    server.__enter__()  # for the fixture to stop
