"""Public fees, fees of the account, and that nothing else is ever signed."""

from __future__ import annotations

import re
from typing import Any

import pytest
from inside.exchanges import parsing
from inside.requests import portal

import marketdata as md
from marketdata._exchanges.caller import READS, SIGNED
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, NOW

KEY, SECRET = "Fq7-canary-key", "ZmVlcy1jYW5hcnk="


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for exchange in DIALECTS:
        monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_API_KEY", KEY)
        monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_SECRET", SECRET)
        monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_PASSWORD", "canary")


def signed(gateway: Gateway) -> list[str]:
    """The requests that came with a key in a header."""
    both = zip(gateway.requests, gateway.headers, strict=True)
    return [request for request, headers in both if KEY in str(headers)]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_public_fees_come_from_the_list_of_pairs(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    client = connect(sim, exchange)
    [pair] = client.pairs(base="BTC", quote="USDT")
    sim.forget()
    found = client.fees("btc-usdt")

    assert (found.exchange, found.pair, found.source) == (exchange, "BTC/USDT", "public")
    assert (found.maker, found.taker) == (pair.maker, pair.taker)
    assert found.taker is not None
    assert 0 <= found.taker < 0.02
    assert found.received_at == pair.received_at
    assert sim.requests == []


def test_fees_of_the_account_with_its_keys(gateway: Gateway, connect: Factory, keys: None) -> None:
    gateway.answer(
        "*/asset/tradeFee",
        [{"symbol": "BTCUSDT", "makerCommission": "0.0008", "takerCommission": "0.0009"}],
    )
    client = connect(gateway)
    found = client.fees("BTC/USDT")

    assert (found.source, found.maker, found.taker) == ("account", 0.0008, 0.0009)
    assert (found.tiers, found.exchange) == (None, "binance")
    client.compare("BTC/USDT", exchanges=["binance"])
    client.consolidated_orderbook("BTC/USDT", exchanges=["binance"])
    client.execution_cost("BTC/USDT", side="buy", amount=1, exchanges=["binance"])
    [only] = signed(gateway)
    assert only.startswith("GET ")
    assert "/asset/tradeFee?" in only
    assert KEY not in found.to_json() + repr(found)


def test_fees_of_all_pairs_in_one_response(gateway: Gateway, connect: Factory, keys: None) -> None:
    gateway.answer("/fees", {"maker_fee_rate": "0.001", "taker_fee_rate": "0.002"})
    found = connect(gateway, "coinbaseexchange").fees("BTC/USDT")
    assert (found.source, found.maker, found.taker) == ("account", 0.001, 0.002)
    assert [request.partition("?")[0] for request in signed(gateway)] == ["GET /fees"]


@pytest.mark.parametrize(("status", "body"), [(200, []), (200, [{}]), (401, {"code": -2014})])
def test_a_refused_key_is_an_error_and_not_the_public_fees(
    gateway: Gateway, connect: Factory, keys: None, status: int, body: Any
) -> None:
    gateway.answer("*/asset/tradeFee", body, status=status)
    with pytest.raises(md.UpstreamError) as caught:
        connect(gateway).fees("BTC/USDT")
    assert KEY not in str(caught.value.to_dict())


def test_incomplete_credentials_give_public_fees(
    gateway: Gateway, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_BINANCE_API_KEY", KEY)
    assert connect(gateway).fees("BTC/USDT").source == "public"
    assert signed(gateway) == []


FORBIDDEN = re.compile("create|cancel|edit|transfer|withdraw|deposit|balance|position|borrow|my_")


def test_all_calls_only_read_public_data_and_fees() -> None:
    assert set(SIGNED) == {"fetchTradingFee", "fetchTradingFees"}
    assert set(SIGNED.values()) < READS
    for name in READS:
        assert name.startswith("fetch_") or "publicget" in name.lower()
        assert not FORBIDDEN.search(name)


@pytest.mark.parametrize(
    "method", ["create_order", "fetch_balance", "withdraw", "cancel_all_orders", "sapiGetAsset"]
)
def test_other_calls_of_ccxt_cannot_be_made(
    gateway: Gateway, connect: Factory, keys: None, method: str
) -> None:
    client = connect(gateway)
    client.ticker("BTC/USDT")
    asked = len(gateway.requests)

    async def work(venue: Any) -> Any:
        return await venue.call(lambda answer, _: answer, method, "BTC/USDT")

    with pytest.raises(md.InternalError) as caught:
        portal().call(client._client._session.ask("binance", work))

    assert method in str(caught.value)
    assert len(gateway.requests) == asked


def made(raw: Any, otherwise: Any, source: str = "public") -> md.Fees:
    return parsing.fees(
        raw,
        exchange="x",
        pair="BTC/USDT",
        source=source,
        received_at=NOW,
        simulated=False,
        otherwise=otherwise,
    )


def test_tiers_are_returned_if_they_begin_with_the_fees() -> None:
    tiers = {"maker": [[0, 0.001], [100, 0.0005]], "taker": [[0, 0.002], [50, 0.0015]]}
    found = made({}, {"maker": 0.001, "taker": 0.002, "tiers": tiers})
    assert found.tiers == (
        md.FeeTier(volume=0.0, maker=0.001, taker=0.002),
        md.FeeTier(volume=50.0, taker=0.0015),
        md.FeeTier(volume=100.0, maker=0.0005),
    )
    assert made({"maker": 0.004, "taker": 0.002}, {"tiers": tiers}).tiers is None


def test_tiers_in_place_of_a_fee_are_no_fee() -> None:
    tiers = [[0.0, 0.2], [1.0, 0.18]]
    assert parsing.public_fees("p2b", {"maker": tiers, "taker": tiers}, {"maker": tiers}) == (
        None,
        None,
    )
    assert parsing.public_fees("p2b", {"maker": tiers}, {"maker": 0.001}) == (0.001, None)


def test_an_exchange_without_published_fees_has_none() -> None:
    found = made({}, {})
    assert (found.maker, found.taker, found.tiers) == (None, None, None)
    with pytest.raises(ValueError, match="no fee"):
        made({}, {}, "account")
