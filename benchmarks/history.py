"""A year of 1m candles: downloads, reads and additions, compared with ccxt and freqtrade.

This takes twenty minutes. Freqtrade is installed once from the package index, into its own
environment; if that fails, its lines are left out.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import history_freqtrade
from benchmarks.processes import Run, ask, own_environment, run, stand_in
from benchmarks.year import BARS, END, START

LATENCY = 0.03
SHORT_ROUNDS = 11
"""Rounds of measurements below a second."""
SEVERAL = 100
"""Additions that are summarized together."""
SKIPPABLE = ("ccxt", "freqtrade", "additions", "series")

_STATUS = Path("/proc/self/status")
_YEAR = f"""
import marketdata as md
candles = md.candles('BTC/USDT', '1m', start={START}, end={END}, exchange='binance')
print(len(candles))
"""
if _STATUS.exists():
    _YEAR += f"""
for line in open('{_STATUS}'):
    if line.startswith(('RssAnon', 'RssFile')):
        print(line.split()[1])
"""
_IMPORTS = "import marketdata, deltalake, pyarrow.parquet; marketdata.candles"
"""The package is imported when the first name is used."""


@dataclass
class Setting:
    """The settings of all parts."""

    base: str
    folder: Path
    options: argparse.Namespace
    freqtrade: Path | None
    """The folder of freqtrade's commands; None if it is left out."""

    def run(self, command: Sequence[str | Path], home: Path | None = None) -> Run:
        environment = own_environment(MARKETDATA_ENDPOINTS=json.dumps({"binance": self.base}))
        if home is not None:
            environment["MARKETDATA_HOME"] = str(home)
        return run(command, environment, self.base)

    def python(self, module: str, *arguments: object, home: Path | None = None) -> Any:
        """Run a module of the benchmarks and return its JSON output."""
        command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
        return json.loads(self.run(command, home).output)


@dataclass
class Line:
    """One line of the table."""

    name: str
    value: float
    unit: str = "ms"
    run: Run | None = None
    bounds: list[tuple[float, float, str]] = field(default_factory=list)
    """Measured values, their maximum, and its description."""


class Table:
    """The results, part by part."""

    def __init__(self) -> None:
        self._parts: dict[str, list[Line]] = {}

    def add(self, part: str, *lines: Line) -> None:
        """Add lines; the ratios of a part are relative to its first line."""
        self._parts.setdefault(part, []).extend(lines)

    def print(self) -> None:
        print(
            f"\n{'':46}{'measured':>9}{'of first':>9}{'CPU s':>7}{'MiB':>6}{'requests':>10}"
            "  at most"
        )
        for part, lines in self._parts.items():
            print(f"\n{part}")
            for line in lines:
                print(_text(line, lines[0]).rstrip())


def _text(line: Line, first: Line) -> str:
    cpu = size = requests = ""
    if line.run:
        cpu = f"{line.run.cpu:.2f}"
        size, requests = f"{line.run.mebibytes:.0f}", f"{line.run.requests:.0f}"
    verdicts = [
        f"{said} {'met' if value <= bound else 'NOT MET'}" for value, bound, said in line.bounds
    ]
    value = (
        f"{line.value:.{2 if line.value < 10 else 0 if line.value >= 100 else 1}f} {line.unit:3}"
    )
    return (
        f"  {line.name:44}{value:>9}{line.value / first.value:9.2f}{cpu:>7}{size:>6}{requests:>10}"
        f"  {', '.join(verdicts)}"
    )


def main(arguments: Sequence[str] = ()) -> int:
    options = _options(arguments)
    table = Table()
    with (
        stand_in("benchmarks.history_stand_in", str(LATENCY)) as base,
        tempfile.TemporaryDirectory() as folder,
    ):
        setting = Setting(base, Path(folder), options, _freqtrade(options))
        try:
            home = _downloads(setting, table)
            rewriting = _reads(setting, table, home)
            ask(f"{base}/_latency?seconds=0")
            if "additions" not in options.skip:
                _additions(setting, table, home, rewriting)
            if "series" not in options.skip:
                _series(setting, table, home)
        finally:
            print(
                f"\n{BARS:,} 1m candles of BTC/USDT; {LATENCY * 1000:.0f} ms per request, "
                f"none where bars are added.\nMedians, of {options.rounds} for downloads; the most "
                "memory."
            )
            table.print()
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks history", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="downloads of each kind")
    parser.add_argument("--additions", type=int, default=1_000, help="bars added one by one")
    parser.add_argument("--series", type=int, default=1000, help="most series in the store")
    parser.add_argument(
        "--skip", nargs="+", default=(), choices=SKIPPABLE, help="what to leave out"
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=os.environ.get("BENCHMARKS_CACHE", Path.home() / ".cache/marketdata-benchmarks"),
        help="folder in which freqtrade is installed (BENCHMARKS_CACHE)",
    )
    return parser.parse_args(arguments)


