"""Trades: the newest, from a time, from an id, single or by order."""

from __future__ import annotations

import asyncio
import random
from datetime import UTC, datetime, timedelta
from itertools import groupby
from types import SimpleNamespace
from typing import Any

import pytest
from inside.exchanges import Quirk, parsing

import marketdata as md
from marketdata._candles import trades as search
from marketdata.sim import SimulatedExchange
from marketdata.sim.markets import bars as sim_bars

from .conftest import Factory
from .markets import DIALECTS, NOW, market, ms, number, record, trades, when

FROM_ID = ("binance", "coinbaseexchange", "okx")
FROM_TIME = ("binance", "kraken", "okx")
PAGE = {"binance": 1000, "kraken": 1000, "coinbaseexchange": 1000, "okx": 500}

Made = tuple[str | None, int, float, float, str | None]


def rows(answer: list[md.Trade]) -> list[Made]:
    return [(one.id, ms(one.timestamp), one.price, one.amount, one.side) for one in answer]


def truth(exchange: str, of: list[sim_bars.Trade], pair: str = "BTC/USDT") -> list[Made]:
    scales = market(exchange, pair)
    return [
        (
            str(one.id),
            one.ms,
            number(one.price, scales.price_scale),
            number(one.amount, scales.amount_scale),
            "buy" if one.buy else "sell",
        )
        for one in of
    ]


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("limit", [1, 2, 37])
def test_the_newest_trades_oldest_first(client: md.Client, exchange: str, limit: int) -> None:
    found = client.trades("BTC/USDT", limit=limit, exchange=exchange)

    assert rows(found) == truth(exchange, trades(exchange, "BTC/USDT", count=limit))


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_hundred_are_the_default_and_a_page_the_maximum(client: md.Client, exchange: str) -> None:
    assert len(client.trades("BTC/USDT", exchange=exchange)) == 100
    assert len(client.trades("BTC/USDT", limit=1000, exchange=exchange)) == PAGE[exchange]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_cost_is_price_times_amount(client: md.Client, exchange: str) -> None:
    for trade in client.trades("BTC/USDT", limit=20, exchange=exchange):
        assert trade.cost == pytest.approx(trade.price * trade.amount, rel=1e-12)


@pytest.mark.parametrize("exchange", FROM_TIME)
@pytest.mark.parametrize("offset", [0, 1, 500, 999])
@pytest.mark.parametrize("limit", [1, 40])
def test_the_first_trades_from_a_time(
    client: md.Client, exchange: str, offset: int, limit: int
) -> None:
    # Also where the time is that of a trade, and in the midst of a second.
    first = trades(exchange, "BTC/USDT", start=ms(NOW) - 86_400_000, count=1)[0]
    start = first.ms + offset - 500
    found = client.trades("BTC/USDT", limit=limit, start=start, exchange=exchange)

    assert rows(found) == truth(exchange, trades(exchange, "BTC/USDT", start=start, count=limit))


@pytest.mark.parametrize("exchange", FROM_TIME)
def test_a_start_at_a_trade_includes_it(client: md.Client, exchange: str) -> None:
    wanted = trades(exchange, "BTC/USDT", start=ms(NOW) - 3_600_000, count=12)
    for trade in wanted:
        found = client.trades("BTC/USDT", limit=1, start=trade.ms, exchange=exchange)
        same_moment = next(one for one in wanted if one.ms == trade.ms)
        assert rows(found) == truth(exchange, [same_moment])


@pytest.mark.parametrize("exchange", FROM_TIME)
def test_a_start_before_the_listing_gives_the_first_trades(
    client: md.Client, exchange: str
) -> None:
    found = client.trades("PEPE/USDT", limit=3, start="2020-01-01", exchange=exchange)
    first = trades(exchange, "PEPE/USDT", start=0, count=3)

    assert rows(found) == truth(exchange, first, "PEPE/USDT")
    assert found[0].id == "0"


@pytest.mark.parametrize("exchange", FROM_TIME)
def test_a_start_after_the_last_trade_gives_none(client: md.Client, exchange: str) -> None:
    assert client.trades("BTC/USDT", start=ms(NOW) + 1, exchange=exchange) == []


@pytest.mark.parametrize("days", [0.2, 3, 90, 1_000])
@pytest.mark.parametrize("pair", ["BTC/USDT", "PEPE/USDT"])
def test_consecutive_ids_lead_to_a_time(
    client: md.Client, sim: SimulatedExchange, pair: str, days: float
) -> None:
    start = ms(NOW) - int(days * 86_400_000) + 1
    before = len(sim.requests)
    found = client.trades(pair, limit=40, start=start, exchange="coinbaseexchange")

    first = trades("coinbaseexchange", pair, start=start, count=40)
    assert rows(found) == truth("coinbaseexchange", first, pair)
    assert len(sim.requests) - before <= 12


