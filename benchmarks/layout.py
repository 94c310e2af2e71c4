"""What the store's layout was chosen by: one table or one a series, and how files are written.

``python -m benchmarks layout``. Times are medians in milliseconds, CPU time for reading.
"""

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")

import deltalake
import pyarrow as pa
import pyarrow.parquet as pq
from deltalake.transaction import AddAction, create_table_with_add_actions

from benchmarks.year import MINUTE, START
from marketdata._candles.datafiles import schema

ROUNDS = 9
BARS = 525_600
NAMES = ["time", "open", "high", "low", "close", "volume", "trades"]
PRICES = ("open", "high", "low", "close", "volume")


def main() -> int:
    print("One bar added to one of N series, ms: look, commit")
    print(f"{'series':>8} {'a table each':>24} {'one table':>24}")
    for count in (1, 100, 1_000):
        each = _added(1, partitioned=False)  # the others are other folders
        one = _added(count, partitioned=True)
        print(f"{count:>8} {each[0]:>14.1f} {each[1]:>9.1f} {one[0]:>14.1f} {one[1]:>9.1f}")
    print("\nA year of 1m bars: MB, ms to write, to read all, to read a day")
    year = _year()
    for name, options in _WAYS.items():
        for rows in (5_000, 20_000, 100_000, BARS):
            print(f"{name:>24} groups of {rows:>7,}: " + _written(year, options, rows))
    return 0


_DELTA = dict.fromkeys(("time", "until", "trades"), "DELTA_BINARY_PACKED")
_SPLIT = _DELTA | dict.fromkeys(PRICES, "BYTE_STREAM_SPLIT")
_WAYS = {
    "zstd, dictionaries": {"compression": "zstd"},
    "zstd, plain": {"compression": "zstd", "use_dictionary": False, "column_encoding": _DELTA},
    "lz4, plain": {"compression": "lz4", "use_dictionary": False, "column_encoding": _DELTA},
    "lz4, bytes split": {"compression": "lz4", "use_dictionary": False, "column_encoding": _SPLIT},
    "none, plain": {"compression": "none", "use_dictionary": False, "column_encoding": _DELTA},
}


def _added(series: int, *, partitioned: bool) -> tuple[float, float]:
    """Time looking up what is stored of one series, and a commit to it."""
    columns = [pa.field("series", pa.string())] if partitioned else []
    kinds = deltalake.Schema.from_arrow(pa.schema([*columns, *schema()]))
    by = ["series"] if partitioned else []

    def action(number: int, path: str) -> AddAction:
        moment = "2023-01-01T00:00:00.000Z"
        known = {"minValues": {"time": moment}, "maxValues": {"until": moment}}
        stats = json.dumps({"numRecords": 1, **known, "nullCount": {}})
        values = {"series": f"s{number}"} if partitioned else {}
        return AddAction(path, 1, values, 0, True, stats)

    with tempfile.TemporaryDirectory() as folder:
        files = [action(number, f"{number}-{part}") for number in range(series) for part in "abcd"]
        create_table_with_add_actions(folder, kinds, files, partition_by=by)
        look, commit = [], []
        for turn in range(ROUNDS):
            began = time.perf_counter()
            table = deltalake.DeltaTable(folder)
            pa.RecordBatchReader.from_stream(table.get_add_actions(flatten=True)).read_all()
            look.append(time.perf_counter() - began)
            began = time.perf_counter()
            table.create_write_transaction([action(0, f"new-{turn}")], "append", kinds, by)
            commit.append(time.perf_counter() - began)
    return statistics.median(look) * 1000, statistics.median(commit) * 1000


def _year() -> pa.Table:
    opened = [START + MINUTE * index for index in range(BARS + 1)]
    moment = pa.timestamp("us", tz="UTC")
    times = pa.array(opened).cast(pa.timestamp("ms", tz="UTC")).cast(moment)
    chance = random.Random(1)
    close, rows = 30_000.0, []
    for _ in range(BARS):
        opened_at, close = close, round(close + chance.gauss(0, 10), 2)
        high = round(max(opened_at, close) + chance.random() * 5, 2)
        low = round(min(opened_at, close) - chance.random() * 5, 2)
        rows.append((opened_at, high, low, close, round(chance.expovariate(0.05), 5)))
    data = dict(zip(PRICES, map(pa.array, zip(*rows, strict=True)), strict=True))
    data |= {"time": times[:-1], "until": times[1:]}
    data["trades"] = pa.array([chance.randrange(2_000) for _ in range(BARS)])
    data["cause"] = pa.nulls(BARS, pa.string())
    return pa.table({name: data[name] for name in schema().names}, schema=schema())


def _written(year: pa.Table, options: dict[str, object], rows: int) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "year.parquet"
        write = _cpu(lambda: pq.write_table(year, path, row_group_size=rows, **options), 3)

        def read(groups: int | None) -> None:
            with pq.ParquetFile(path) as file:
                for group in range(groups or file.num_row_groups):
                    file.read_row_group(group, columns=NAMES, use_threads=False)

        every, day = _cpu(lambda: read(None)), _cpu(lambda: read(1))
        size = path.stat().st_size / 1e6
    return f"{size:5.1f} MB {write:6.0f} {every:6.1f} {day:6.1f}"


def _cpu(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    took = []
    for _ in range(rounds):
        began = time.process_time()
        work()
        took.append(time.process_time() - began)
    return statistics.median(took) * 1000