def _freqtrade(options: argparse.Namespace) -> Path | None:
    if "freqtrade" in options.skip:
        return None
    try:
        return history_freqtrade.install(options.cache)
    except (OSError, RuntimeError) as error:
        print(f"freqtrade is left out because it cannot be installed: {error}")
        return None


def _downloads(setting: Setting, table: Table) -> Path:
    """Download the year in every way, by turns, twice; return the folder with ours."""
    python = [sys.executable, "-m", "benchmarks.history_peers"]
    ways: dict[str, list[str | Path]] = {
        "marketdata": [sys.executable, "-c", _YEAR],
        "aiohttp, 16 at once, and orjson": [*python, "bare", setting.base],
    }
    if "ccxt" not in setting.options.skip:
        ways["ccxt, page after page"] = [*python, "ccxt_loop", setting.base]
        ways["ccxt async, four at once"] = [*python, "ccxt_async", setting.base]
    first: dict[str, list[Run]] = {}
    again: dict[str, list[Run]] = {}
    for turn in range(setting.options.rounds):
        home = setting.folder / f"home-{turn}"
        for name, command in ways.items():
            _say(f"download {turn + 1} of {setting.options.rounds}: {name}")
            done = setting.run(command, home)
            if int(done.output.split()[0]) != BARS:
                raise SystemExit(f"{name} gave {done.output} bars")
            first.setdefault(name, []).append(done)
        if setting.freqtrade:
            _say(f"download {turn + 1} of {setting.options.rounds}: freqtrade")
            folder = setting.folder / f"freqtrade-{turn}"
            command = [
                setting.freqtrade / "freqtrade",
                *history_freqtrade.prepare(folder, setting.base),
            ]
            for runs in (first, again):
                runs.setdefault("freqtrade download-data, REST", []).append(setting.run(command))
    _say("the same again")
    whole, imports = "marketdata, whole process", "a process that imports as much"
    short: dict[str, list[Run]] = {whole: [], imports: [], "bare python": []}
    for _ in range(SHORT_ROUNDS):
        for name, code in zip(short, (_YEAR, _IMPORTS, "pass"), strict=True):
            short[name].append(setting.run([sys.executable, "-c", code], home))

    held = {"first": next(iter(first.values())), "second": short[whole]}
    lines = [_process(name, runs) for name, runs in first.items()]
    ours = lines[0].run
    bare = 1.3 * lines[1].value
    lines[0].bounds = [
        (ours.seconds, bare, f"{bare:.2f} s (1.3 x the bare loop)"),
        (ours.mebibytes, 200, "200 MiB"),
        (ours.requests, 528, "528 requests"),
    ]
    table.add("The year for the first time, whole processes", *lines)
    lines = [_process(name, runs) for name, runs in (short | again).items()]
    lines[0].bounds = [
        (lines[0].run.mebibytes, 160, "160 MiB"),
        (lines[0].run.requests, 0, "0 requests"),
    ]
    beyond = lines[0].run.cpu - lines[1].run.cpu
    lines.insert(1, Line("marketdata, beyond what importing takes, CPU", beyond, "s"))
    lines[1].bounds = [(beyond, 0.15, "0.15 s")]
    table.add("The year for the second time, whole processes", *lines)
    for time, runs in held.items():
        if _STATUS.exists():
            _tell_of_memory(table, f"What marketdata holds at the end of the {time} time", runs)
    return home


def _tell_of_memory(table: Table, part: str, runs: Sequence[Run]) -> None:
    """Separate a process's own memory from pages of files, mostly of libraries.

    The counted pages depend on the size of the blocks in the page cache: a freshly installed
    library counts up to twice as much as one that was read before.
    """
    own, files = ([float(run.output.split()[at]) / 1024 for run in runs] for at in (1, 2))
    table.add(
        part,
        Line("its own memory", max(own), "MiB"),
        Line("pages of files", max(files), "MiB"),
    )


