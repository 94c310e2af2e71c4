"""What is sent for each stream of each exchange, and what is refused: as the table has it.

The table is `accepted_streams.json`. After a change that is meant, and after ccxt has changed,
``MARKETDATA_ACCEPT=1 pytest tests/exchanges/test_stream_sweep.py`` writes it anew; read the
difference.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from inside.exchanges import spot_exchanges
from inside.markets import Lists

import marketdata as md

from .asking import markets
from .listening import Listener, as_row, subscription

TABLE = Path(__file__).with_name("accepted_streams.json")
ACCEPTS = bool(os.environ.get("MARKETDATA_ACCEPT"))
PAIR = "BTC/USDT"
DEPTHS = (1, 20, 100, 5_000)
ALL_COME = 20.0
"""Seconds after which what is expected will not come any more."""
SETTLES = 1.5
"""Seconds in which all comes that there is, where it is not known what to expect."""

Row = dict[str, Any]


def cells(exchange: md.models.Exchange) -> Iterator[tuple[str, str, Row]]:
    """Yield each stream of an exchange: its name in the table, the method and its arguments."""
    for kind in exchange.streams:
        if kind == "orderbook":
            for depth in DEPTHS:
                yield f"orderbook {depth}", "watch_orderbook", {"depth": depth}
        elif kind == "candles":
            for length in exchange.stream_timeframes:
                yield f"candles {length}", "watch_candles", {"timeframe": length}
        else:
            yield kind, f"watch_{kind}", {}
    if "candles" in exchange.streams:
        yield "candles 7m", "watch_candles", {"timeframe": "7m"}


async def came(
    client: md.AsyncClient, listener: Listener, exchange: str, method: str, given: Row, wanted: Any
) -> Any:
    """Watch, and give what was sent for it, or the code of what it ended with."""
    heard = listener.heard[exchange] = []
    watch = getattr(client, method)(PAIR, exchange=exchange, **given)
    reading = asyncio.ensure_future(anext(watch))
    loop = asyncio.get_running_loop()
    ends = loop.time() + (SETTLES if ACCEPTS else ALL_COME)
    try:
        while loop.time() < ends and not reading.done():
            if not ACCEPTS and isinstance(wanted, list) and subscription(heard) == wanted:
                break
            await asyncio.sleep(0.01)
        sent = subscription(heard)
        if sent or not reading.done():
            return sent
        error = reading.exception()
        return error.code if isinstance(error, md.MarketDataError) else repr(error)
    finally:
        await watch.close()
        await asyncio.wait({reading})


def test_each_stream_is_subscribed_to_as_the_table_has_it(home: Path) -> None:
    exchanges = [one for one in spot_exchanges(home) if one.streams]
    accepted = {} if ACCEPTS else json.loads(TABLE.read_text())
    found: dict[str, Row] = {}

    async def of(
        client: md.AsyncClient, listener: Listener, exchange: md.models.Exchange, turn: Any
    ) -> None:
        async with turn:
            row = found[exchange.id] = {}
            for name, method, given in cells(exchange):
                wanted = accepted.get(exchange.id, {}).get(name)
                row[name] = await came(client, listener, exchange.id, method, given, wanted)

    async def sweep() -> None:
        async with Listener.begun() as listener:
            endpoints = {one.id: f"{listener.url}/{one.id}" for one in exchanges}
            lists = Lists(home)
            for one in exchanges:
                lists.plant(one.id, markets(one.id), endpoint=endpoints[one.id])
            async with md.AsyncClient(
                endpoints=endpoints, home=home, retries=0, timeout=30
            ) as client:
                turn = asyncio.Semaphore(12)
                await asyncio.gather(*[of(client, listener, one, turn) for one in exchanges])

    asyncio.run(sweep())
    if ACCEPTS:
        lines = [
            f"  {json.dumps(exchange)}: {{\n"
            + ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in row.items())
            + "\n  }"
            for exchange, row in sorted(found.items())
        ]
        TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    differences = [
        f"{exchange} {name}: {as_row(accepted.get(exchange, {}).get(name))} -> {as_row(row[name])}"
        for exchange, row in found.items()
        for name in row
        if not ACCEPTS and row[name] != accepted.get(exchange, {}).get(name)
    ]
    assert differences == []
    assert ACCEPTS or set(found) == set(accepted)
    nothing = [f"{one} {name}" for one, row in found.items() for name in row if not row[name]]
    assert nothing == []
