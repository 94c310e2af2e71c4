"""Other names of exchanges, and pairs by their base alone."""

from __future__ import annotations

import pytest
from inside.exchanges import loader, serves_spot

import marketdata as md
from marketdata.exchange_names import _OTHER, exchange_id
from marketdata.sim import SimulatedExchange

from .conftest import Factory


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("huobi", "htx"),
        ("Huobi Global", "htx"),
        ("okex", "okx"),
        ("GDAX", "coinbaseexchange"),
        ("coinbase pro", "coinbaseexchange"),
        ("Coinbase-Pro", "coinbaseexchange"),
        ("binance.us", "binanceus"),
        ("Binance US", "binanceus"),
        ("Crypto.com", "cryptocom"),
        ("gate.io", "gate"),
        (" kraken ", "kraken"),
        ("no such", "nosuch"),
    ],
)
def test_common_spellings_are_an_id(written: str, meant: str) -> None:
    assert exchange_id(written) == meant


def test_every_name_and_id_is_accepted_in_any_form() -> None:
    for exchange in md.exchanges():
        for name in (exchange.id, exchange.name):
            for form in (name, name.upper(), f" {name} ", name.replace(" ", "-")):
                assert exchange_id(form) == exchange.id, form


def test_other_names_belong_to_spot_exchanges() -> None:
    # None of them is an id of its own: that would be another exchange.
    assert not set(_OTHER) & set(loader.ids())
    assert set(_OTHER.values()) <= {exchange.id for exchange in md.exchanges()}


def test_every_door_accepts_them(connect: Factory, sim: SimulatedExchange) -> None:
    client = connect(sim, "OKEx")
    assert client.settings.exchange == ("okx",)
    assert client.ticker("BTC/USDT").exchange == "okx"
    assert client.ticker("BTC/USDT", exchange="Coinbase Pro").exchange == "coinbaseexchange"
    assert md.Settings(endpoints={"Coinbase Pro": "http://x"}).endpoints == {
        "coinbaseexchange": "http://x"
    }
    found = client.compare("BTC/USDT", exchanges=["OKEX", "gdax"])
    assert {row.exchange for row in found.rows} == {"okx", "coinbaseexchange"}


@pytest.mark.parametrize("wrong", ["binnance", "krakenfuture", "kucoinfuturess", "byddfi", "xyz"])
def test_only_spot_exchanges_are_suggested(wrong: str) -> None:
    with pytest.raises(md.ExchangeNotSupportedError) as caught:
        md.ticker("BTC/USDT", exchange=wrong)
    near = caught.value.details["closest"]
    assert all(serves_spot(loader.described(one)) for one in near)
    assert len(near) <= 3
    if wrong == "binnance":
        assert near[0] == "binance"


@pytest.mark.parametrize("written", ["BTC", "btc", "XBT"])
def test_a_base_alone_suggests_its_pairs(
    connect: Factory, sim: SimulatedExchange, written: str
) -> None:
    client = connect(sim)
    with pytest.raises(md.PairNotSupportedError) as caught:
        client.ticker(written)
    near = caught.value.details["closest"]
    assert near[0] == "BTC/USDT"
    assert all(one.startswith("BTC/") for one in near)
    assert {pair.pair for pair in client.pairs(base="BTC")} >= set(near)
    assert "Did you mean BTC/USDT" in caught.value.message
