"""Candles and trades without a call of the exchange, over all kinds of ranges."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from inside.exchanges import described

import marketdata as md
from marketdata.sim import SimulatedExchange

from . import other_exchanges as wire
from .conftest import Factory
from .derivation import Open, fields, recent
from .markets import NOW
from .other_exchanges import (
    DAY,
    HOUR,
    MINUTE,
    opened,
    wait_for_room,
)


def test_unavailable_candles_are_not_requested(speaking: Open) -> None:
    client, server = speaking("blockchaincom", wire.blockchaincom())
    for noun, ask in (
        ("candles", lambda: client.candles("BTC/USD")),
        ("candles", lambda: client.candles("BTC/USD", start="2024-01-01", end="2024-01-02")),
        ("trades", lambda: client.trades("BTC/USD")),
        ("trades", lambda: client.trades("BTC/USD", start="2024-01-01")),
    ):
        with pytest.raises(md.DataUnavailableError, match=f"no {noun}: ccxt has no call") as caught:
            ask()
        assert caught.value.retryable is False
        assert caught.value.details["exchange"] == "blockchaincom"
    [stored] = client.history.download(["BTC/USD"], "1h", start="2024-01-01", end="2024-01-02")
    assert stored.error is not None
    assert stored.error["code"] == "DATA_UNAVAILABLE"
    assert "candles" in stored.error["message"]
    assert server.asked == []


def test_candles_are_built_from_trades(speaking: Open) -> None:
    first = opened(MINUTE, 9)
    client, server = speaking("bitflyer", wire.bitflyer(recent(9)))
    second = datetime.fromtimestamp(first / 1000 + 60, UTC)
    candles = client.candles("BTC/JPY", "1m", start=second)

    assert candles.columns.rows() == [
        (first + MINUTE, 12.0, 12.0, 9.0, 9.0, 1.0, 2),
        (first + 3 * MINUTE, 11.0, 11.0, 11.0, 11.0, 0.5, 1),
    ]
    assert (candles.source, fields(candles), candles.forming) == ("trades", {"candles"}, False)
    assert {hole.cause for hole in candles.missing} == {"no_trades"}
    assert server.paths()[-1] == "getexecutions"
    five = client.candles("BTC/JPY", "5m", start=second)
    assert (fields(five), five.resampled_from) == ({"candles"}, None)


def test_candles_before_the_first_trade_are_not_served(speaking: Open) -> None:
    traded = recent(9)
    client, _ = speaking("bitflyer", wire.bitflyer(traded))
    newest = client.candles("BTC/JPY", "1m", limit=30)
    [gone] = [hole for hole in newest.missing if hole.cause == "not_served"]

    # Of the first bar some trades may be gone.
    assert gone.end == datetime.fromtimestamp(opened(MINUTE, 8) / 1000, UTC)
    assert newest.columns.rows() == client.candles("BTC/JPY", "1m", start=gone.end).columns.rows()
    assert len(newest) == 2
    assert gone.bars >= 20


def test_candles_longer_than_the_trades_are_unavailable(speaking: Open) -> None:
    traded = recent(9)
    client, _ = speaking("bitflyer", wire.bitflyer(traded))
    with pytest.raises(md.DataUnavailableError, match="only gives its newest trades") as caught:
        client.candles("BTC/JPY", "1M", limit=10)
    since = datetime.fromtimestamp(traded[0][0] / 1000, UTC)
    assert f"{since:%Y-%m-%dT%H:%M:%SZ}" in str(caught.value)
    known = described("bitflyer")
    assert ("candles" in known.derived, known.timeframes) == (True, ())
    assert "1h" in known.derived_timeframes


def test_trades_from_a_time_are_complete_or_an_error(speaking: Open) -> None:
    traded = recent(9)
    client, server = speaking("bitflyer", wire.bitflyer(traded))
    from_second = client.trades("BTC/JPY", start=traded[1][0])
    assert [one.price for one in from_second] == [12.0, 9.0, 11.0]
    assert [one.price for one in client.trades("BTC/JPY", start=traded[1][0], limit=2)] == [12, 9]
    assert client.trades("BTC/JPY", start=traded[-1][0] + 1) == []
    for before in (traded[0][0], traded[0][0] - DAY):
        with pytest.raises(md.DataUnavailableError, match="begin later"):
            client.trades("BTC/JPY", start=before)
    asked = len(server.asked)
    with pytest.raises(md.DataUnavailableError, match="no trades by id"):
        client.trades("BTC/JPY", from_id=1)
    assert len(server.asked) == asked


def test_trades_after_an_id_only(speaking: Open) -> None:
    client, server = speaking("p2b", wire.p2b(range(90, 120)))
    for ask in (
        lambda: client.trades("BTC/USDT"),
        lambda: client.trades("BTC/USDT", start="2024-05-01"),
        lambda: client.trades("BTC/USDT", aggregate=True),
    ):
        with pytest.raises(md.DataUnavailableError, match="pass from_id"):
            ask()
    assert server.asked == []

    found = client.trades("BTC/USDT", from_id=100, limit=5)
    assert [one.id for one in found] == ["100", "101", "102", "103", "104"]
    assert server.asked[-1].query["lastId"] == "99"
    assert [one.id for one in client.trades("BTC/USDT", from_id=118)] == ["118", "119"]


@pytest.mark.parametrize(
    ("exchange", "pair", "last", "start", "end"),
    [
        ("pacifica", "SOL/USDC", "kline", "start_time", "end_time"),
        ("btcturk", "BTC/TRY", "history", "from", "to"),
        ("zebpay", "BTC/INR", "klines", "startTime", "endTime"),
    ],
)
def test_bars_that_need_a_start_time(
    speaking: Open, exchange: str, pair: str, last: str, start: str, end: str
) -> None:
    client, server = speaking(exchange, getattr(wire, exchange)())
    wait_for_room(HOUR)
    unit = 1000 if exchange == "btcturk" else 1
    newest = client.candles(pair, limit=5)
    assert [row[0] for row in newest.columns.rows()] == [opened(HOUR, n) for n in range(4, -1, -1)]
    assert (newest.forming, newest.missing, newest.derived) == (True, (), None)
    [asked] = [one for one in server.asked if one.path.endswith(last)]
    assert int(asked.query[start]) * unit == opened(HOUR, 4)
    assert int(asked.query[end]) * unit >= opened(HOUR)

    first, behind = opened(HOUR, 450), opened(HOUR, 30)
    found = client.candles(
        pair,
        start=datetime.fromtimestamp(first / 1000, UTC),
        end=datetime.fromtimestamp(behind / 1000, UTC),
    )
    assert [row[0] for row in found.columns.rows()] == list(range(first, behind, HOUR))
    assert found.missing == ()
    pages = [one for one in server.asked if one.path.endswith(last)]
    assert all({start, end} <= one.query.keys() for one in pages)
    assert len(pages) > 4


def test_bars_that_need_an_end_time(speaking: Open) -> None:
    wait_for_room(HOUR)
    client, server = speaking("nado", wire.nado())
    [pair] = [one.pair for one in client.pairs()]
    newest = client.candles(pair, limit=5)
    assert [row[0] for row in newest.columns.rows()] == [opened(HOUR, n) for n in range(4, -1, -1)]

    first, behind = opened(HOUR, 1_450), opened(HOUR, 30)
    found = client.candles(
        pair,
        start=datetime.fromtimestamp(first / 1000, UTC),
        end=datetime.fromtimestamp(behind / 1000, UTC),
    )
    assert [row[0] for row in found.columns.rows()] == list(range(first, behind, HOUR))
    assert found.missing == ()
    pages = [one for one in server.asked if "candlesticks" in one.body]
    assert len(pages) < 10, "no page is asked for twice because it lacks its first bar"


def test_a_range_within_the_newest_page(speaking: Open) -> None:
    wait_for_room(MINUTE)
    client, server = speaking("bithumb", wire.bithumb(has=200))
    first, behind = opened(MINUTE, 150), opened(MINUTE, 140)
    found = client.candles(
        "BTC/KRW",
        "1m",
        start=datetime.fromtimestamp(first / 1000, UTC),
        end=datetime.fromtimestamp(behind / 1000, UTC),
    )
    assert [row[0] for row in found.columns.rows()] == list(range(first, behind, MINUTE))
    assert found.missing == ()
    counts = {one.query["count"] for one in server.asked if "candles" in one.path}
    assert counts == {"200"}


@pytest.mark.parametrize("limit", [None, 20])
def test_bars_before_the_newest_page_are_not_served(speaking: Open, limit: int | None) -> None:
    wait_for_room(MINUTE)
    client, _ = speaking("bithumb", wire.bithumb(has=200))
    first = opened(MINUTE, 500)
    found = client.candles(
        "BTC/KRW", "1m", start=datetime.fromtimestamp(first / 1000, UTC), limit=limit
    )
    oldest = found.columns.time[0]
    assert (oldest, len(found)) == (opened(MINUTE, 199), limit or 200)
    [hole] = found.missing
    assert (hole.cause, hole.start) == ("not_served", datetime.fromtimestamp(first / 1000, UTC))
    assert hole.end == datetime.fromtimestamp(oldest / 1000, UTC)


def test_a_range_before_the_newest_page_is_not_served(speaking: Open) -> None:
    client, _ = speaking("bithumb", wire.bithumb(has=200))
    found = client.candles("BTC/KRW", "1m", start="2024-05-01T00:00", end="2024-05-01T03:00")
    assert len(found) == 0
    assert [(hole.cause, hole.bars) for hole in found.missing] == [("not_served", 180)]
    with pytest.raises(md.DataUnavailableError, match="180 candles"):
        client.candles(
            "BTC/KRW", "1m", start="2024-05-01T00:00", end="2024-05-01T03:00", strict=True
        )


@pytest.mark.parametrize("fill", ["none", "zero", "previous"])
def test_resampled_bars_are_derived(
    sim: SimulatedExchange, connect: Factory, tmp_path: Path, fill: Any
) -> None:
    client = connect(sim, "coinbaseexchange", home=tmp_path)
    day = NOW.replace(hour=0, minute=0, second=0)
    asked = {"start": day.isoformat(), "end": NOW.replace(minute=0, second=0).isoformat()}
    for _ in range(2):  # from the exchange, then from the store
        made = client.candles("BTC/USDT", "4h", fill=fill, **asked)
        assert fields(made) == {"candles"}
        assert (made.resampled_from, made.source, len(made)) == ("1h", "candles", 3)
        assert fields(made[:1]) == {"candles"}
    requests = len(sim.requests)
    stored = client.candles("BTC/USDT", "4h", fill=fill, **asked)
    assert (stored.derived, len(sim.requests)) == (True, requests)
    own = client.candles("BTC/USDT", "1h", fill=fill, **asked)
    assert (own.derived, own.derived_fields, own.resampled_from) == (None, None, None)