@pytest.mark.parametrize("limit", [1, 40])
def test_from_a_time_that_the_newest_trades_reach(client: md.Client, limit: int) -> None:
    newest = client.trades("BTC/USDT", limit=1_000, exchange="coinbaseexchange")
    start = newest[len(newest) // 2].timestamp
    found = client.trades("BTC/USDT", limit=limit, start=start, exchange="coinbaseexchange")

    first = trades("coinbaseexchange", "BTC/USDT", start=ms(start), count=limit)
    assert rows(found) == truth("coinbaseexchange", first)


@pytest.mark.parametrize("oldest", [0, 1, 700])
@pytest.mark.parametrize("seed", range(40))
def test_a_search_by_ids_equals_a_full_scan(seed: int, oldest: int) -> None:
    chance = random.Random(seed)
    time, made = datetime(2024, 1, 1, tzinfo=UTC), []
    for trade_id in range(oldest, oldest + 5_000):
        # Hours without a trade, and many trades in one moment.
        pause = chance.choice([0, 0, 0, 0.01, 1, 1, 60, 7_200 if trade_id % 500 < 20 else 0])
        time += timedelta(seconds=pause)
        made.append(SimpleNamespace(id=str(trade_id), timestamp=time))
    looks = []

    async def page(_: str, *, limit: int, params: dict[str, str]) -> list[Any]:
        looks.append(behind := int(params["after"]) - oldest)
        return made[max(0, behind - limit) : max(0, behind)]

    quirk = Quirk(trades_from_id="<after", numbered_trades=True, trades_per_request=50)
    venue: Any = SimpleNamespace(id="some", quirk=quirk, trades=page)
    wanted = made[chance.randrange(4_900)].timestamp + timedelta(seconds=chance.choice([0, 0.005]))
    right = next(one for one in made if one.timestamp >= wanted)
    asked = search._first_from(venue, "BTC/USDT", wanted, made[-50:])  # type: ignore[arg-type]
    if right is made[0] and oldest > 1:
        with pytest.raises(md.DataUnavailableError, match="from_id"):
            asyncio.run(asked)
    else:
        assert asyncio.run(asked) == int(right.id)
    assert len(looks) <= 20


def test_from_the_time_of_the_oldest_newest_trade_none_is_missing(client: md.Client) -> None:
    oldest = client.trades("BTC/USDT", limit=1_000, exchange="coinbaseexchange")[0]
    start = oldest.timestamp
    found = client.trades("BTC/USDT", limit=40, start=start, exchange="coinbaseexchange")

    first = trades("coinbaseexchange", "BTC/USDT", start=ms(start), count=40)
    assert rows(found) == truth("coinbaseexchange", first)


@pytest.mark.parametrize("exchange", FROM_ID)
@pytest.mark.parametrize("from_id", [0, 1, 99, 12_345_678])
@pytest.mark.parametrize("limit", [1, 60])
def test_the_first_trades_from_an_id(
    client: md.Client, exchange: str, from_id: int, limit: int
) -> None:
    found = client.trades("BTC/USDT", limit=limit, from_id=from_id, exchange=exchange)

    assert [one.id for one in found] == [str(from_id + index) for index in range(limit)]
    of = market(exchange)
    first = next(of.forwards(ms(NOW), trade_id=from_id))
    assert rows(found[:1]) == truth(exchange, [first])


@pytest.mark.parametrize("exchange", FROM_ID)
@pytest.mark.parametrize("limit", [101, 1000])
def test_more_than_a_page_from_an_id_starts_at_the_id(
    client: md.Client, exchange: str, limit: int
) -> None:
    found = client.trades("BTC/USDT", limit=limit, from_id=5_000, exchange=exchange)

    # OKX gives a hundred old trades at a time.
    count = 100 if exchange == "okx" else limit
    assert [one.id for one in found] == [str(5_000 + index) for index in range(count)]


@pytest.mark.parametrize("exchange", FROM_ID)
def test_the_last_trades_from_an_id(client: md.Client, exchange: str) -> None:
    newest = trades(exchange, "BTC/USDT", count=3)
    found = client.trades("BTC/USDT", from_id=newest[0].id, exchange=exchange)
    assert rows(found) == truth(exchange, newest)
    assert client.trades("BTC/USDT", from_id=newest[-1].id + 1, exchange=exchange) == []


def test_kraken_has_no_trades_by_id(client: md.Client, sim: SimulatedExchange) -> None:
    client.pairs(exchange="kraken")
    sim.forget()
    with pytest.raises(md.DataUnavailableError) as caught:
        client.trades("BTC/USDT", from_id=0, exchange="kraken")

    assert caught.value.retryable is False
    assert "no trades by id" in str(caught.value)
    assert sim.requests == []


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("from_id", [0, 7])
def test_a_time_and_an_id_exclude_each_other(
    client: md.Client, exchange: str, from_id: int
) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        client.trades("BTC/USDT", start="-1h", from_id=from_id, exchange=exchange)

    assert caught.value.details["parameter"] == "from_id"


def merged(exchange: str, single: list[Made]) -> list[Any]:
    """Fills of one moment, price and side, added up by brute force."""
    scale = market(exchange).amount_scale
    return [
        (moment, price, round(sum(one[3] for one in fills), scale), side, fills[0][0], fills[-1][0])
        for (moment, price, side), group in groupby(
            single, key=lambda one: (one[1], one[2], one[4])
        )
        for fills in [list(group)]
    ]


def aggregated(answer: list[md.Trade]) -> list[Any]:
    return [
        (ms(one.timestamp), one.price, one.amount, one.side, one.first_id, one.last_id)
        for one in answer
    ]


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("limit", [1, 50])
def test_the_newest_orders(client: md.Client, exchange: str, limit: int) -> None:
    found = client.trades("BTC/USDT", limit=limit, aggregate=True, exchange=exchange)
    single = truth(exchange, trades(exchange, "BTC/USDT", count=2 * limit + 4))

    assert aggregated(found) == merged(exchange, single)[-limit:]
    assert len(found) == limit


@pytest.mark.parametrize("exchange", FROM_TIME)
def test_the_first_orders_from_a_time(client: md.Client, exchange: str) -> None:
    start = ms(NOW) - 7_200_000
    found = client.trades("BTC/USDT", limit=40, start=start, aggregate=True, exchange=exchange)
    single = truth(exchange, trades(exchange, "BTC/USDT", start=start, count=90))

    assert aggregated(found) == merged(exchange, single)[:40]


@pytest.mark.parametrize("exchange", ["coinbaseexchange", "okx"])
def test_the_first_orders_from_an_id(client: md.Client, exchange: str) -> None:
    of = market(exchange)
    single = [
        trade for trade, _ in zip(of.forwards(ms(NOW), trade_id=4_000), range(80), strict=False)
    ]
    found = client.trades("BTC/USDT", limit=30, from_id=4_000, aggregate=True, exchange=exchange)
    assert aggregated(found) == merged(exchange, truth(exchange, single))[:30]


def test_orders_on_binance_have_their_own_ids(client: md.Client) -> None:
    found = client.trades("BTC/USDT", limit=5, from_id=30, aggregate=True)

    assert [one.id for one in found] == ["30", "31", "32", "33", "34"]
    assert [(one.first_id, one.last_id) for one in found] == [
        ("40", "40"),
        ("41", "41"),
        ("42", "43"),
        ("44", "44"),
        ("45", "45"),
    ]


def test_elsewhere_an_order_has_the_id_of_its_first_trade(client: md.Client) -> None:
    for one in client.trades("BTC/USDT", limit=9, aggregate=True, exchange="okx"):
        assert one.id == one.first_id


def test_single_trades_have_no_first_and_last(client: md.Client) -> None:
    for exchange in DIALECTS:
        [trade] = client.trades("BTC/USDT", limit=1, exchange=exchange)
        assert (trade.first_id, trade.last_id) == (None, None)
        assert {"firstId", "lastId"} & set(trade.to_dict()) == set()


@pytest.mark.parametrize("exchange", FROM_TIME)
@pytest.mark.parametrize("aggregate", [False, True])
def test_hours_without_trades_are_skipped(
    tmp_path: Any, connect: Factory, exchange: str, aggregate: bool
) -> None:
    day = ms("2024-03-01")
    moments = [day, day + 60_000, day + 5 * 3_600_000 + 1, day + 60 * 86_400_000]
    lines = [
        (moment, index, "", "buy", "100.5", "2", "201") for index, moment in enumerate(moments)
    ]
    path = record(
        tmp_path,
        lines,
        f"{exchange}_BTC_USDT-trades.csv",
        "timestamp_ms,id,type,side,price,amount,cost",
    )
    with SimulatedExchange(tape=path) as sim:
        client = connect(sim, exchange)
        for start, wanted in [
            (day + 1, 1),
            (day + 120_000, 2),
            (day + 5 * 3_600_000 + 2, 3),
            (day + 40 * 86_400_000, 3),
        ]:
            found = client.trades("BTC/USDT", start=start, limit=1, aggregate=aggregate)
            assert [ms(one.timestamp) for one in found] == [moments[wanted]]
        assert client.trades("BTC/USDT", start=moments[-1] + 1) == []


@pytest.mark.parametrize("exchange", DIALECTS)
def test_times_are_the_exchanges(client: md.Client, exchange: str) -> None:
    [trade] = client.trades("BTC/USDT", limit=1, exchange=exchange)

    assert trade.timestamp == when(trades(exchange, "BTC/USDT", count=1)[0].ms)
    assert trade.received_at > trade.timestamp
    assert trade.simulated is True


@pytest.mark.parametrize("ids", [{"a": None, "f": None, "l": None}, {"a": 7, "f": 1, "l": None}])
def test_missing_ids_are_none(ids: dict[str, int | None]) -> None:
    sent = {"timestamp": 0, "price": 1.0, "amount": 2.0, "id": "7", "info": ids}
    [trade] = parsing.trades(
        [sent], exchange="any", pair="BTC/USDT", received_at=NOW, simulated=False
    )
    assert (trade.first_id, trade.last_id) == (None, None)
