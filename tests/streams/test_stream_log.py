"""The logger ``marketdata`` for streams."""

from __future__ import annotations

import logging

import pytest

from marketdata.sim import SimulatedExchange

from .live import PAIR, all_live, client_of, flowing, run, stream


@pytest.mark.parametrize(
    ("effect", "said"),
    [
        ("lose", "a gap, waiting for the whole state"),
        ("cut", "subscribing anew after EXCHANGE_UNAVAILABLE"),
    ],
)
def test_gaps_and_reconnects_are_logged(
    sim: SimulatedExchange, caplog: pytest.LogCaptureFixture, effect: str, said: str
) -> None:
    async def work() -> None:
        async with client_of(sim, "binance") as client, client.watch_orderbook(PAIR):
            await all_live(client)
            sim.faults.add(f"binance:stream/depth*:{effect},times=1")
            await flowing(
                sim, lambda: stream(client).gaps + stream(client).reconnects > 0, step=0.1
            )
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)

    with caplog.at_level(logging.DEBUG, "marketdata"):
        run(work())
    lines = [one.getMessage() for one in caplog.records if said in one.getMessage()]
    assert lines
    assert all(one.startswith("binance Subject(kind='orderbook', pair='BTC/USDT'") for one in lines)