def _reads(setting: Setting, table: Table, home: Path) -> Line:
    """Read the year and a day of it repeatedly; return the time that polars takes to write it."""
    _say("reading")
    ours = setting.python("history_ours", "reads", home=home)
    parquet = setting.folder / "year.parquet"
    polars = setting.python("history_peers", "parquet", setting.base, parquet)
    bound = 1.3 * polars["year"]
    said = f"{bound:.0f} ms (1.3 x polars read_parquet)"
    year, day = "The year as a frame, warm, CPU", "A day of it as a frame, warm, CPU"
    table.add(
        year,
        Line("marketdata, to_polars", ours["polars"], bounds=[(ours["polars"], bound, said)]),
        Line("marketdata, to_pandas", ours["pandas"], bounds=[(ours["pandas"], bound, said)]),
        Line("polars read_parquet", polars["year"]),
        Line("polars read_parquet, to_pandas", polars["pandas"]),
    )
    most = 1.3 * polars["day"]
    said = f"{most:.1f} ms (1.3 x polars scan_parquet)"
    table.add(
        day,
        Line("marketdata, to_polars", ours["day"], bounds=[(ours["day"], most, said)]),
        Line("polars scan_parquet and filter", polars["day"]),
    )
    disk = "The year on disk"
    table.add(disk, Line("marketdata", _mebibytes(home / "candles"), "MiB"))
    table.add(disk, Line("polars parquet", _mebibytes(parquet), "MiB"))
    if setting.freqtrade:
        data = setting.folder / "freqtrade-0" / "user_data" / "data"
        command = [setting.freqtrade / "python", history_freqtrade.__file__, data / "binance"]
        theirs = json.loads(setting.run(command).output)
        table.add(year, Line("freqtrade load_pair_history", theirs["year"]))
        table.add(day, Line("freqtrade load_pair_history", theirs["day"]))
        table.add(disk, Line("freqtrade feather", _mebibytes(data), "MiB"))
    return Line("polars write_parquet of the year", polars["write"])


def _additions(setting: Setting, table: Table, home: Path, rewriting: Line) -> None:
    """Add single candles to a year."""
    _say("adding bars")
    home = shutil.copytree(home, setting.folder / "home-added-to")
    took = setting.python("history_ours", "additions", 0, setting.options.additions, home=home)
    several = min(SEVERAL, len(took))
    first, last = statistics.median(took[:several]), statistics.median(took[-several:])
    slowest = max(took)
    table.add(
        "One bar more, CPU",
        Line(f"marketdata, the first {several}", first, bounds=[(first, 40, "40 ms")]),
        Line(
            f"marketdata, the last {several} of {len(took):,}", last, bounds=[(last, 40, "40 ms")]
        ),
        Line(
            f"marketdata, the slowest of {len(took):,}",
            slowest,
            bounds=[(slowest, 150, "150 ms")],
        ),
        rewriting,
    )
    name = f"marketdata, after {len(took):,} additions"
    table.add("The year on disk", Line(name, _mebibytes(home / "candles"), "MiB"))


def _series(setting: Setting, table: Table, home: Path) -> None:
    """Run small operations in stores of different sizes."""
    most = setting.options.series
    alone: dict[str, float] = {}
    for turn, count in enumerate(sorted({1, min(100, most), most})):
        _say(f"{count:,} series in the store")
        setting.python("history_ours", "fill", count, home=home)
        took = setting.python("history_ours", "small", turn, home=home)
        for what, value in took.items():
            first = alone.setdefault(what, value)
            line = Line(f"with {count:,} series in the store", value)
            if count > 1:
                line.bounds = [(value, 1.5 * first, f"{1.5 * first:.3g} ms (1.5 x with 1)")]
            table.add(what, line)


def _process(name: str, runs: Sequence[Run]) -> Line:
    middle = Run(
        statistics.median(one.seconds for one in runs),
        max(one.mebibytes for one in runs),
        statistics.median(one.requests for one in runs),
        "",
        statistics.median(one.cpu for one in runs),
    )
    return Line(name, middle.seconds, "s", middle)


def _mebibytes(path: Path) -> float:
    files = [path] if path.is_file() else [one for one in path.rglob("*") if one.is_file()]
    return sum(one.stat().st_size for one in files) / 2**20


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)
