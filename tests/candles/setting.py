"""A client of an exchange of the model, for tests of single conditions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import time_machine

import marketdata as md

from .wire import Wire
from .world import HOUR, MINUTE, PAIR, Candle, Exchange, World


def ms(text: str) -> int:
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


@cache
def text(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat()[:16].removesuffix("T00:00")


def opens(candles: md.Candles) -> list[str]:
    return [text(time) for time in candles.columns.time]


def gaps(candles: md.Candles) -> list[tuple[str, str, int, str | None]]:
    return [
        (one.start.isoformat()[:16], one.end.isoformat()[:16], one.bars, one.cause)
        for one in candles.missing
    ]


class Setting:
    """A client of an exchange, at its time."""

    def __init__(self, stack: ExitStack, wire: Wire, home: Path, exchange: Exchange) -> None:
        self.exchange, self.wire = exchange, wire
        wire.exchange = exchange
        self._clock = stack.enter_context(time_machine.travel(self._ours / 1000, tick=False))
        self._stack, self._home = stack, home
        self.client = self.connect()

    @property
    def _ours(self) -> int:
        return self.exchange.now + self.exchange.world.ours

    def connect(self, **settings: Any) -> md.Client:
        """Make another client with the same store."""
        form, home = self.exchange.world.form, self._home / "home"
        return self._stack.enter_context(
            md.Client(form, endpoints={form: self.wire.url}, home=home, retries=0, **settings)
        )

    def ask(self, timeframe: str, **question: Any) -> md.Candles:
        return self.client.candles(PAIR, timeframe, **question)

    def each(self, timeframe: str, **question: Any) -> md.Candles:
        """Ask without the store, then twice with it, and hold the answers to be the same."""
        answers = [self.ask(timeframe, store=store, **question) for store in (False, True, True)]
        rows = [list(one.columns.rows()) for one in answers]
        assert rows[0] == rows[1] == rows[2]
        assert answers[0].missing == answers[1].missing == answers[2].missing
        assert answers[0].forming == answers[1].forming == answers[2].forming
        offsets = [one.clock_offset_ms for one in answers]
        assert offsets[0] == offsets[1] == offsets[2]
        return answers[0]

    def advance(self, by: int) -> None:
        self.exchange.now += by
        self._clock.move_to(self._ours / 1000)

    def there(self, timeframe: str, start: str | int, end: str | int | None = None) -> list[str]:
        """Return when the candles open that the exchange has in a range."""
        low, high = (ms(at) if isinstance(at, str) else at for at in (start, end or 1 << 50))
        found = self.exchange.candles(PAIR, timeframe)
        return [text(one.time) for one in found if low <= one.time < high]


Set = Callable[[Exchange | World], Setting]


class Told(Exchange):
    """An exchange that has the candles of one timeframe that a test lists, of all pairs."""

    def __init__(self, timeframe: str, candles: list[Candle], now: int) -> None:
        super().__init__(World(begin=now, unit=HOUR, units=1, now=now))
        self._told = {timeframe: candles}

    def candles(self, pair: str, timeframe: str) -> list[Candle]:
        return [one for one in self._told.get(timeframe, []) if one.time <= self.now]


def candle(time: int, volume: float = 10.0) -> Candle:
    return Candle(time, 100.0, 101.0, 99.0, 100.5, volume, 5)


MORNING = ms("2025-06-15")
MINUTES = World(MORNING, MINUTE, 3_000, MORNING + 900 * MINUTE)
HALTED = World(
    ms("2024-01-01"), HOUR, 2_200, ms("2024-03-30T12:00"), listed=4, ended=60 * 24, flat=True
)
"""An exchange whose pair was halted 30 days ago."""
