"""After an outage the exchange is soon tried again, by one stream for all."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from inside.streams import TickerFeed, feed, upstream

from marketdata.errors import ExchangeUnavailableError


def made(monkeypatch: pytest.MonkeyPatch) -> tuple[upstream.Upstream, list[float]]:
    """Return an upstream whose pauses take no time, and the pauses."""
    now, pauses = [1_000.0], list[float]()

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        now[0] += seconds

    fake = SimpleNamespace(**{**vars(asyncio), "sleep": sleep})
    for module in (upstream, feed):
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: now[0]))
        monkeypatch.setattr(module, "asyncio", fake)
    venue: Any = SimpleNamespace(id="some", quirk=None, is_exact=False)
    market = {"id": "BTCUSDT", "symbol": "BTC/USDT"}
    api: Any = SimpleNamespace(clients={}, dialed=None, market=lambda _: market, lines=lambda _: [])
    return upstream.Upstream(venue, api, timeout=1, retries=0, simulated=False), pauses


def test_however_long_it_was_away_it_is_tried_again_within_two_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        one, pauses = made(monkeypatch)
        subject: Any = object()
        for _ in range(200):
            one.api.dialed(False, False, None)
            await one.turn_to_dial(subject)
        assert max(pauses) <= 2.0
        assert min(pauses[10:]) >= 1.0  # and no storm

    asyncio.run(work())


@pytest.mark.parametrize("times", range(5))
def test_whenever_it_comes_back_it_is_tried_within_three_seconds(
    monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    async def work() -> None:
        one, pauses = made(monkeypatch)
        watched = TickerFeed(one, feed.Subject("ticker", "BTC/USDT"), lambda _: None)
        refused = ConnectionRefusedError()
        ours = ExchangeUnavailableError("It cannot be reached.", retryable=True)
        between: list[float] = []
        while sum(between) < 60:
            one.api.dialed(False, False, None)
            before = len(pauses)
            await watched._prepare_anew(refused, ours)
            between.append(sum(pauses[before:]))
        assert max(between) <= 3.0
        assert len(between) <= 90  # and no storm

    asyncio.run(work())


def test_one_that_refuses_is_left_alone_for_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    async def work() -> None:
        one, pauses = made(monkeypatch)
        subject: Any = object()
        for _ in range(20):
            one.api.dialed(False, True, None)
            await one.turn_to_dial(subject)
        assert 15 <= max(pauses) <= 30
        one.api.dialed(False, True, 77.0)
        await one.turn_to_dial(subject)
        assert pauses[-1] == pytest.approx(77)

    asyncio.run(work())


def test_one_subject_tries_and_the_others_wait_for_what_comes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def work() -> None:
        one, _ = made(monkeypatch)
        subjects: list[Any] = [object() for _ in range(50)]
        one.api.dialed(False, False, None)
        trying: list[Any] = []

        async def tries(subject: Any) -> None:
            await one.turn_to_dial(subject)
            trying.append(subject)

        tasks = [asyncio.create_task(tries(subject)) for subject in subjects]
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(trying) == 1
        one.gives_up_its_turn(trying[0])
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(trying) == 2
        one.api.dialed(True, False, None)
        await asyncio.wait(tasks)
        assert len(trying) == len(subjects)

    asyncio.run(work())
