"""With retries=0, no operation repeats a failed request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .markets import DIALECTS

Ask = Callable[[md.AsyncClient], Awaitable[Any]]

CALLS: dict[str, tuple[str, Ask]] = {
    "ticker": ("*/24hr", lambda client: client.ticker("BTC/USDT")),
    "quote": ("*/bookTicker", lambda client: client.quote("BTC/USDT")),
    "orderbook": ("*/depth", lambda client: client.orderbook("BTC/USDT")),
    "trades": ("*/trades", lambda client: client.trades("BTC/USDT")),
    "newest_page": ("*/klines", lambda client: client.candles("BTC/USDT")),
    "range": ("*/klines", lambda client: client.candles("BTC/USDT", start="2024-04-30")),
    "pairs": ("*/exchangeInfo", lambda client: client.pairs()),
}
FAULTS = [{"status": 503}, {"status": 429, "retry_after": 0}, {"drop": "body"}, {"body": "html"}]


@pytest.mark.parametrize("fault", FAULTS, ids=str)
@pytest.mark.parametrize("name", CALLS)
def test_one_request_is_sent(sim: SimulatedExchange, name: str, fault: dict[str, Any]) -> None:
    path, ask = CALLS[name]

    async def main() -> None:
        async with md.AsyncClient("binance", endpoints=sim.endpoints, retries=0) as client:
            if name != "pairs":
                await client.pairs()
            sim.faults.add(path=path, **fault)
            sim.forget()
            with pytest.raises(md.UpstreamError) as caught:
                await ask(client)
            assert caught.value.details["attempts"] == 1
            assert len(sim.requests) == 1
            assert client.upstream()[0].requests == (1 if name == "pairs" else 2)

    asyncio.run(main())


def test_each_page_of_a_long_range_is_requested_once(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with md.AsyncClient("binance", endpoints=sim.endpoints, retries=0) as client:
            await client.pairs()
            sim.faults.add(path="*/klines", status=503, after=1)
            sim.forget()
            with pytest.raises(md.ExchangeUnavailableError):
                await client.candles("BTC/USDT", "1m", start="2024-04-25")
            starts = [one.query["startTime"] for one in sim.requests]
            assert len(starts) == len(set(starts)) > 1

    asyncio.run(main())


def test_a_download_requests_once(sim: SimulatedExchange) -> None:
    async def main() -> None:
        async with md.AsyncClient("binance", endpoints=sim.endpoints, retries=0) as client:
            await client.pairs()
            sim.faults.add(path="*/klines", status=503)
            sim.forget()
            [done] = await client.history.download(["BTC/USDT"], "1h", start="2024-04-30")
            assert done.error is not None
            assert len(sim.requests) == 1

    asyncio.run(main())


def test_a_status_sends_each_request_once(sim: SimulatedExchange) -> None:
    async def main() -> None:
        endpoints = dict.fromkeys(DIALECTS, sim.url)
        async with md.AsyncClient("binance", endpoints=endpoints, retries=0) as client:
            sim.faults.add(status=503)
            assert not (await client.status()).reachable
            assert sorted(one.path.rpartition("/")[2] for one in sim.requests) == ["status", "time"]

    asyncio.run(main())


def test_the_variable_does_the_same(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_RETRIES", "0")
    sim.faults.add(path="*/24hr", status=503, retry_after=0)
    with md.Client("binance", endpoints=sim.endpoints) as client:
        client.pairs()
        sim.forget()
        with pytest.raises(md.ExchangeUnavailableError):
            client.ticker("BTC/USDT")
    assert len(sim.requests) == 1
