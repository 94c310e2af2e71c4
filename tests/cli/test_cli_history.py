"""``marketdata history``: output, effect and exit code of each command."""

import csv
import io
import json
import os
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

DAY = ("--start", "2025-06-14", "--end", "2025-06-15")
DOWNLOAD = ("history", "download", "BTC/USDT", *DAY, "-t", "5m")


@pytest.fixture
def asked(sim):
    """The requested pages of candles since the test began."""
    sim.faults.clear()
    sim.forget()
    yield lambda: [one for one in sim.requests if "candles" in one.path or "klines" in one.path]
    sim.faults.clear()


@pytest.fixture
def store(asking):
    """The folder of the candles."""
    return Path(asking["MARKETDATA_HOME"], "candles")


def data_files(store):
    return [file for file in store.rglob("*.parquet") if "_delta_log" not in file.parts]


def spoil(store):
    """Change one byte in the middle of a data file."""
    file = min(data_files(store))
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(content)


def test_download_reports_in_every_format_and_requests_once(here, asked):
    code, out, err = here(*DOWNLOAD)
    assert (code, err) == (0, "1 series, 288 candles, 288 of them new\n")
    [told] = json.loads(out)
    assert (told["exchange"], told["pair"], told["timeframe"]) == ("binance", "BTC/USDT", "5m")
    assert (told["bars"], told["fetched"], told["holes"], told["simulated"]) == (288, 288, [], True)
    assert len(asked()) == 1
    code, out, err = here(*DOWNLOAD, "-f", "jsonl", "--quiet")
    assert (code, err) == (0, "")
    assert json.loads(out)["fetched"] == 0
    code, out, err = here(*DOWNLOAD, "-f", "csv", "-q")
    [row] = csv.DictReader(io.StringIO(out))
    assert (row["start"], row["bars"], row["holes"], row["error"]) == (
        *("2025-06-14T00:00:00Z", "288", "", ""),
    )
    code, out, err = here(*DOWNLOAD, "-f", "table")
    assert out.startswith("Downloads   SIMULATED\n")
    assert out.endswith("\n1 series, 288 candles, 0 of them new\n")
    assert len(asked()) == 1, "what is stored is not asked for again"
    assert here(*DOWNLOAD, "--refresh", "-q")[0] == 0
    assert len(asked()) == 2


@pytest.mark.parametrize(
    "line",
    [
        ("-e", "okx,kraken", *DOWNLOAD),
        (*DOWNLOAD, "-e", "okx,kraken"),
        (*DOWNLOAD, "--exchange", "okx", "--exchange=kraken"),
        ("history", "-e", "okx,kraken", "-f", "json", *DOWNLOAD[1:]),
    ],
)
def test_several_exchanges_in_one_option(line, here):
    code, out, err = here(*line)
    told = {one["exchange"]: one for one in json.loads(out)}
    assert code == 0
    assert list(told) == ["okx", "kraken"]
    assert told["okx"]["bars"] == 288
    # Kraken has the last 720 bars and no others.
    assert told["kraken"]["bars"] == 288
    assert here("history", "list", "-e", "kraken")[1].count('"exchange"') == 1
    assert err == "2 series, 576 candles, 576 of them new\n"


def test_gaps_are_written_in_words(here, asked):
    old = ("history", "download", "BTC/USDT", "--start", "2025-05-01", "--end", "2025-05-02")
    code, out, err = here(*old, "-e", "kraken", "-f", "table")
    assert code == 0
    assert "1,440 not served" in out.splitlines()[2]
    assert (
        "kraken BTC/USDT 1m misses 1,440 candles (not served):\n  2025-05-01 to 2025-05-02" in out
    )
    assert err == "1 series, 0 candles and 1,440 missing (not served), 1,440 of them new\n"


