"""Calls that wait for their turn in the request budget: deadlines, queues and blocks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from inside.requests import Limit, patient, within

from marketdata.errors import ExchangeUnavailableError

from .budgets import (
    BINANCE,
    COINBASE,
    T0,
    budget,
    play,
    refused,
    virtual,
)


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_a_call_that_would_wait_too_long_fails_at_once(file: Path, limit: Limit) -> None:
    async def main() -> None:
        budget(file, limit).block(45)
        with pytest.raises(ExchangeUnavailableError) as caught:
            await within(30, "binance", budget(file, limit).acquire(1.0))
        assert virtual() == T0
        assert caught.value.to_dict() == {
            "code": "EXCHANGE_UNAVAILABLE",
            "message": "The request budget of this machine for binance is used up. "
            "Try again in 45 s.",
            "retryable": True,
            "retryAfter": 45.0,
            "details": {"exchange": "binance", "reason": "rate_limited"},
        }

        await within(50, "binance", budget(file, limit).acquire(1.0))
        assert virtual() == pytest.approx(T0 + 45)

    play(main)


def test_queued_calls_check_for_their_turn_when_it_is_near(file: Path, looks: list[str]) -> None:
    async def main() -> None:
        slow = budget(file, COINBASE)
        await asyncio.gather(*[slow.acquire(1.0) for _ in range(100)])
        assert virtual() == pytest.approx(T0 + 9.8)

    play(main)
    assert len(looks) < 300


def test_queued_calls_fail_at_once_if_the_queue_is_too_long(file: Path) -> None:
    async def main() -> None:
        slow = budget(file, COINBASE)
        calls = [within(3, "binance", slow.acquire(1.0)) for _ in range(100)]
        ended = await asyncio.gather(*calls, return_exceptions=True)
        good = ended.count(None)
        assert 20 <= good <= 32
        assert {str(one).split(".")[0] for one in ended if one is not None} == {
            "The request budget of this machine for binance is used up"
        }
        assert virtual() < T0 + 3
        # Nothing is left of those that were refused.
        await slow.acquire(1.0)
        assert virtual() <= T0 + 3.2

    play(main)


def test_cancelled_calls_do_not_delay_the_next(file: Path) -> None:
    async def main() -> None:
        slow = budget(file, COINBASE)
        calls = [asyncio.ensure_future(slow.acquire(1.0)) for _ in range(100)]
        await asyncio.sleep(0)
        for call in calls:
            call.cancel()
        await asyncio.wait(calls)
        await slow.acquire(1.0)
        assert virtual() <= T0 + 1.2

    play(main)


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_a_patient_call_waits_longer_than_its_timeout(file: Path, limit: Limit) -> None:
    async def main() -> None:
        budget(file, limit).block(600)
        work = budget(file, limit)

        async def long_job() -> None:
            for _ in range(3):
                await work.acquire(1.0)

        with patient():
            jobs = [within(2, "binance", long_job()) for _ in range(3)]
            await asyncio.gather(*jobs)
        assert virtual() == pytest.approx(T0 + 600, abs=1)

        async def slow_answer() -> None:
            await work.acquire(1.0)
            await asyncio.sleep(3)

        with patient(), pytest.raises(ExchangeUnavailableError, match="did not respond within 2 s"):
            await within(2, "binance", slow_answer())

    play(main)


def test_a_patient_call_without_a_deadline(file: Path) -> None:
    async def main() -> None:
        budget(file).block(600)
        with patient():
            await budget(file).acquire(1.0)
        assert virtual() == pytest.approx(T0 + 600)

    play(main)


@pytest.mark.parametrize(("seconds", "until"), [(600.0, 600), (7200.0, 3600)])
def test_a_block_lasts_at_most_an_hour(file: Path, seconds: float, until: float) -> None:
    budget(file, clock=lambda: T0).block(seconds)
    assert play(lambda: refused(budget(file, clock=lambda: T0))) == until


def test_a_block_ends_the_lease(file: Path) -> None:
    mine = budget(file, clock=lambda: T0)
    for _ in range(2):
        asyncio.run(mine.acquire(1.0))
    assert mine.spend(1.0)
    mine.block(60)
    assert not mine.spend(0.0)


def test_a_shorter_block_does_not_end_a_longer_one(file: Path) -> None:
    budget(file, clock=lambda: T0).block(600)
    budget(file, clock=lambda: T0).block(60)
    assert play(lambda: refused(budget(file, clock=lambda: T0))) == 600


def test_a_request_above_the_window_waits_for_an_empty_one(file: Path) -> None:
    async def main() -> None:
        some = budget(file)
        await some.acquire(5000.0)
        assert virtual() == T0
        await some.acquire(5000.0)
        assert T0 + 60 <= virtual() <= T0 + 62

    play(main)


@pytest.mark.parametrize("limit", [BINANCE, COINBASE])
def test_a_free_request_waits_only_for_a_block(file: Path, limit: Limit) -> None:
    async def main() -> None:
        some = budget(file, limit)
        for _ in range(3):
            await some.acquire(0.0)
        assert virtual() == T0
        some.block(60)
        with patient():
            await some.acquire(0.0)
        assert virtual() == pytest.approx(T0 + 60)

    play(main)
