"""One pair on several exchanges at once: rows, failures, the best prices, fees."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from decimal import localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from waiting import soon, taking_at_most

import marketdata as md
from marketdata._aggregation.asking import Answer
from marketdata._aggregation.comparing import compared
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS

NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


def answer(
    exchange: str,
    bid: float | None,
    ask: float | None,
    fee: float | None = 0.0,
    pair: str = "BTC/USDT",
    age: float = 0.0,
) -> Answer[md.Ticker]:
    ticker = md.Ticker(
        exchange=exchange,
        pair=pair,
        timestamp=NOON - timedelta(seconds=age + 1),
        received_at=NOON - timedelta(seconds=age),
        window="24h",
        source="ticker",
        last=bid,
        bid=bid,
        ask=ask,
        base_volume=7.0,
    )
    return Answer(exchange, pair, ticker, fee, 12.5)


def failed(exchange: str) -> Answer[md.Ticker]:
    return Answer(exchange, "BTC/USDT", error=md.DataUnavailableError("Nothing there."))


def together(*answers: Answer[md.Ticker]) -> md.Comparison:
    return compared("BTC/USDT", answers, NOON)


# ---------------------------------------------------------------------------- from exchanges


def test_rows_have_the_values_of_each_exchange(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, DIALECTS)
    found = client.compare("btc-usdt")

    assert [row.exchange for row in found.rows] == list(DIALECTS)
    assert (found.pair, found.simulated) == ("BTC/USDT", True)
    for row in found.rows:
        ticker = client.ticker("BTC/USDT", exchange=row.exchange)
        [pair] = client.pairs(exchange=row.exchange, base="BTC", quote="USDT")
        assert (row.code, row.message) == (None, None)
        assert (row.bid, row.ask, row.last) == (ticker.bid, ticker.ask, ticker.last)
        assert (row.base_volume, row.fee) == (ticker.base_volume, pair.taker)
        assert row.latency_ms is not None
        assert 0 < row.latency_ms < 10_000
        assert row.age is not None
        assert 0 <= row.age < 10
    bids = {row.bid: row.exchange for row in found.rows}
    assert found.best_bid is not None
    assert (found.best_bid.price, found.best_bid.exchange) == max(bids.items())


def test_failures_are_rows_with_their_code(sim: SimulatedExchange, connect: Factory) -> None:
    sim.faults.add(exchange="kraken", path="*/Ticker", status=500)
    sim.faults.add(exchange="okx", path="*/ticker", body="html")
    found = connect(sim).compare("BTC/USDT", exchanges=["kraken", "nosuch", "okx", "binance"])

    assert [(row.exchange, row.code) for row in found.rows] == [
        ("kraken", "EXCHANGE_UNAVAILABLE"),
        ("nosuch", "EXCHANGE_NOT_SUPPORTED"),
        ("okx", "DATA_UNAVAILABLE"),
        ("binance", None),
    ]
    for row in found.rows[:3]:
        assert row.message
        assert (row.bid, row.ask, row.latency_ms, row.timestamp) == (None,) * 4
    assert found.best_bid is not None
    assert found.best_bid.exchange == "binance"
    assert found.crossed is False


def test_a_comparison_without_any_response_is_returned(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim)
    sim.faults.add(path="*", status=500)
    found = client.compare("NO/SUCH", exchanges=["kraken", "okx"])

    assert {row.code for row in found.rows} == {"EXCHANGE_UNAVAILABLE"}
    assert (found.best_bid, found.best_ask, found.spread) == (None, None, None)
    assert (found.crossed, found.crossed_after_fees) == (None, None)
    assert found.timestamp == found.received_at


@pytest.mark.parametrize("operation", ["compare", "consolidated_orderbook", "execution_cost"])
@pytest.mark.parametrize(
    ("pair", "first"), [("BTC", "BTC/USDT"), ("ethereum", "ETH/USDT"), ("BTC/USTD", "BTC/USDT")]
)
def test_a_pair_that_no_exchange_has_is_refused_with_the_most_common_ones(
    sim: SimulatedExchange, connect: Factory, operation: str, pair: str, first: str
) -> None:
    order = {"side": "buy", "amount": 1} if operation == "execution_cost" else {}
    with pytest.raises(md.PairNotSupportedError) as caught:
        getattr(connect(sim), operation)(pair, exchanges=["okx", "kraken"], **order)
    details = caught.value.details
    assert details["closest"][0] == first
    assert details["pair"] == pair.upper()
    assert set(details["exchanges"]) == {"okx", "kraken"}
    assert caught.value.message.count(f"'{pair.upper()}'") == 1
    assert "okx, kraken" in caught.value.message


def test_suggested_pairs_are_ordered_by_the_number_of_exchanges(
    sim: SimulatedExchange, connect: Factory
) -> None:
    with pytest.raises(md.PairNotSupportedError) as caught:
        connect(sim).compare("BTC", exchanges=["binance", "kraken"])
    found = caught.value.details["closest"]
    assert found.index("BTC/EUR") < found.index("BTC/USD"), "only kraken has that"
    assert caught.value.details["exchanges"]["kraken"]["details"]["closestBy"]


def test_slow_exchanges_are_cut_off_at_the_deadline(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, DIALECTS, timeout=3)
    client.compare("BTC/USDT")
    sim.faults.add(exchange="okx", path="*/ticker", hang=True)
    began = time.monotonic()
    with taking_at_most(10):
        found = client.compare("BTC/USDT")

    assert time.monotonic() - began > 2.9
    late = found.rows[DIALECTS.index("okx")]
    assert late.code == "EXCHANGE_UNAVAILABLE"
    assert late.message is not None
    assert "within 3 s" in late.message
    assert sum(row.code is None for row in found.rows) == 3
    ages = [row.age for row in found.rows if row.age is not None]
    assert min(ages) > 1, "the others have waited for it, and say so"


def test_exchanges_are_requested_at_once(sim: SimulatedExchange) -> None:
    def asked() -> list[str]:
        return sorted(one.exchange for one in sim.requests if "icker" in one.path)

    async def main() -> None:
        async with md.AsyncClient(endpoints=sim.endpoints) as client:
            await client.compare("BTC/USDT", exchanges=DIALECTS)
            sim.forget()
            sim.faults.add(path="*icker*", hang=True)
            comparing = asyncio.create_task(client.compare("BTC/USDT", exchanges=DIALECTS))
            await soon(lambda: asked() == sorted(DIALECTS), what=asked)
            comparing.cancel()
            await asyncio.wait([comparing])

    asyncio.run(main())


def test_quote_currencies_are_mixed_only_on_request(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, ["binance", "kraken"])
    assert {row.pair for row in client.compare("BTC/USDT").rows} == {"BTC/USDT"}
    found = client.compare("BTC/USDT", quotes=["usdt", "USD"])

    assert [(row.exchange, row.pair, row.code) for row in found.rows] == [
        ("binance", "BTC/USDT", None),
        ("binance", "BTC/USD", "PAIR_NOT_SUPPORTED"),
        ("kraken", "BTC/USDT", None),
        ("kraken", "BTC/USD", None),
    ]
    with pytest.raises(md.InvalidParameterError, match="BASE/QUOTE"):
        client.compare("BTCUSDT", quotes=["USD"])


def test_a_pair_without_a_slash_is_one_pair_everywhere(
    sim: SimulatedExchange, gateway: Gateway, connect: Factory
) -> None:
    found = connect(sim).compare("BTCUSDT", exchanges=["binance", "binance", "okx"])
    assert [(row.exchange, row.pair) for row in found.rows] == [
        ("binance", "BTC/USDT"),
        ("okx", "BTC/USDT"),
    ]
    assert found.pair == "BTC/USDT"

    def otherwise(sent: Any) -> None:
        for one in sent["data"]:
            if one["instId"] == "BTC-USDT":
                one.update(instId="BT-CUSDT", baseCcy="BT", quoteCcy="CUSDT")

    ticker = {"instId": "BT-CUSDT", "last": "1.5", "bidPx": "1.4", "askPx": "1.6", "ts": "1"}
    gateway.edit("*/public/instruments", otherwise)
    gateway.answer("*/market/ticker", {"code": "0", "msg": "", "data": [ticker]})
    client = connect(sim, endpoints={"okx": gateway.url})
    with pytest.raises(md.InvalidParameterError, match="with a slash") as caught:
        client.compare("BTCUSDT", exchanges=["binance", "okx"])
    assert caught.value.details["closest"] == ["BTC/USDT", "BT/CUSDT"]


def test_a_ticker_without_bid_and_ask_is_completed(
    sim: SimulatedExchange, gateway: Gateway, connect: Factory
) -> None:
    gateway.edit("*/ticker/24hr", lambda sent: sent.update(bidPrice=None, bidQty=None))
    client = connect(gateway)
    quote = client.quote("BTC/USDT")
    [row] = client.compare("BTC/USDT", exchanges=["binance"]).rows
    assert (row.bid, row.bid_volume, row.ask) == (quote.bid, quote.bid_volume, quote.ask)

    sim.faults.add(exchange="binance", path="*/bookTicker", status=500)
    [row] = client.compare("BTC/USDT", exchanges=["binance"]).rows
    assert (row.code, row.bid, row.spread) == (None, None, None)
    assert row.last is not None


@pytest.mark.parametrize("given_", [{"exchanges": {"okx": 1}}, {"quotes": 5}, {"exchanges": [7]}])
def test_wrong_arguments(client: md.Client, given_: dict[str, Any]) -> None:
    with pytest.raises(md.InvalidParameterError):
        client.compare("BTC/USDT", **given_)


# ---------------------------------------------------------------------------- from answers


def test_the_best_of_each_side() -> None:
    found = together(answer("a", 99.5, 100.5), answer("b", 99.7, 100.1, age=2), failed("c"))

    assert found.best_bid == md.Best(exchange="b", pair="BTC/USDT", price=99.7)
    assert found.best_ask == md.Best(exchange="b", pair="BTC/USDT", price=100.1)
    assert (found.spread, found.spread_bps) == (0.4, 40.04004)
    assert (found.crossed, found.crossed_after_fees) == (False, False)
    assert (found.timestamp, found.received_at) == (NOON - timedelta(seconds=3), NOON)
    assert [row.spread for row in found.rows] == [1.0, 0.4, None]
    assert [row.age for row in found.rows] == [0.0, 2.0, None]


@pytest.mark.parametrize(
    ("fees", "after"),
    [((0.0, 0.0), True), ((0.001, 0.001), True), ((0.006, 0.006), False), ((0.006, 0.0), True)],
)
def test_crossed_before_and_after_fees(fees: tuple[float, float], after: bool) -> None:
    found = together(answer("a", 101.0, 102.0, fees[0]), answer("b", 99.0, 100.0, fees[1]))

    assert found.crossed is True
    assert found.spread == -1.0
    assert found.crossed_after_fees is after
    assert found.without_fees is None


def test_locked_is_not_crossed() -> None:
    found = together(answer("a", 100.0, 101.0), answer("b", 99.0, 100.0))
    assert (found.spread, found.crossed, found.crossed_after_fees) == (0.0, False, False)


def test_an_exchange_without_a_fee_is_left_out_and_named() -> None:
    found = together(
        answer("a", 105.0, 106.0, None), answer("b", 99.0, 100.0), answer("c", 99.0, 100.2)
    )
    assert found.best_bid is not None
    assert (found.best_bid.exchange, found.crossed) == ("a", True)
    assert found.crossed_after_fees is False
    assert found.without_fees == ("a",)
    alone = together(answer("a", 105.0, 106.0, None))
    assert (alone.crossed, alone.crossed_after_fees) == (False, None)


def test_fees_do_not_depend_on_the_decimal_context() -> None:
    rows = answer("a", 100.1, 101.0, fee=0.00075), answer("b", 99.0, 100.0, fee=0.00075)
    with localcontext(prec=2):
        found = together(*rows)
    assert (found.crossed, found.crossed_after_fees) == (True, False)


prices = st.none() | st.integers(1, 10**8).map(lambda cents: cents / 100)
fees = st.none() | st.integers(0, 100).map(lambda points: points / 10_000)


@given(st.lists(st.tuples(prices, prices, fees), min_size=1, max_size=5))
def test_best_and_crossed_equal_a_brute_force_search(
    quoted: list[tuple[float | None, float | None, float | None]],
) -> None:
    found = together(
        *[answer(str(number), bid, ask, fee) for number, (bid, ask, fee) in enumerate(quoted)]
    )
    bids = [bid for bid, _, _ in quoted if bid is not None]
    asks = [ask for _, ask, _ in quoted if ask is not None]

    assert (found.best_bid.price if found.best_bid else None) == max(bids, default=None)
    assert (found.best_ask.price if found.best_ask else None) == min(asks, default=None)
    if bids and asks:
        assert found.crossed is any(bid > ask for bid in bids for ask in asks)
    known = [one for one in quoted if one[2] is not None]
    assert (found.without_fees is None) == all(
        fee is not None or bid is None is ask for bid, ask, fee in quoted
    )
    net = [
        bid * (1 - sold) - ask * (1 + bought)
        for bid, _, sold in known
        for _, ask, bought in known
        if bid is not None and ask is not None and sold is not None and bought is not None
    ]
    if not net:
        assert found.crossed_after_fees is None
    elif abs(max(net)) > 1e-6:  # what is closer floats cannot tell
        assert found.crossed_after_fees is (max(net) > 0)