@pytest.mark.parametrize(
    ("pairs", "fault", "code", "said"),
    [
        (["BTC/USDT", "BTC/USTD"], None, 2, ["PAIR_NOT_SUPPORTED: binance BTC/USTD 5m: "]),
        (["BTC/USDT"], "status=503", 1, ["EXCHANGE_UNAVAILABLE: binance BTC/USDT 5m: "]),
        (["BTC/USDT", "ETH/USDT"], "status=503", 1, ["EXCHANGE_UNAVAILABLE: 2 series: "]),
        (["BTC/USDT", "X/Y"], "status=503", 1, ["EXCHANGE_UNAVAILABLE: ", "PAIR_NOT_SUPPORTED: "]),
    ],
)
def test_a_failed_series_is_an_error_line(pairs, fault, code, said, here, asked, sim, monkeypatch):
    monkeypatch.setenv("MARKETDATA_RETRIES", "0")
    if fault:
        sim.faults.add(f"binance:*/klines:{fault}")
    status, out, err = here("history", "download", *pairs, *DAY, "-t", "5m", "-q")
    assert status == code
    assert [one["pair"] for one in json.loads(out)] == pairs
    assert "error" in json.loads(out)[-1]
    lines = err.splitlines()
    assert len(lines) == len(said)
    for line, beginning in zip(lines, said, strict=True):
        assert line.startswith(f"error: {beginning}")


def test_a_dry_run_requests_no_bars(here, asked, store):
    line = ("history", "download", "BTC/USDT", "-t", "1m", *DAY, "--dry-run")
    code, out, err = here(*line, "-f", "table")
    assert (code, err) == (0, "")
    assert "A download would take   SIMULATED\n" in out
    assert "1,440 candles to fetch in 2 requests, at least " in out
    assert asked() == []
    assert data_files(store) == []
    half = ("--start", "2025-06-14", "--end", "2025-06-14T12:00Z", "-q")
    assert here("history", "download", "BTC/USDT", *half)[0] == 0
    [plan] = json.loads(here(*line)[1])
    assert (plan["stored"], plan["wanted"], plan["requests"]) == (720, 720, 1)
    [plan] = json.loads(here(*line, "--refresh")[1])
    assert (plan["stored"], plan["wanted"]) == (0, 1440)


def test_an_empty_list_says_how_to_fill_it(here, store):
    assert here("history", "list") == (0, "[]\n", "")
    code, out, err = here("history", "list", "-f", "table")
    assert (code, err) == (0, "")
    assert out.startswith(f"Nothing is stored in {store}. `marketdata history download ")
    assert here("history", "list", "BTC/USDT", "-f", "table")[1] == "No such candles are stored.\n"
    header = here("history", "list", "-f", "csv")[1]
    assert header.startswith(
        "exchange,pair,timeframe,simulated,start,end,bars,missing,not_fetched,"
    )


def test_days_are_listed_with_their_state(here):
    here(*DOWNLOAD, "-q")
    here(*DOWNLOAD[:3], "--start", "2025-06-15T10:00Z", "-t", "5m", "-q")
    [series] = json.loads(here("history", "list", "--days")[1])
    days = [(one["day"], one["state"], one["bars"]) for one in series["days"]]
    assert days == [("2025-06-14", "complete", 288), ("2025-06-15", "not_fetched", 30)]
    assert series["days"][0]["missing"] == []
    missing = [(one["bars"], one["cause"]) for one in series["days"][1]["missing"]]
    assert missing == [(120, "not_fetched"), (138, "not_fetched")]
    out = here("history", "list", "--days", "-f", "table")[1]
    assert "binance BTC/USDT 5m: 1 complete day\n" in out
    assert re.search(r"2025-06-15 +not fetched +30 +258 +not fetched", out)


def test_candles_of_a_halted_pair_are_returned(here):
    [halted] = json.loads(here("pairs", "--no-active")[1])
    code, out, _ = here("pairs", "--no-active", "-f", "table")
    assert (code, "\n1 halted pair, " in out) == (0, True)
    code, out, _ = here("candles", halted["pair"], "-n", "3")
    assert (code, len(json.loads(out)["candles"])) == (0, 3)


