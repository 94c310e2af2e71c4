"""What every exchange is sent for every operation, with which size, or why it is not asked.

Real connectors are asked; nothing leaves the process. ``sweep.json`` holds what was accepted: a
difference is a change of what exchanges see, to be looked at first. ACCEPT_SWEEP=1 accepts it.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from ccxt.async_support.base.exchange import Exchange
from ccxt.base.errors import RequestTimeout
from inside.exchanges import spot_exchanges

from marketdata import MarketDataError

from .asking import NATIVE, PAIR, PAIRS, World
from .loopback import SMALL

ACCEPTED = Path(__file__).with_name("sweep.json")

ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ticker", PAIR),
    ("tickers", PAIRS),
    ("tickers", {}),
    ("quote", PAIR),
    ("quotes", PAIRS),
    *(("orderbook", {**PAIR, "depth": depth}) for depth in (1, 20, 100, 1_000, 5_000)),
    *(("trades", {**PAIR, "limit": limit}) for limit in (5, 100, 1_000)),
    ("trades", {**PAIR, "limit": 5, "start": "-3d"}),
    ("trades", {**PAIR, "limit": 5, "from_id": 7}),
    ("candles", {**PAIR, "timeframe": NATIVE, "limit": 5}),
    ("status", {}),
    ("fees", PAIR),
)

Table = dict[str, dict[str, list[str]]]


def cell(operation: str, given: dict[str, Any]) -> str:
    said = [f"{name}={value}" for name, value in given.items() if name != "pair"]
    return " ".join([operation, *said])


def told(method: str, url: str, body: Any) -> str:
    """Return a request without its host, and without what time and chance put into it."""
    parts = urlsplit(url)
    path = parts.path or "/"
    query = "&".join(f"{name}={value}" for name, value in sorted(parse_qsl(parts.query)))
    text = f"{method} {path}" + (f"?{query}" if query else "") + (f" {body}" if body else "")
    text = re.sub(r"\d{4}-\d\d-\d\d[T ]\d\d(:|%3A)\d\d(:|%3A)\d\d(\.\d+)?Z?", "TIME", text)
    return re.sub(r"(?<![\d.])\d{10,19}(?!\d)", "TIME", text)


async def swept(home: Path, monkeypatch: pytest.MonkeyPatch) -> Table:
    sent: dict[str, list[str]] = {}

    async def fetch(
        self: Any, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        request = told(method, url, body)
        made = sent.setdefault(type(self).__name__, [])
        if request not in made:
            made.append(request)
        raise RequestTimeout("nothing is sent")

    monkeypatch.setattr(Exchange, "fetch", fetch)
    names = [one.id for one in spot_exchanges(home)]
    table: Table = {}
    async with World.begun(home, names, trip_after=10**6) as world:
        world.loopback.body = SMALL[0]
        for operation, given in ASKED:
            sent.clear()
            cases = await asyncio.gather(
                *(world.asks(name, operation, given) for name in world.exchanges)
            )
            for case in cases:
                requests = sorted(sent.get(case.exchange, []))
                if not requests:
                    refused = isinstance(case.came, MarketDataError)
                    said = f"{case.came.code}: {case.came}" if refused else "needs no request"
                    requests = [said]
                table.setdefault(case.exchange, {})[cell(operation, given)] = requests
    return table


def written(table: Table) -> str:
    lines = []
    for name, cells in sorted(table.items()):
        inner = ",\n".join(f"  {json.dumps(key)}: {json.dumps(one)}" for key, one in cells.items())
        lines.append(f" {json.dumps(name)}: {{\n{inner}\n }}")
    return "{\n" + ",\n".join(lines) + "\n}\n"


def test_exchanges_are_sent_what_was_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = asyncio.run(swept(tmp_path, monkeypatch))
    if os.environ.get("ACCEPT_SWEEP"):
        ACCEPTED.write_text(written(table))
    accepted = json.loads(ACCEPTED.read_text())
    assert set(table) == set(accepted)
    differences = [
        f"{name} {key}: {accepted[name].get(key)} -> {one}"
        for name, cells in table.items()
        for key, one in cells.items()
        if accepted[name].get(key) != one
    ]
    assert not differences, "\n".join(differences)
