"""The request budget through ccxt: requested pauses, used weights and limits of exchanges."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ccxt.async_support.base.throttler import Throttler
from ccxt.base.errors import RateLimitExceeded
from inside.exchanges import connector_class, open_venue
from inside.requests import Limit, current, patient, within
from yarl import URL

import marketdata as md
from marketdata.errors import ExchangeUnavailableError
from marketdata.settings import Settings
from marketdata.sim import SimulatedExchange

from .budgets import (
    T0,
    WEIGHT,
    budget,
    granted,
    play,
    virtual,
)
from .conftest import Factory, Run
from .gateway import Answer, Gateway
from .markets import NOW, SEED

paced = pytest.mark.paced


@paced
def test_a_pause_requested_by_an_exchange_holds_for_all_processes(
    sim: SimulatedExchange, connect: Factory, python: Run
) -> None:
    client = connect(sim, timeout=20)
    client.ticker("BTC/USDT")
    sim.faults.add(exchange="binance", status=429, retry_after=1000, times=1)
    with pytest.raises(md.ExchangeUnavailableError, match="asks for fewer requests") as caught:
        client.quote("BTC/USDT")
    assert caught.value.retry_after == 1000
    sim.forget()

    program = """
        import marketdata as md

        try:
            md.ticker("BTC/USDT", exchange="binance")
        except md.ExchangeUnavailableError as error:
            print(error.message.split(".")[0], 900 < error.retry_after <= 1000)
        print(md.ticker("BTC/USDT", exchange="kraken").exchange)
        print(md.ticker("BTC/USDT").exchange)  # the next default
    """
    said = "The request budget of this machine for binance is used up"
    assert python(program) == f"{said} True\nkraken\nkraken\n"
    with pytest.raises(md.ExchangeUnavailableError, match="Try again in"):
        client.ticker("BTC/USDT")
    assert not [request for request in sim.requests if request.exchange == "binance"]


@paced
def test_without_a_retry_after_the_next_request_is_sent(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, retries=1)
    sim.faults.add(exchange="binance", path="*/24hr", status=429, times=1)
    assert client.ticker("BTC/USDT").pair == "BTC/USDT"


def weigh(gateway: Gateway, weight: int) -> None:
    def change(answer: Answer) -> Answer:
        answer.headers[WEIGHT] = str(weight)
        return answer

    gateway.change("*", change)


@paced
def test_the_used_weight_of_binance_slows_us_down_before_the_ban(
    gateway: Gateway, connect: Factory
) -> None:
    first = connect(gateway, timeout=20)
    weigh(gateway, 300)
    first.ticker("BTC/USDT")
    first.ticker("BTC/USDT")

    weigh(gateway, 5950)
    first.ticker("BTC/USDT")
    asked = len(gateway.requests)
    for client in (first, connect(gateway, timeout=20)):
        with pytest.raises(md.ExchangeUnavailableError, match=r"Try again in 6[012] s"):
            client.candles("BTC/USDT")
    assert len(gateway.requests) == asked


@paced
def test_the_exchange_counts_what_we_count(connect: Factory, isolated: Path) -> None:
    with SimulatedExchange(seed=SEED, now=NOW, frozen=True) as alone:
        client = connect(alone)
        client.ticker("BTC/USDT")
        client.candles("BTC/USDT", "1m", limit=1000)
        client.orderbook("BTC/USDT", 1000)
        client.trades("BTC/USDT")
        client.tickers()
        weight = 20 + 2 + 2 + 50 + 25 + 80
        used = granted(isolated / "budget.sqlite", f"binance at {alone.url}")
    assert used == pytest.approx(weight / 5, rel=0.2)


@paced
def test_requests_do_not_wait_for_ccxts_limiter_as_well(
    sim: SimulatedExchange, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limit(*_: Any) -> None:
        raise AssertionError("ccxt's own limiter was asked")

    monkeypatch.setattr(Throttler, "__call__", limit)
    for exchange in ("binance", "okx"):
        assert connect(sim, exchange).ticker("BTC/USDT").pair == "BTC/USDT"


@paced
def test_the_simulator_has_no_limits(isolated: Path) -> None:
    with md.Client("binance", sim=True) as client:
        client.ticker("BTC/USDT")
    assert not isolated.exists()


@pytest.mark.parametrize(
    ("exchange", "limit"),
    [
        ("binance", Limit(0.05, 60.0)),
        ("binanceus", Limit(0.05, 60.0)),
        ("kraken", Limit(1.0, 10.0)),
        ("coinbaseexchange", Limit(0.1)),
        ("okx", Limit(0.11)),
    ],
)
def test_limits_are_those_of_ccxt(exchange: str, limit: Limit) -> None:
    async def main() -> None:
        venue = open_venue(exchange)
        found = venue._limit(venue._api)
        assert found.seconds_per_unit == pytest.approx(limit.seconds_per_unit)
        assert found.window == limit.window
        await venue.close()

    asyncio.run(main())


@pytest.fixture
def impatient() -> Iterator[type[Any]]:
    """ccxt's binance, at an exchange that asks to be left alone for 100 s, each second time."""
    count = 0

    async def fetch(self: Any, url: str, *_: Any) -> Any:
        nonlocal count
        count += 1
        reply = current().reply
        if count % 2:
            self.transport.answered("GET", URL(url), 429, {"Retry-After": "100"}, "")
            raise RateLimitExceeded("slow down")
        assert reply is not None
        return {"serverTime": 7}

    return type("binance", (connector_class("binance"),), {"fetch": fetch})


@paced
def test_a_long_download_waits_as_long_as_the_exchange_asks(
    impatient: type[Any], file: Path
) -> None:
    async def main() -> None:
        venue = open_venue(impatient, settings=Settings(timeout=30))
        venue._api.transport.budget = budget(file)

        async def ask() -> int:
            return int(await venue.call(lambda raw, _: raw, "fetch_time"))

        with pytest.raises(ExchangeUnavailableError, match="asks for fewer requests"):
            await within(30, "binance", ask())
        assert virtual() == T0
        with pytest.raises(ExchangeUnavailableError, match="Try again in 100 s"):
            await within(30, "binance", ask())
        with patient():
            for _ in range(3):
                assert await within(30, "binance", ask()) == 7
        assert T0 + 300 <= virtual() < T0 + 310
        await venue.close()

    play(main)