def test_list_verify_and_repair(here, store, asked):
    here(*DOWNLOAD, "-q")
    here("history", "download", "ETH/USDT", *DAY, "-t", "1h", "-q")
    code, out, _ = here("history", "list", "-f", "table")
    assert code == 0
    rows = [line.split() for line in out.splitlines()]
    assert rows[2][:7] == ["binance", "BTC/USDT", "5m", "2025-06-14", "2025-06-15", "288", "100%"]
    assert rows[-1] == ["Stored", "in", str(store)]
    [eth] = json.loads(here("history", "list", "ethusdt")[1])
    assert (eth["bars"], eth["notFetched"]) == (24, 0)

    code, out, err = here("history", "verify", "-f", "table")
    assert (code, err) == (0, "")
    assert out.startswith("No damage: 2 series, 312 candles, ")
    assert here("history", "verify") == (0, "[]\n", "")

    [table, _] = sorted(one.parent for one in store.rglob("_delta_log"))
    left = table / "20250614T000000-20250615T000000-000000000000.parquet"
    left.write_bytes(b"of a program that was killed")
    assert here("history", "verify") == (0, "[]\n", "")  # it may still be written
    os.utime(left, (0, 0))
    code, out, err = here("history", "verify")
    [listed] = json.loads(out)
    assert (code, err) == (0, "")
    assert (listed["problem"], listed["path"]) == ("file_left_over", left.name)
    assert "file that is not used" in here("history", "repair", "-f", "table")[1]
    assert not left.exists()

    spoil(store)
    code, out, err = here("history", "verify")
    [damage] = json.loads(out)
    assert (code, err) == (1, "")
    assert (damage["pair"], damage["problem"]) == ("BTC/USDT", "file_unreadable")
    code, out, _ = here("history", "verify", "-f", "table")
    assert code == 1
    assert out.endswith(
        "\n`marketdata history repair` removes it; the next request downloads it again.\n"
    )
    assert here("history", "verify", "ETH/USDT")[0] == 0

    code, out, _ = here("history", "repair", "-f", "table")
    assert code == 0
    assert "unreadable file" in out
    again = out.splitlines()[-1].split()
    assert again == [
        *("marketdata", "history", "download", "BTC/USDT", "-t", "5m", "-e", "binance"),
        *("--start", "2025-06-14", "--end", "2025-06-15"),
    ]
    assert here("history", "verify")[0] == 0
    assert here(*again[1:], "-q")[0] == 0
    [btc] = json.loads(here("history", "list", "BTC/USDT")[1])
    assert btc["bars"] == 288
    assert here("history", "repair", "-f", "table")[1].startswith("No damage: 2 series")


def test_export_in_every_format(here, tmp_path, asked):
    import pyarrow.csv
    import pyarrow.feather
    import pyarrow.parquet

    here(*DOWNLOAD, "-q")
    range_ = ("--start", "2025-06-14T06:00Z", "--end", "2025-06-14T07:00Z")
    line = ("candles", "BTC/USDT", "-t", "5m", *range_)
    expected = [row[0] for row in json.loads(here(*line)[1])["candles"]]
    times = [datetime.fromtimestamp(time / 1000, UTC) for time in expected]
    asked_before = len(asked())
    readers = {
        "parquet": pyarrow.parquet.read_table,
        "csv": pyarrow.csv.read_csv,
        "feather": pyarrow.feather.read_table,
    }
    for ending, read in readers.items():
        file = tmp_path / f"bars.{ending}"
        given = ("history", "export", str(file), "BTC/USDT", "-t", "5m")
        assert here(*given, *range_) == (0, f"{file}\n", "")
        assert [time.replace(tzinfo=UTC) for time in read(file)["time"].to_pylist()] == times
        bare = tmp_path / "bars"
        assert here(*given[:2], str(bare), *given[3:], "-f", ending, *range_)[0] == 0
        assert read(bare).num_rows == 12
    assert (tmp_path / "bars.csv").read_text() == here(*line, "-f", "csv")[1]
    assert here("history", "export", "-", *given[3:], *range_)[1] == here(*line, "-f", "csv")[1]
    assert len(asked()) == asked_before, "an export asks nobody"
    assert here("history", "export", str(tmp_path / "all.csv"), "BTC/USDT", "-t", "5m")[0] == 0
    assert len((tmp_path / "all.csv").read_text().splitlines()) == 289


