"""A series changes only by whole commits: nothing is lost or repeated with concurrent processes."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import deltalake
import pytest
from deltalake.exceptions import CommitFailedError
from inside.store import Store, findings

from marketdata._candles.inventory import repair

from .series import NAME, bars, read, table_in
from .tapes import live, ms, opened

HERE = Path(__file__).parent


def start(program: str, *arguments: object) -> subprocess.Popen[str]:
    """Start a program that may use the modules of these tests."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdout=subprocess.PIPE,
        stdin=subprocess.PIPE,
        text=True,
    )


def test_bars_and_gaps_are_read_as_written(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    put = [bars(0, 300, (10, 20), (299, 300)), bars(400, 401), bars(500, 900, (500, 900))]
    table.add(put)

    assert read(table, 0, 1000) == put
    assert read(table_in(tmp_path), 0, 1000) == put
    assert read(table, 15, 402) == [bars(15, 300, (15, 20), (299, 300)), bars(400, 401)]
    assert [(span.start, span.end) for span in table.covered()] == [
        (ms(0), ms(300)),
        (ms(400), ms(401)),
        (ms(500), ms(900)),
    ]


def test_stored_bars_are_not_added_again(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    table.add([bars(100, 200)])
    table.add([bars(0, 300, volume=9.0), bars(50, 150, volume=8.0)][:1])
    table.add([bars(120, 180, volume=7.0)])

    [found] = read(table, 0, 300)
    assert list(found.columns.volume) == [9.0] * 100 + [1.5] * 100 + [9.0] * 100
    assert opened(table.url) == list(range(300))


def test_a_replacement_changes_only_its_own_range(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    table.add([bars(0, 100, (40, 60))])
    table.add([bars(100, 200)])
    table.add([bars(300, 400)])
    table.replace([bars(50, 150, volume=9.0), bars(350, 450, volume=9.0)])

    # What was stored before and is another now is marked.
    middle = replace(bars(50, 150, volume=9.0), revised=frozenset(map(ms, range(60, 150))))
    last = replace(bars(350, 450, volume=9.0), revised=frozenset(map(ms, range(350, 400))))
    assert read(table, 0, 500) == [
        joined_at(bars(0, 50, (40, 50)), middle, bars(150, 200)),
        joined_at(bars(300, 350), last),
    ]
    assert opened(table.url) == [*range(40), *range(50, 200), *range(300, 450)]
    assert findings(table) == []


def joined_at(*parts: Any) -> Any:
    from inside.candles import joined

    [one] = joined(parts)
    return one


def test_bars_added_one_by_one_stay_in_few_files(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    most = 0
    for one in range(200):
        table.add([bars(one, one + 1)])
        table.tidy()
        most = max(most, len(table.files()))

    # Fewer than eight of each size: ones, eights and so on.
    assert most <= 8 + 7 + 7
    assert read(table, 0, 300) == [bars(0, 200)]
    assert opened(table.url) == list(range(200))
    assert findings(table) == []


def test_a_download_of_many_parts_does_not_leave_a_file_for_each(tmp_path: Path) -> None:
    # Commits of a long download, which is tidied up only at its end, and perhaps never.
    table = table_in(tmp_path)
    for one in range(150):
        table.add([bars(one, one + 1)])

    assert len(table.files()) < 100
    assert read(table, 0, 300) == [bars(0, 150)]


def test_files_of_a_readers_version_outlive_their_replacement(tmp_path: Path) -> None:
    reader, writer = table_in(tmp_path), table_in(tmp_path)
    for one in range(20):
        writer.add([bars(10 * one, 10 * one + 10)])
    reader.refresh()
    before = reader.files()
    writer.tidy(2)
    assert len(writer.files()) == 1 < len(before)

    assert reader.read(ms(0), ms(200)) == [bars(0, 200)]


def test_a_reader_whose_files_are_deleted_reads_again(tmp_path: Path) -> None:
    reader, writer = table_in(tmp_path), table_in(tmp_path)
    for one in range(20):
        writer.add([bars(10 * one, 10 * one + 10)])
    reader.refresh()
    writer.tidy(2)
    deltalake.DeltaTable(writer.url).vacuum(0, dry_run=False, enforce_retention_duration=False)

    assert reader.read(ms(0), ms(200)) == [bars(0, 200)]


@pytest.mark.parametrize("how", ["the next writer", "repair"])
def test_cleanup_deletes_only_unused_files(tmp_path: Path, how: str) -> None:
    table = table_in(tmp_path)
    for one in range(20):
        table.add([bars(10 * one, 10 * one + 10)])
    folder = Path(table.url)
    left_over = folder / "20240301T000000-20240301T001000-000000000000.parquet"
    left_over.write_bytes(b"of a process that was killed")
    fresh = folder / "20240301T000000-20240301T001000-111111111111.parquet"
    fresh.write_bytes(b"being written")
    long_ago = time.time() - 3 * 3600
    of_others = folder / "notes.parquet"
    of_others.write_bytes(b"of somebody else")
    for file in folder.glob("*.parquet"):
        if file != fresh:
            os.utime(file, (long_ago, long_ago))
    assert [(one.problem, one.path) for one in findings(table)] == [
        ("file_left_over", left_over.name)
    ]
    if how == "repair":
        [told] = repair(Store(str(tmp_path)), NAME)
        assert (told.problem, told.path, told.repaired) == ("file_left_over", left_over.name, True)
        table.tidy(2)
    else:
        table = table_in(tmp_path)
        table.refresh()
        table.tidy(2)

    assert not left_over.exists()
    of_others.unlink()
    assert fresh.exists()
    # The files that were merged a moment ago may still be read by others.
    assert len(list(folder.glob("*.parquet"))) == 1 + 1 + 20
    assert read(table_in(tmp_path), 0, 200) == [bars(0, 200)]
    assert findings(table) == []


# ---------------------------------------------------------------------------- several at once


_ADD = """
    import random, sys
    from history.series import bars, table_in

    table, seed = table_in(sys.argv[1]), int(sys.argv[2])
    dice = random.Random(seed)
    sys.stdin.readline()
    for _ in range(int(sys.argv[3])):
        first = dice.randrange(0, 960, 40)
        table.add([bars(first, first + dice.choice([40, 80, 120]))])
        if dice.random() < 0.3:
            table.tidy(2)
    print("done")
"""


def test_processes_that_add_the_same_bars_at_once_store_each_once(tmp_path: Path) -> None:
    processes = [start(_ADD, tmp_path, seed, 25) for seed in range(4)]
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate(timeout=60)[0] for process in processes] == ["done\n"] * 4

    table = table_in(tmp_path)
    stored = opened(table.url)
    assert len(stored) == len(set(stored))
    dice = [random.Random(seed) for seed in range(4)]
    expected: set[int] = set()
    for one in dice:
        for _ in range(25):
            first = one.randrange(0, 960, 40)
            expected |= set(range(first, first + one.choice([40, 80, 120])))
            one.random()
    assert stored == sorted(expected)
    assert findings(table) == []
    # What lost the race is not left behind.
    assert table.refresh()
    used = {file.path for file in table.files()}
    gone = {action["path"] for action in removed(table.url)}
    there = {path.name for path in Path(table.url).glob("*.parquet")}
    assert there <= used | gone


def removed(url: str) -> list[dict[str, Any]]:
    import json

    lines = [
        json.loads(line)
        for file in Path(url, "_delta_log").glob("*.json")
        for line in file.read_text().splitlines()
    ]
    return [line["remove"] for line in lines if "remove" in line]


def test_a_reader_next_to_merging_processes_finds_everything(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    table.add([bars(0, 1100)])
    process = start(_ADD, tmp_path, 1, 0)
    merging = start(
        """
        import sys
        from history.series import bars, table_in

        table = table_in(sys.argv[1])
        for one in range(1100, 1200):
            table.add([bars(one, one + 1)])
            table.tidy(2)
        print("done")
        """,
        tmp_path,
    )
    process.kill()
    process.communicate()
    seen = 0
    while merging.poll() is None:
        [found] = read(table, 0, 2000)
        assert found.columns == bars(0, 1100 + len(found.columns) - 1100).columns
        assert len(found.columns) >= max(1100, seen)
        seen = len(found.columns)
    assert merging.communicate()[0] == "done\n"
    assert read(table, 0, 2000) == [bars(0, 1200)]


_FOR_EVER = """
    import sys
    from history.series import bars, table_in

    table, at = table_in(sys.argv[1]), int(sys.argv[2])
    while True:
        table.add([bars(at, at + 3)])
        print("added", flush=True)
        table.tidy(2)
        if at > 6:
            table.replace([bars(at - 6, at + 1)])
        at += 3
"""


def test_a_writer_killed_anywhere_leaves_a_valid_series(tmp_path: Path) -> None:
    dice = random.Random(4)
    at = 0
    for _ in range(8):
        process = start(_FOR_EVER, tmp_path, at)
        assert process.stdout is not None
        for _ in range(dice.randrange(1, 4)):
            process.stdout.readline()
            at += 3
        # Where exactly it is hit does not matter, only that it is somewhere else each time.
        time.sleep(dice.uniform(0.0, 0.04))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        table = table_in(tmp_path)
        assert findings(table) == []
        stored = opened(table.url)
        assert stored == list(range(len(stored)))
        assert len(stored) >= at
        at = len(stored)
    assert read(table_in(tmp_path), 0, at) == [bars(0, at)]


# ---------------------------------------------------------------------------- odd ends


class Deaf:
    """A table whose commits succeed without its hearing so, as over a network that fails."""

    def __init__(self, table: Any, times: int) -> None:
        self._table, self._left = table, times

    def __getattr__(self, name: str) -> Any:
        return getattr(self._table, name)

    def create_write_transaction(self, *args: Any, **more: Any) -> None:
        self._table.create_write_transaction(*args, **more)
        self._left -= 1
        if self._left >= 0:
            raise CommitFailedError("somebody was faster")


@pytest.mark.parametrize("change", ["add", "replace", "tidy", "drop"])
def test_a_commit_with_a_lost_response_loses_no_bar(tmp_path: Path, change: str) -> None:
    table = table_in(tmp_path)
    for first in range(0, 90, 10):
        table.add([bars(first, first + 10)])
    table._table = Deaf(table._table, 1)
    match change:
        case "add":
            table.add([bars(90, 100)])
        case "replace":
            table.replace([bars(0, 100, volume=1.5)])
        case "tidy":
            table.tidy(2)
            table.add([bars(90, 100)])
        case "drop":
            table.drop(table.files()[-1:])
            table.add([bars(80, 100)])

    fresh = table_in(tmp_path)
    assert read(fresh, 0, 100) == [bars(0, 100)]
    assert opened(table.url) == list(range(100))
    assert findings(fresh) == []


def test_a_writer_suspended_across_the_cleanup_of_its_log_still_adds(
    tmp_path: Path,
) -> None:
    slow, fast = table_in(tmp_path), table_in(tmp_path)
    fast.add([bars(0, 10)])
    slow.refresh()
    for one in range(1, 70):
        fast.add([bars(10 * one, 10 * one + 10)])
    deltalake.DeltaTable(fast.url).create_checkpoint()
    long_ago = time.time() - 3600
    log = Path(fast.url, "_delta_log")
    for file in log.iterdir():
        os.utime(file, (long_ago, long_ago))
    deltalake.DeltaTable(fast.url).cleanup_metadata()
    assert not (log / f"{3:020}.json").exists()

    # As if it had looked before the others began, and commits only now.
    assert slow._commit([slow.data.write(bars(5000, 5010))], []) is False
    slow.add([bars(5000, 5010), bars(0, 700)])
    assert opened(fast.url) == [*range(700), *range(5000, 5010)]
    assert findings(table_in(tmp_path)) == []


def test_a_series_recreated_by_another_process_is_read_correctly(
    tmp_path: Path,
) -> None:
    table = table_in(tmp_path)
    for one in range(5):
        table.add([bars(10 * one, 10 * one + 10)])
    import shutil

    shutil.rmtree(tmp_path / "binance")
    assert (table.refresh(), table.files()) == (False, [])
    other = table_in(tmp_path)
    for one in range(5):
        other.add([bars(100 + 10 * one, 110 + 10 * one)])
    assert read(table, 0, 1000) == [bars(100, 150)]
    shutil.rmtree(tmp_path / "binance")
    for one in range(9):
        other.add([bars(200 + 10 * one, 210 + 10 * one)])
    assert read(table, 0, 1000) == [bars(200, 290)]
    table.add([bars(0, 10)])
    assert opened(other.url) == [*range(10), *range(200, 290)]


# ---------------------------------------------------------------------------- other programs


def test_other_programs_read_bars_and_gaps(tmp_path: Path) -> None:
    import pandas as pd
    import polars as pl
    import pyarrow.dataset as ds

    table = table_in(tmp_path)
    table.add([bars(0, 50, (20, 30))])
    table.add([bars(50, 100)])
    table.tidy(2)

    frame = pl.read_delta(table.url)
    there = frame.filter(pl.col("cause").is_null()).sort("time")
    assert there.height == 90
    assert there["close"].to_list() == list(bars(0, 100, (20, 30)).columns.close)
    assert there["time"].dt.timestamp("ms").to_list() == list(bars(0, 100, (20, 30)).columns.time)
    [hole] = frame.filter(pl.col("cause").is_not_null()).to_dicts()
    assert (hole["cause"], hole["close"], hole["trades"]) == ("no_trades", None, None)
    assert (hole["until"] - hole["time"]).total_seconds() == 600

    data = deltalake.DeltaTable(table.url).to_pandas()
    assert isinstance(data, pd.DataFrame)
    assert (len(data), data["cause"].notna().sum()) == (91, 1)
    files = [str(Path(table.url) / file.path) for file in table.files()]
    assert ds.dataset(files).to_table().num_rows == 91
    assert pd.read_parquet(files[0])["volume"].dropna().eq(1.5).all()
    assert live(table.url).num_rows == 91
