"""A world in which nothing is left to chance but by a seed: time, faults, and who is killed.

One seed is one run, step for step. The event loop's time is virtual: where nothing is to be done,
it is the time of the next timer at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import random
import selectors
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from marketdata.errors import DataUnavailableError

T = TypeVar("T")

SEEDS = range(int(os.environ.get("SEEDS", "1000")))
"""What a run of the tests tries; ``make dst SEEDS=100000`` tries more."""


class _Nothing(selectors.SelectSelector):
    """Waits for no file, and lets time pass instead."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise AssertionError("everybody waits, and nothing is to come")
        self._loop.now += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time goes on as soon as there is nothing to do."""

    def __init__(self) -> None:
        self.now = 1_000.0
        super().__init__(_Nothing(self))

    def time(self) -> float:
        return self.now


class Chance:
    """What happens by a seed, and how often at most."""

    def __init__(self, seed: int, most: float) -> None:
        self.random = random.Random(seed)
        self._left = most

    def happens(self, chance: float) -> bool:
        """Return whether something with this chance happens now."""
        happened = self.random.random() < chance and self._left > 0
        self._left -= happened
        return happened


class World(Chance):
    """What one run is made of."""

    def __init__(self, seed: int, most: float, loop: VirtualLoop) -> None:
        super().__init__(seed, most)
        self._loop = loop

    @property
    def now(self) -> float:
        """The true time."""
        return self._loop.now

    async def passes(self, most: float) -> None:
        """Let some time pass."""
        await asyncio.sleep(self.random.uniform(0, most))


def run(seed: int, most: float, work: Callable[[World], Awaitable[T]]) -> T:
    """Run work in the world of a seed, in which so many things happen at most."""
    loop = VirtualLoop()
    # What is not ours may ask the module for chance, as the ledger does.
    state = random.getstate()
    random.seed(seed)
    try:
        asyncio.set_event_loop(loop)
        task = loop.create_task(_whole(work(World(seed, most, loop))))
        return loop.run_until_complete(task)
    finally:
        random.setstate(state)
        asyncio.set_event_loop(None)
        loop.close()


async def _whole(work: Awaitable[T]) -> T:
    try:
        return await work
    finally:
        rest = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for one in rest:
            one.cancel()
        await asyncio.gather(*rest, return_exceptions=True)


def try_all(world: Callable[[int, float], object], seeds: range = SEEDS) -> None:
    """Run a world for each seed; a failure tells its seed, and with how few faults it comes."""
    for seed in seeds:
        try:
            world(seed, math.inf)
        except Exception as error:
            most = next(most for most in count() if _fails(world, seed, most))
            error.add_note(f"seed {seed}, which fails with the first {most} of what happens")
            raise


def _fails(world: Callable[[int, float], object], seed: int, most: int) -> bool:
    with contextlib.suppress(AssertionError, DataUnavailableError):
        world(seed, most)
        return False
    return True


def first_that_fails(world: Callable[[int, float], object], seeds: range = SEEDS) -> int | None:
    """Tell after how many seeds a fault is found; None: it is not."""
    for seed in seeds:
        try:
            world(seed, math.inf)
        except (AssertionError, DataUnavailableError):
            return seed + 1
    return None
