"""The real recorded market comes out of the installed command value for value, outage included."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

OUTAGE = "2023-03-24"


@pytest.fixture
def tape(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder) / "candles" / "binance_BTC_USDT-1m.csv.gz"


def marketdata(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if key[:11] != "MARKETDATA_"}
    return subprocess.run(
        [Path(sys.executable).with_name("marketdata"), *arguments],
        env={**kept, "MARKETDATA_HOME": str(home)},
        capture_output=True,
        text=True,
        check=True,
    )


def test_candles_are_the_recorded_ones(tape: Path, tmp_path: Path) -> None:
    with gzip.open(tape, "rt") as file:
        recorded = list(csv.reader(file))[1:]
    rows = marketdata(
        tmp_path,
        *("--sim", "--tape", str(tape), "candles", "BTC/USDT", "-e", "binance", "-t", "1m"),
        *("--start", "2023-03-16T22:15Z", "--end", "2023-05-02", "--format", "csv"),
    ).stdout
    given = list(csv.DictReader(io.StringIO(rows)))
    assert len(given) == len(recorded) == 66_087
    fields = ("open", "high", "low", "close", "volume")
    assert [[float(row[name]) for name in fields] for row in given] == [
        [float(value) for value in row[1:]] for row in recorded
    ]


def test_the_outage_is_named_as_missing(tape: Path, tmp_path: Path) -> None:
    done = marketdata(
        tmp_path,
        *("--sim", "--tape", str(tape), "candles", "BTC/USDT", "-e", "binance", "-t", "1m"),
        *("--start", OUTAGE, "--end", "2023-03-25"),
    )
    answer = json.loads(done.stdout)
    assert answer["missing"] == [
        {
            "start": f"{OUTAGE}T12:40:00Z",
            "end": f"{OUTAGE}T14:00:00Z",
            "bars": 80,
            "cause": "outage",
        }
    ]
    assert len(answer["candles"]) == 1440 - 80
    assert answer["simulated"] is True
