"""Candles for agents, page after page."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import marketdata as md
from marketdata_mcp.tools import TOOLS

from .setting import MORNING, Set
from .world import HOUR, MINUTE, PAIR, SECOND, Odd, World


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
def test_next_continues_inside_a_place_with_two_candles(
    set_up: Set, tmp_path: Path, rows: int
) -> None:
    start, end = MORNING + HOUR, MORNING + HOUR + 8 * MINUTE
    odd = Odd("1m", start + 2 * MINUTE, start + 5 * MINUTE, 17_789, besides=True)
    setting = set_up(World(MORNING, 10 * SECOND, 600, MORNING + 90 * MINUTE, odd=(odd,)))
    whole = setting.each("1m", start=start, end=end)
    assert len(whole) == 11

    async def work() -> list[list[Any]]:
        form, url = setting.exchange.world.form, setting.wire.url
        settings: dict[str, Any] = {"home": tmp_path / "other", "retries": 0}
        async with md.AsyncClient(form, endpoints={form: url}, **settings) as client:
            found, following = list[list[Any]](), {"start": start}
            while following:
                question = {"pair": PAIR, "timeframe": "1m", "end": end, "limit": rows}
                asked = TOOLS["get_candles"].parse(question | following)
                served = SimpleNamespace(client=client)
                content = (await TOOLS["get_candles"].answer(served, asked)).content
                found += content["candles"]
                assert content["missing"] == []
                following = content.get("next", {})
            return found

    assert [row[0] for row in asyncio.run(work())] == whole.columns.time.tolist()
