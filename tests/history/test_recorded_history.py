"""A real recorded market, with kills and the store: row for row, with its outage as the one gap."""

from __future__ import annotations

import csv
import gzip
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from inside.exchanges import Venue
from waiting import until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Connect
from .programs import running
from .tapes import live, pages, tables

# Delta Lake's library is for processes that were not forked.
pytestmark = pytest.mark.cold

START, END = "2023-03-16T22:15Z", "2023-05-01T21:02Z"
OUTAGE = ("2023-03-24T12:40:00Z", "2023-03-24T14:00:00Z", 80, "outage")
WHOLE = 67
"""Pages of 999 bars that take all of it."""

PROGRAM = f"""
import marketdata as md

[done] = md.history.download(["BTC/USDT"], "1m", start="{START}", end="{END}")
print(done.bars)
"""


def rows_of(path: Path) -> list[tuple[float, ...]]:
    with gzip.open(path, "rt") as file:
        return [tuple(map(float, row)) for row in list(csv.reader(file))[1:]]


@pytest.fixture(scope="module")
def started(recorded: Path) -> Iterator[SimulatedExchange]:
    with SimulatedExchange(tape=recorded / "binance_BTC_USDT-1m.csv.gz") as sim:
        yield sim


@pytest.fixture
def sim(started: SimulatedExchange) -> SimulatedExchange:
    started.faults.clear()
    started.forget()
    return started


def test_the_tape_is_downloaded_row_for_row_across_a_kill(
    sim: SimulatedExchange,
    connect: Connect,
    isolated: Path,
    recorded: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with running(PROGRAM, sim.url) as process:
        until(lambda: bool(tables(isolated)) and pages(sim) >= 25)
        process.kill()
        process.wait()
    sim.forget()
    client = connect(sim)
    [before] = client.history.list() or (None,)
    stored = 0 if before is None else before.bars
    assert client.history.verify() == []

    [done] = client.history.download(["BTC/USDT"], "1m", start=START, end=END)
    assert (done.bars, done.fetched, done.error) == (66_087, 66_087 + 80 - stored, None)
    # What was stored is not asked for again; what the killed process asked for may still be.
    assert pages(sim) <= WHOLE - stored // 999 + 16 + 1
    sim.forget()
    found = client.candles("BTC/USDT", "1m", start=START, end=END)
    assert pages(sim) == 0

    truth = rows_of(recorded / "binance_BTC_USDT-1m.csv.gz")
    assert [row[:6] for row in found.columns.rows()] == truth
    holes = [hole.to_dict() for hole in found.missing]
    assert [tuple(hole.values()) for hole in holes] == [OUTAGE]
    [table] = tables(isolated)
    there = [row for row in live(table).to_pylist() if row["cause"] is None]
    assert [round(row["time"].timestamp() * 1000) for row in there] == [row[0] for row in truth]
    assert client.history.verify() == []

    # On an exchange without those bars, they are made of what is stored, and are its own.
    monkeypatch.setattr(Venue, "timeframes", property(lambda self: ["1m"]))
    for timeframe in ("5m", "1h"):
        recorded_bars = rows_of(recorded / f"binance_BTC_USDT-{timeframe}.csv.gz")
        first, last = recorded_bars[0][0], recorded_bars[-1][0]
        made = client.candles("BTC/USDT", timeframe, start=int(first), end=int(last) + 1)
        assert made.resampled_from == "1m"
        assert [row[:5] for row in made.columns.rows()] == [row[:5] for row in recorded_bars]
        assert all(
            math.isclose(one, other[5], rel_tol=1e-9, abs_tol=1e-9)
            for one, other in zip(made.columns.volume, recorded_bars, strict=True)
        )
        missing = [hole.bars for hole in made.missing]
        assert missing == ([16] if timeframe == "5m" else [])
    assert pages(sim) == 0


def test_an_outage_is_filled_only_on_request(sim: SimulatedExchange, connect: Connect) -> None:
    client = connect(sim)
    around = {"start": "2023-03-24T12:00Z", "end": "2023-03-24T15:00Z"}
    with pytest.raises(md.DataUnavailableError) as caught:
        client.candles("BTC/USDT", "1m", strict=True, **around)
    assert caught.value.details["missing"][0]["cause"] == "outage"
    filled = client.candles("BTC/USDT", "1m", strict=True, fill="previous", **around)
    assert (len(filled), filled.missing) == (180, ())
    assert set(filled.columns.close[40:120]) == {filled.columns.close[39]}
    assert set(filled.columns.volume[40:120]) == {0.0}
