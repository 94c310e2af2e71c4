"""Order books that ccxt keeps, for exchanges whose format we do not parse."""

from __future__ import annotations

from dataclasses import replace

import pytest
from inside.exchanges import quirks

from marketdata.sim import SimulatedExchange

from .live import (
    EXCHANGES,
    NAMES,
    PAIR,
    all_live,
    as_rest,
    client_of,
    crossed,
    flowing,
    run,
    said,
    stream,
    until,
)


@pytest.fixture(autouse=True)
def unknown_wires(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exchanges of which we know no more than of a hundred others."""
    for name in EXCHANGES:
        known = replace(quirks.quirk(name), book_wire=None)
        monkeypatch.setitem(quirks.QUIRKS, name, known)


@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if name != "coinbaseexchange"])
def test_a_kept_book_is_what_rest_says(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR, 10) as watch:
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            for _ in range(3):
                await sim.advance(2)
                found = await as_rest(client, watch, depth=10)
                assert (found.exchange, found.pair, found.simulated) == (exchange, PAIR, True)
        assert len(said(sim, "nsubscribe") + said(sim, "UNSUBSCRIBE")) == 1

    run(work())


@pytest.mark.parametrize(
    ("exchange", "effect"),
    [
        ("binance", "lose"),
        ("binance", "stray"),
        ("okx", "lose"),
    ],
)
def test_a_kept_book_is_mended(sim: SimulatedExchange, exchange: str, effect: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR, 10) as watch:
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            sim.faults.add(f"{exchange}:stream/{NAMES[exchange].book}:{effect},times=1")
            await flowing(sim, lambda: stream(client).gaps, step=0.1, what=client.streams)
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            await sim.advance(0.5)
            assert not crossed(await as_rest(client, watch, depth=10))
            assert stream(client).gaps == 1

    run(work())


@pytest.mark.parametrize("exchange", [name for name in EXCHANGES if name != "coinbaseexchange"])
def test_a_kept_book_comes_back(sim: SimulatedExchange, exchange: str) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client, client.watch_orderbook(PAIR, 10) as watch:
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            sim.hang_up()
            await until(lambda: stream(client).reconnects)
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            await sim.advance(0.5)
            assert not (await as_rest(client, watch, depth=10)).is_stale
            await all_live(client)

    run(work())