def test_impossible_exports_are_refused(here, tmp_path, asked):
    here(*DOWNLOAD, "-q")
    code, out, err = here("history", "export", str(tmp_path / "x.csv"), "ETH/USDT")
    assert (code, out) == (1, "")
    said = "No 1m candles of ETH/USDT on binance are stored."
    assert err.startswith(f"error: DATA_UNAVAILABLE: {said}")
    file = tmp_path / "nowhere" / "x.csv"
    code, out, err = here("history", "export", str(file), "BTC/USDT", "-t", "5m")
    assert (code, out) == (2, "")
    assert err.startswith(f"error: INVALID_PARAMETER: {file} cannot be written: No such file")


def test_remove_asks_only_where_somebody_can_answer(here, store, asked):
    here(*DOWNLOAD, "-q")
    here("history", "download", "BTC/USDT", *DAY, "-t", "1h", "-q")
    code, out, err = here("history", "remove", "BTC/USDT")
    assert (code, out) == (2, "")
    assert "cannot ask for confirmation here: add --yes" in err
    code, out, err = here("history", "remove", "BTC/USDT", "--dry-run", "-f", "table")
    assert (code, err) == (0, "")
    assert out.endswith("\nNothing was removed: --dry-run.\n")
    code, out, err = here("history", "remove", "BTC/USDT", "-t", "5m", "--yes")
    assert (code, err) == (0, "")
    assert [one["timeframe"] for one in json.loads(out)] == ["5m"]
    assert [one["timeframe"] for one in json.loads(here("history", "list")[1])] == ["1h"]
    assert here("history", "remove", "ETH/USDT", "-y") == (0, "[]\n", "")
    assert here("history", "remove", "BTC/USDT", "-y", "-f", "table")[1].endswith("\nRemoved.\n")
    assert data_files(store) == []


def test_candles_of_a_range_are_stored_unless_switched_off(here, store, asked):
    line = ("candles", "BTC/USDT", "-t", "15m", *DAY, "-f", "csv")
    code, fresh, err = here(*line, "--no-store")
    assert (code, err, len(asked())) == (0, "", 1)
    assert not store.exists()
    assert here(*line)[1] == fresh
    assert len(data_files(store)) == 1
    assert len(asked()) == 2
    assert here(*line) == (0, fresh, "")
    assert len(asked()) == 2
    assert here(*line, "--refresh")[1] == fresh
    assert len(asked()) == 3
    assert here("candles", "BTC/USDT", "-t", "15m", "-n", "3")[0] == 0
    [stored] = json.loads(here("history", "list")[1])
    assert stored["bars"] == 96, "the newest bars are not kept"


def test_the_simulated_exchange_does_not_touch_real_candles(here, store, asked):
    here(*DOWNLOAD, "-q")
    [simulated] = (store / "simulated").iterdir()
    shutil.copytree(simulated / "binance", store / "binance")
    assert len(json.loads(here("history", "list")[1])) == 2
    assert len(json.loads(here("--sim", "history", "list")[1])) == 1
    code, out, _ = here("--sim", "history", "remove", "BTC/USDT", "--yes")
    assert code == 0
    assert [one["simulated"] for one in json.loads(out)] == [True]
    [real] = json.loads(here("history", "list")[1])
    assert "simulated" not in real
