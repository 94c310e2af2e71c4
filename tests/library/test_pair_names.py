"""Pairs in common spellings, and names that are no spot pairs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, minutes, record

FORMS = [
    "BTC/USDT",
    "btc/usdt",
    "Btc/Usdt",
    "BTC-USDT",
    "btc-usdt",
    "BTC_USDT",
    "btc_usdt",
    "BTC USDT",
    "BTCUSDT",
    "btcusdt",
    " btc/usdt ",
]

NATIVE = {
    "binance": "BTCUSDT",
    "kraken": "XBTUSDT",
    "coinbaseexchange": "BTC-USDT",
    "okx": "BTC-USDT",
}

# Of one pair and of several, in all the ways in which an operation takes a pair.
ASKED: dict[str, Any] = {
    "ticker": lambda pair: {"pair": pair},
    "tickers": lambda pair: {"pairs": ["BTC/USDT", pair]},
    "quote": lambda pair: {"pair": pair},
    "quotes": lambda pair: {"pairs": [pair]},
    "orderbook": lambda pair: {"pair": pair},
    "candles": lambda pair: {"pair": pair},
    "trades": lambda pair: {"pair": pair},
}


def ask(client: md.Client, operation: str, pair: Any, **more: Any) -> Any:
    return getattr(client, operation)(**ASKED[operation](pair), **more)


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("form", FORMS)
def test_a_pair_can_be_written_in_many_ways(client: md.Client, exchange: str, form: str) -> None:
    assert client.quote(form, exchange=exchange).pair == "BTC/USDT"


@pytest.mark.parametrize("operation", ASKED)
def test_every_operation_accepts_them_and_returns_the_standard_name(
    client: md.Client, operation: str
) -> None:
    answers = ask(client, operation, "eth-usdt", exchange="okx")
    pairs = {one.pair for one in (answers if isinstance(answers, list) else [answers])}

    assert "ETH/USDT" in pairs
    assert pairs <= {"ETH/USDT", "BTC/USDT"}


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_exchanges_own_id_works_in_any_case(client: md.Client, exchange: str) -> None:
    name = NATIVE[exchange]
    assert client.quote(name, exchange=exchange).pair == "BTC/USDT"
    assert client.quote(name.lower(), exchange=exchange).pair == "BTC/USDT"


def test_krakens_old_names_work(client: md.Client) -> None:
    assert client.quote("XETHXXBT", exchange="kraken").pair == "ETH/BTC"
    assert client.quote("xdgusdt", exchange="kraken").pair == "DOGE/USDT"


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("operation", ASKED)
def test_a_derivative_is_refused_without_a_request(
    client: md.Client, sim: SimulatedExchange, exchange: str, operation: str
) -> None:
    for name in ("BTC/USDT:USDT", "btc/usd:btc", "BTC/USD:BTC-240628", "BTC/USD:BTC-240628-6E4-C"):
        with pytest.raises(md.PairNotSupportedError) as caught:
            ask(client, operation, name, exchange=exchange)

        assert caught.value.code == "PAIR_NOT_SUPPORTED"
        assert "only spot" in str(caught.value)
        assert caught.value.details["closest"] == [name.upper().partition(":")[0]]
    assert sim.requests == []


@pytest.mark.parametrize(
    ("name", "spot"),
    [
        ("BTC-USDT-SWAP", "BTC/USDT"),
        ("BTC-USD-240628", "BTC/USD"),
        ("BTC-USD-240628-60000-C", "BTC/USD"),
        ("BTCUSDT_PERP", "BTC/USDT"),
        ("BTCUSD_240628", "BTC/USD"),
        ("PF_XBTUSD", "BTC/USD"),
        ("FI_ETHUSD_240628", "ETH/USD"),
        ("BTC-PERPETUAL", "BTC/USDT"),
        ("BTC-27DEC24-100000-C", "BTC/USDT"),
        ("BTCUSDT.P", "BTC/USDT"),
        ("BYBIT:DOTUSD.P", "DOT/USD"),
        ("XBTUSDTM", "BTC/USDT"),
        ("tBTCF0:USTF0", "BTC/USDT"),
        ("PERP_ETH_USDT", "ETH/USDT"),
        ("BTCUSDT_UMCBL", "BTC/USDT"),
        ("eth perp", "ETH/USDT"),
    ],
)
def test_the_exchanges_names_of_derivatives_are_refused_without_a_request(
    client: md.Client, sim: SimulatedExchange, name: str, spot: str
) -> None:
    for operation in ("ticker", "tickers"):
        with pytest.raises(md.PairNotSupportedError, match="only spot") as caught:
            ask(client, operation, name)
        assert caught.value.details["parameter"] in ("pair", "pairs")
        assert caught.value.details["closest"][0] == spot
    assert sim.requests == []


@pytest.mark.parametrize("name", ["PERP/USDT", "PERPUSDT", "PERP_USDT", "PI_USDT", "SWAP-USDT"])
def test_tokens_with_names_like_derivatives_are_accepted(client: md.Client, name: str) -> None:
    with pytest.raises(md.PairNotSupportedError, match="no active spot pair"):
        client.ticker(name)


@pytest.mark.parametrize(
    ("asked", "closest"),
    [
        ("BTC/UDST", "BTC/USDT"),
        ("BTX/USDT", "BTC/USDT"),
        ("ETHUSTD", "ETH/USDT"),
        ("doge-usd", "DOGE/USDT"),
    ],
)
def test_an_unknown_pair_suggests_the_closest(client: md.Client, asked: str, closest: str) -> None:
    with pytest.raises(md.PairNotSupportedError) as caught:
        client.ticker(asked)

    assert caught.value.details["closest"][0] == closest
    assert caught.value.details["exchange"] == "binance"
    assert f"Did you mean {closest}" in str(caught.value)
    assert caught.value.retryable is False


def test_a_pair_like_no_other_has_no_suggestion(client: md.Client) -> None:
    with pytest.raises(md.PairNotSupportedError) as caught:
        client.ticker("QQQQ/WWWW")

    assert caught.value.details["closest"] == []
    assert "Did you mean" not in str(caught.value)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_pair_that_is_no_longer_traded_is_not_served(client: md.Client, exchange: str) -> None:
    with pytest.raises(md.PairNotSupportedError):
        client.ticker("WAVES/USDT", exchange=exchange)
    assert "WAVES/USDT" not in {pair.pair for pair in client.pairs(exchange=exchange)}


def test_a_name_of_several_pairs_requires_the_slash(tmp_path, connect: Factory) -> None:
    start, end = datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, 0, 5, tzinfo=UTC)
    tapes = [
        record(tmp_path, minutes(start, end), f"okx_{name}-1m.csv")
        for name in ("AB_CUSDT", "ABC_USDT")
    ]
    with SimulatedExchange(tape=tapes) as sim:
        client = connect(sim, "okx")
        with pytest.raises(md.PairNotSupportedError) as caught:
            client.ticker("abcusdt")
        assert client.ticker("abc/usdt").pair == "ABC/USDT"

    assert caught.value.details["closest"] == ["AB/CUSDT", "ABC/USDT"]
    assert "could be AB/CUSDT or ABC/USDT" in str(caught.value)


@pytest.mark.parametrize(
    "pair",
    ["", " ", "/", "BTC/", "/USDT", "BTC//USDT", "A/B/C", "B" * 41, "BTC\n/USDT", "a\x00/b", "'/'"],
)
def test_an_impossible_pair_is_an_invalid_parameter(
    client: md.Client, sim: SimulatedExchange, pair: str
) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        client.ticker(pair)

    assert caught.value.details["parameter"] == "pair"
    assert "\n" not in str(caught.value)
    assert "\x00" not in str(caught.value)
    assert sim.requests == []


@pytest.mark.parametrize(
    ("asked", "closest"),
    [("binanec", "binance"), ("krakn", "kraken"), ("okxx", "okx"), ("no-such-thing", None)],
)
def test_an_unknown_exchange_suggests_the_closest(
    client: md.Client, asked: str, closest: str | None
) -> None:
    with pytest.raises(md.ExchangeNotSupportedError) as caught:
        client.ticker("BTC/USDT", exchange=asked)

    assert caught.value.code == "EXCHANGE_NOT_SUPPORTED"
    if closest is not None:
        assert caught.value.details["closest"][0] == closest
        assert f"Did you mean {closest}" in str(caught.value)


@pytest.mark.parametrize("name", ["KRAKEN", " kraken ", "Kraken"])
def test_case_and_blanks_of_an_exchange_do_not_matter(client: md.Client, name: str) -> None:
    assert client.ticker("BTC/USDT", exchange=name).exchange == "kraken"


@pytest.mark.parametrize("name", ["binanceusdm", "binancecoinm", "krakenfutures", "kucoinfutures"])
def test_an_exchange_without_spot_markets_is_refused(
    gateway: Gateway, connect: Factory, name: str
) -> None:
    client = connect(gateway, endpoints={name: gateway.url})
    with pytest.raises(md.ExchangeNotSupportedError):
        client.ticker("BTC/USDT", exchange=name)
    assert gateway.requests == []
