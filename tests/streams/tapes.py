"""Recordings for tests, and their content."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from inside.recordings import Event, read

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import PAIR, held, until

WHAT = ("trades", "orderbook")


async def recorded(
    client: md.AsyncClient,
    sim: SimulatedExchange,
    path: Path,
    *,
    advance: float = 10,
    subjects: int = 2,
    **more: Any,
) -> md.Recorded:
    """Record what happens while the exchanges' time goes on; ``subjects`` are waited for."""
    more.setdefault("what", WHAT)
    before = len(held(sim))
    recording = asyncio.create_task(client.record([PAIR], path, seconds=60, **more))
    await until(lambda: len(held(sim)) == before + subjects or recording.done())
    if not recording.done():
        await asyncio.sleep(0.1)  # a book may still be on its way
        for _ in range(4):
            await sim.advance(advance / 4)
        await asyncio.sleep(0.1)
        recording.cancel()
    try:
        return await recording
    except asyncio.CancelledError:
        return md.Recorded(path=str(path), frames=0, size=0, seconds=0.0, streams=())


def got(path: Path) -> list[str]:
    """Return the frames of a recording."""
    return [event.text for event in read(path) if event.kind == "got"]


def events(path: Path, *kinds: str) -> list[Event]:
    """Return the events of some kinds, or all."""
    return [event for event in read(path) if not kinds or event.kind in kinds]
