"""The exchange's clock in answers."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from inside.requests import Reply

import marketdata as md

from .wires import Asked, Wire, binance, binance_ticker


@pytest.fixture(params=["UTC", "America/Chicago", "Asia/Tokyo"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("zone")
@pytest.mark.parametrize("zone_said", [" GMT", " +0000", " -0000", ""])
def test_a_date_without_a_zone_is_gmt(zone_said: str) -> None:
    reply = Reply()
    reply.note(200, {"Date": f"Wed, 01 May 2024 12:00:00{zone_said}"})
    assert reply.date == datetime(2024, 5, 1, 12, tzinfo=UTC)

    later = datetime.now(UTC) + timedelta(seconds=90)
    reply.note(429, {"Retry-After": later.strftime(f"%a, %d %b %Y %H:%M:%S{zone_said}")})
    assert reply.retry_after == pytest.approx(90, abs=5)


@pytest.mark.parametrize("text", ["", "soon", "Wed, 99 May 2024 12:00:00 GMT", "0"])
def test_a_date_that_is_none_is_none(text: str) -> None:
    reply = Reply()
    reply.note(200, {"Date": text})
    assert reply.date is None


@pytest.mark.parametrize("resolution", [1, 1000])
@pytest.mark.parametrize("ahead", [0, 5_000, -700])
def test_the_error_of_the_offset_holds_the_true_one(resolution: int, ahead: int) -> None:
    def told(_: Asked) -> Any:
        now = time.time_ns() // 1_000_000 + ahead
        return {"serverTime": now - now % resolution}

    routes = {"/time": told, **binance({"BTCUSDT": binance_ticker("BTCUSDT")})}
    with Wire(routes) as wire:
        client = md.Client("binance", endpoints={"binance": wire.url}, retries=0)
        with client:
            for _ in range(3):
                status = client.status()
                assert status.clock_offset_ms is not None
                assert status.clock_error_ms is not None
                assert status.latency_ms is not None
                assert abs(status.clock_offset_ms - ahead) <= status.clock_error_ms
                least = status.latency_ms / 2 - 0.001
                assert status.clock_error_ms >= least + (resolution if resolution > 1 else 0)


def test_without_a_time_there_is_no_error_either() -> None:
    status = md.Status(
        exchange="one", timestamp=datetime.now(UTC), received_at=datetime.now(UTC), reachable=False
    )
    assert status.clock_error_ms is None
