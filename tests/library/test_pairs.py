"""The pairs of an exchange and their trading rules."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import ccxt
import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange
from marketdata.sim.markets.listings import listings

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, number


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_active_pairs_are_listed_by_name(client: md.Client, exchange: str) -> None:
    pairs = client.pairs(exchange=exchange)

    active = sorted(one.pair for one in listings(exchange) if one.active)
    assert [pair.pair for pair in pairs] == active
    assert [f"{pair.base}/{pair.quote}" for pair in pairs] == active
    assert {pair.exchange for pair in pairs} == {exchange}
    assert {pair.simulated for pair in pairs} == {True}


@pytest.mark.parametrize("exchange", DIALECTS)
def test_steps_are_those_of_the_exchange(client: md.Client, exchange: str) -> None:
    listed = {one.pair: one for one in listings(exchange)}
    for pair in client.pairs(exchange=exchange):
        listing = listed[pair.pair]
        assert pair.price_tick == number(1, listing.price_scale), pair
        assert pair.amount_step == number(1, listing.amount_scale), pair


@pytest.mark.parametrize("exchange", DIALECTS)
def test_minima_are_those_of_the_exchange(client: md.Client, exchange: str) -> None:
    listed = {one.pair: one for one in listings(exchange)}
    in_bitcoin = {"binance": 0.0001, "kraken": 0.00002, "coinbaseexchange": 0.000016, "okx": None}
    otherwise = {"binance": 5.0, "kraken": 0.5, "coinbaseexchange": 1.0, "okx": None}
    for pair in client.pairs(exchange=exchange):
        step = number(1, listed[pair.pair].amount_scale)
        least = {
            "binance": step,
            "kraken": number(1, min(4, listed[pair.pair].amount_scale)),
            "coinbaseexchange": None,
            "okx": step,
        }[exchange]
        assert pair.min_amount == least, pair
        costs = in_bitcoin if pair.quote == "BTC" else otherwise
        assert pair.min_cost == costs[exchange], pair


@pytest.mark.parametrize("exchange", DIALECTS)
def test_fees_are_fractions_on_every_exchange(client: md.Client, exchange: str) -> None:
    public = getattr(ccxt, exchange)().fees["trading"]
    # Only kraken lists them with its pairs; of the others ccxt knows what they publish.
    fees = (0.0025, 0.004) if exchange == "kraken" else (public["maker"], public["taker"])
    for pair in client.pairs(exchange=exchange):
        assert (pair.maker, pair.taker) == fees, pair
        assert 0 < pair.maker <= pair.taker < 0.01


def test_krakens_fees_are_those_that_it_lists(gateway: Gateway, connect: Factory) -> None:
    def edit(sent: dict) -> None:
        sent["result"]["XBTUSDT"]["fees"] = [[0, 0.99]]
        sent["result"]["XBTUSDT"]["fees_maker"] = [[0, 0.55]]

    gateway.edit("*/AssetPairs", edit)
    [pair] = connect(gateway, "kraken").pairs(base="BTC", quote="USDT")
    assert (pair.maker, pair.taker) == (0.0055, 0.0099)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_every_price_and_amount_is_a_multiple_of_its_step(client: md.Client, exchange: str) -> None:
    rules = {pair.pair: pair for pair in client.pairs(exchange=exchange)}
    for name in ("BTC/USDT", "PEPE/USDT", "ETH/BTC"):
        if name not in rules:
            continue
        rule, book = rules[name], client.orderbook(name, 5, exchange=exchange)
        for price, size in (*book.bids, *book.asks):
            assert Decimal(repr(price)) % Decimal(repr(rule.price_tick)) == 0
            assert Decimal(repr(size)) % Decimal(repr(rule.amount_step)) == 0


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"base": "btc"}, {"BTC/EUR", "BTC/USDC", "BTC/USDT"}),
        ({"quote": "BTC"}, {"ETH/BTC", "LTC/BTC"}),
        ({"base": "ETH", "quote": "btc"}, {"ETH/BTC"}),
        ({"search": "doge"}, {"DOGE/USDT"}),
        ({"search": "C/U"}, {"BTC/USDC", "BTC/USDT"}),
        ({"search": "TC", "quote": "eur"}, {"BTC/EUR"}),
        ({"base": "NOPE"}, set()),
        ({"search": "%"}, set()),
        ({"search": "_"}, set()),
        ({"search": "' OR 1=1 --"}, set()),
        ({"base": " BTC ", "quote": " EUR"}, {"BTC/EUR"}),
    ],
)
def test_pairs_can_be_searched(client: md.Client, wanted: dict[str, str], found: set[str]) -> None:
    assert {pair.pair for pair in client.pairs(**wanted)} == found


def test_derivatives_in_an_exchanges_list_are_left_out(gateway: Gateway, connect: Factory) -> None:
    def edit(sent: dict) -> None:
        swap = {**sent["data"][0], "instId": "BTC-USDT-SWAP", "instType": "SWAP"}
        swap |= {"settleCcy": "USDT", "ctType": "linear", "ctVal": "0.01", "uly": "BTC-USDT"}
        sent["data"].append(swap)

    gateway.edit("*/instruments", edit)
    pairs = connect(gateway, "okx").pairs()
    assert all(":" not in pair.pair for pair in pairs)
    assert [pair.pair for pair in pairs].count("BTC/USDT") == 1


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_list_is_as_new_as_it_says(
    client: md.Client, sim: SimulatedExchange, exchange: str
) -> None:
    before = datetime.now(UTC)
    first = client.pairs(exchange=exchange)[0]
    again = client.pairs(exchange=exchange)[0]

    assert before.timestamp() - 0.001 <= first.received_at.timestamp() <= datetime.now().timestamp()
    assert again == first
    assert len(sim.requests) == 1
