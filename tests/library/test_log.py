"""The logger ``marketdata``: silent unless set up, and never with secrets."""

from __future__ import annotations

import logging

import pytest

from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run

SECRET = "Qx8secretVz"


def test_nothing_is_shown_without_logging_set_up(python: Run) -> None:
    said = python(
        "import logging, marketdata as md; md.ticker('BTC/USDT');"
        "print([type(one).__name__ for one in logging.getLogger('marketdata').handlers])"
    )
    assert said.strip() == "['NullHandler']"


def test_requests_are_logged_without_query_headers_and_bodies(
    sim: SimulatedExchange,
    connect: Factory,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MARKETDATA_BINANCE_API_KEY", SECRET)
    monkeypatch.setenv("MARKETDATA_BINANCE_SECRET", SECRET)
    with caplog.at_level(logging.DEBUG, "marketdata"):
        ticker = connect(sim).ticker("BTC/USDT")
    lines = [one.getMessage() for one in caplog.records if one.name == "marketdata"]
    assert any(one.startswith("binance GET /api/v3/ticker/24hr: 200 in ") for one in lines)
    assert not any(one in caplog.text for one in (SECRET, "?", "symbol=", str(ticker.last)))


def test_a_retry_is_logged_with_only_the_code(
    sim: SimulatedExchange, connect: Factory, caplog: pytest.LogCaptureFixture
) -> None:
    client = connect(sim, retries=1)
    client.pairs()
    sim.faults.add(path="*/ticker/24hr", status=503, times=1)
    with caplog.at_level(logging.DEBUG, "marketdata"):
        client.ticker("BTC/USDT")
    [again] = [one.getMessage() for one in caplog.records if "again" in one.getMessage()]
    assert again.startswith("binance fetch_ticker: EXCHANGE_UNAVAILABLE, attempt 1; again in ")
