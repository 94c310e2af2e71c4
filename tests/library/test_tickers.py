"""Tickers and quotes of one pair, of several and of all."""

from __future__ import annotations

from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange
from marketdata.sim.markets.listings import listings

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, NOW, market, ms, number

SOME = ["SOL/USDT", "btc-usdt", "ETHUSDT"]
NAMES = ["SOL/USDT", "BTC/USDT", "ETH/USDT"]


def best(exchange: str, pair: str) -> dict[str, float]:
    of = market(exchange, pair)
    book = of.book(ms(NOW), 1)
    assert book is not None
    (bid, bid_size), (ask, ask_size) = book.bids[0], book.asks[0]
    return {
        "bid": number(bid, of.price_scale),
        "bid_volume": number(bid_size, of.amount_scale),
        "ask": number(ask, of.price_scale),
        "ask_volume": number(ask_size, of.amount_scale),
    }


def told(record: Any, fields: Any) -> dict[str, Any]:
    return {name: getattr(record, name) for name in fields}


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("pair", ["BTC/USDT", "ETH/BTC", "PEPE/USDT"])
def test_a_ticker_equals_the_exchanges(client: md.Client, exchange: str, pair: str) -> None:
    ticker = client.ticker(pair, exchange=exchange)
    of = market(exchange, pair)
    last = of.last_trade(ms(NOW))
    assert last is not None

    assert (ticker.exchange, ticker.pair) == (exchange, pair)
    assert ticker.last == number(last.price, of.price_scale)
    prices = best(exchange, pair)
    assert told(ticker, ("bid", "ask")) == {name: prices[name] for name in ("bid", "ask")}
    if exchange in ("binance", "okx"):
        assert told(ticker, prices) == prices


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("operation", ["tickers", "quotes"])
def test_several_are_returned_in_the_requested_order(
    client: md.Client, exchange: str, operation: str
) -> None:
    found = getattr(client, operation)(SOME, exchange=exchange)

    assert [one.pair for one in found] == NAMES
    assert {one.exchange for one in found} == {exchange}


@pytest.mark.parametrize("exchange", DIALECTS)
def test_one_of_several_equals_one(client: md.Client, exchange: str) -> None:
    several = client.tickers(NAMES, exchange=exchange)
    single = [client.ticker(pair, exchange=exchange) for pair in NAMES]

    # ccxt rounds the mean of open and close by the pair's tick in one of the two and not in the
    # other; kraken sends no time.
    ours = {"received_at", "average"} | ({"timestamp"} if exchange == "kraken" else set())
    assert [one.model_dump(exclude=ours) for one in several] == [
        one.model_dump(exclude=ours) for one in single
    ]


@pytest.mark.parametrize("operation", ["tickers", "quotes"])
def test_a_repeated_pair_is_returned_twice(client: md.Client, operation: str) -> None:
    found = getattr(client, operation)(["BTC/USDT", "ETH/USDT", "btcusdt"])
    assert [one.pair for one in found] == ["BTC/USDT", "ETH/USDT", "BTC/USDT"]


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("operation", ["tickers", "quotes"])
def test_all_are_returned_by_name(client: md.Client, exchange: str, operation: str) -> None:
    found = [one.pair for one in getattr(client, operation)(exchange=exchange)]

    assert found == sorted(one.pair for one in listings(exchange) if one.active)


@pytest.mark.parametrize("operation", ["tickers", "quotes"])
def test_an_unknown_pair_among_several_is_an_error(client: md.Client, operation: str) -> None:
    with pytest.raises(md.PairNotSupportedError) as caught:
        getattr(client, operation)(["BTC/USDT", "NOPE/USDT"])
    assert caught.value.details["pair"] == "NOPE/USDT"


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("pair", ["BTC/USDT", "PEPE/USDT", "ETH/BTC"])
def test_a_quote_has_prices_and_sizes(client: md.Client, exchange: str, pair: str) -> None:
    quote = client.quote(pair, exchange=exchange)
    prices = best(exchange, pair)

    assert told(quote, prices) == prices
    assert quote.source == ("quote" if exchange == "binance" else "orderbook")


@pytest.mark.parametrize("exchange", DIALECTS)
def test_several_quotes_have_prices_and_sizes_too(client: md.Client, exchange: str) -> None:
    for quote in client.quotes(NAMES, exchange=exchange):
        prices = best(exchange, quote.pair)
        if exchange == "kraken":
            # Its tickers have whole lots only in one place, and three decimals in the other.
            sizes = ("bid_volume", "ask_volume")
            assert told(quote, sizes) == pytest.approx(
                {name: prices[name] for name in sizes}, abs=5e-4
            )
            prices = {name: prices[name] for name in ("bid", "ask")}
        assert told(quote, prices) == prices


def test_a_pair_missing_in_a_bulk_response_is_requested_alone(
    gateway: Gateway, connect: Factory
) -> None:
    def edit(sent: Any) -> Any:
        if isinstance(sent, list):
            return [one for one in sent if one["symbol"] != "ETHUSDT"]
        return sent

    gateway.edit("*/24hr", edit)
    client = connect(gateway)
    assert [one.pair for one in client.tickers(NAMES)] == NAMES
    # Of all there are, what is left out is simply not there.
    assert "ETH/USDT" not in {one.pair for one in client.tickers()}
    assert len(client.tickers()) > 5


def test_a_pair_without_quotes_uses_its_book(gateway: Gateway, connect: Factory) -> None:
    gateway.edit(
        "*/bookTicker",
        lambda sent: (
            [one for one in sent if one["symbol"] != "ETHUSDT"] if isinstance(sent, list) else sent
        ),
    )
    gateway.edit(
        "*/24hr",
        lambda sent: (
            [one for one in sent if one["symbol"] != "ETHUSDT"] if isinstance(sent, list) else sent
        ),
    )
    quotes = connect(gateway).quotes(NAMES)

    assert [quote.pair for quote in quotes] == NAMES
    assert told(quotes[2], best("binance", "ETH/USDT")) == best("binance", "ETH/USDT")


def test_one_failure_among_several_requests_ends_the_others(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, "coinbaseexchange")
    client.pairs()
    sim.faults.add(exchange="coinbaseexchange", path="*ETH-USDT/ticker", status=451)
    sim.faults.add(exchange="coinbaseexchange", path="*/ticker", hang=True)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        client.tickers(["BTC/USDT", "ETH/USDT", "SOL/USDT"])

    assert caught.value.details["httpStatus"] == 451


def test_a_hundred_pairs_are_one_request(connect: Factory) -> None:
    with SimulatedExchange(pairs=300) as sim:
        client = connect(sim, timeout=30)
        names = [pair.pair for pair in client.pairs()][:100]
        sim.forget()
        assert [one.pair for one in client.tickers(names)] == names
        assert len(sim.requests) == 1
