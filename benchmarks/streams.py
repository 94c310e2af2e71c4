"""Live order books: maximum rate, steady rate, lost messages; beside ccxt and cryptofeed.

This takes ten minutes. Cryptofeed is installed once from the package index, into its own
environment; if that fails, its lines are left out. ``--soak 60m`` instead watches ten order books
for that time, and writes the samples and a plot of them.
"""

import argparse
import json
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import streams_cryptofeed, streams_soak
from benchmarks.processes import ask, own_environment, run, stand_in

FEED = "benchmarks.streams_feed"
LOST = 100
"""One of this number of messages is lost in the test of losses."""
SLOW = 50
"""Messages a second in the test of losses."""
BOOKS = 10
BOOKS_RATE = 100
"""Messages a second for each book in the test of memory."""
SKIPPABLE = ("ccxt", "cryptofeed", "flat", "steady", "losing", "memory")

Result = dict[str, Any]
Bound = tuple[str, Callable[[Result], bool]]


@dataclass
class Way:
    """A client and its way to watch."""

    name: str
    command: list[str | Path]


@dataclass
class Column:
    """A column of a table."""

    title: str
    value: Callable[[Result], float]
    form: str = ".1f"
    ratio: bool = False
    """Whether it also has the ratio to the first line."""


class Suite:
    """The feed's address, and the settings of all parts."""

    def __init__(self, options: argparse.Namespace, cryptofeed: Path | None, home: str) -> None:
        self.options = options
        self._home = home
        python = [sys.executable, "-m"]
        self.ours = {
            how: Way(f"marketdata, {name}", [*python, "benchmarks.streams_ours", how])
            for how, name in {
                "every20": "every, depth 20",
                "every1000": "every, depth 1,000",
                "hundred": "100 x latest, depth 20",
                "latest20": "latest, depth 20",
                "latest1000": "latest, depth 1,000",
            }.items()
        }
        peers = [*python, "benchmarks.streams_peers"]
        self.bare = Way("aiohttp, orjson, two dicts", [*peers, "bare"])
        self.others: list[Way] = []
        if "ccxt" not in options.skip:
            self.others.append(Way("ccxt.pro", [*peers, "ccxt"]))
        if cryptofeed:
            self.others.append(
                Way("cryptofeed", [cryptofeed, "-m", "benchmarks.streams_cryptofeed"])
            )

    def measure(
        self, base: str, what: str, ways: Sequence[Way], *arguments: object
    ) -> dict[str, Result]:
        """Measure all ways by turns; return medians."""
        found: dict[str, list[Result]] = {way.name: [] for way in ways}
        for turn in range(self.options.rounds):
            for way in ways:
                _say(f"{what} {turn + 1} of {self.options.rounds}: {way.name}")
                ask(f"{base}/_reset")
                command = [*way.command, what, base, *map(str, arguments)]
                done = run(command, own_environment(MARKETDATA_HOME=self._home), base)
                found[way.name].append(json.loads(done.output))
        return {name: _middle(results) for name, results in found.items()}


def main(arguments: Sequence[str] = ()) -> int:
    options = _options(arguments)
    with tempfile.TemporaryDirectory() as home:
        if options.soak:
            return _soak(options, home)
        suite = Suite(options, _cryptofeed(options), home)
        print(f"\nMedians of {options.rounds}; load {_load()} before.")
        for part in (_flat, _steady, _losing, _memory):
            if part.__name__.removeprefix("_") not in options.skip:
                part(suite)
    print(f"\nLoad {_load()} after.")
    return 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m benchmarks streams", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each kind")
    parser.add_argument("--messages", type=int, default=100_000, help="messages flat out")
    parser.add_argument("--rate", type=int, default=1_000, help="messages a second, steadily")
    parser.add_argument("--seconds", type=int, default=5, help="how long, steadily")
    parser.add_argument(
        "--skip", nargs="+", default=(), choices=SKIPPABLE, help="what to leave out"
    )
    parser.add_argument("--soak", type=_seconds, help="watch ten books for so long: 20s, 60m, 2h")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(__file__).parent,
        help="where soak.csv and soak.png go",
    )
    parser.add_argument(
        "--cache",
        type=Path,
        default=os.environ.get("BENCHMARKS_CACHE", Path.home() / ".cache/marketdata-benchmarks"),
        help="folder in which cryptofeed is installed (BENCHMARKS_CACHE)",
    )
    return parser.parse_args(arguments)


def _seconds(text: str) -> int:
    if not (parts := re.fullmatch(r"(\d+)([smh])", text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number and one of s, m, h")
    return int(parts[1]) * {"s": 1, "m": 60, "h": 3600}[parts[2]]


def _cryptofeed(options: argparse.Namespace) -> Path | None:
    if "cryptofeed" in options.skip:
        return None
    try:
        return streams_cryptofeed.install(options.cache)
    except (OSError, RuntimeError) as error:
        print(f"cryptofeed is left out because it cannot be installed: {error}")
        return None


def _flat(suite: Suite) -> None:
    """Send the tape as fast as clients read it."""
    ours = suite.ours
    ways = [*(ours[how] for how in ("every20", "every1000", "hundred", "latest20")), *suite.others]
    count = suite.options.messages
    with stand_in(FEED, "--tape", str(count)) as base:
        results = suite.measure(base, "flat", [*ways, suite.bare])
    for how, seen in (("every20", count - 1), ("every1000", count - 1), ("hundred", 0)):
        _check_counts(results[ours[how].name], count, seen)

    def fast(result: Result) -> bool:
        return (count - 1) / result["seconds"] >= 33_000

    _print(
        f"Flat out, {count:,} messages of one book, each of 20 changed levels",
        results,
        Column("messages/s", lambda one: (count - 1) / one["seconds"], ",.0f", ratio=True),
        Column("seen/s", lambda one: one["seen"] / one["seconds"], ",.0f"),
        Column("CPU us each", lambda one: 1e6 * one["cpu"] * one["seconds"] / (count - 1)),
        Column("got CPU %", lambda one: 100 * one["cpu"], ".0f"),
        bounds={ours[how].name: [("33,000/s", fast)] for how in ("every20", "hundred")},
    )


def _check_counts(result: Result, count: int, seen: int) -> None:
    """Exit if a message was not counted, or not seen by a reader of every message."""
    own = result["own"]
    # The snapshot that the first message follows is an update, too.
    if (own["updates"], own["dropped"], own["gaps"]) != (count + 1, 0, 0) or result["seen"] < seen:
        raise SystemExit(f"of {count} messages there came {result}")


def _steady(suite: Suite) -> None:
    """Send messages at a steady rate."""
    ours = [suite.ours["every20"], suite.ours["latest20"]]
    rate, seconds = suite.options.rate, suite.options.seconds
    with stand_in(FEED) as base:
        ways = [*ours, *suite.others, suite.bare]
        results = suite.measure(base, "steady", ways, rate, seconds)
    bounds: list[Bound] = [
        ("12% CPU", lambda one: one["cpu"] <= 0.12),
        ("2 ms", lambda one: one["lag"] <= 2),
    ]
    _print(
        f"{rate:,} messages a second of one book, {seconds} s",
        results,
        Column("CPU %", lambda one: 100 * one["cpu"], ratio=True),
        Column("lag ms", lambda one: one["lag"], ".2f"),
        Column("lag 99%", lambda one: one["worst"], ".2f"),
        Column("seen %", lambda one: 100 * one["seen"] / one["sent"]),
        bounds={way.name: bounds for way in ours},
    )


def _losing(suite: Suite) -> None:
    """Send few messages, and leave out some; clients without checks would not notice."""
    ours = [suite.ours["every20"], suite.ours["latest20"]]
    with stand_in(FEED) as base:
        results = suite.measure(base, "losing", [*ours, *suite.others], SLOW, 10, LOST)
    bounds: list[Bound] = [
        ("one book a loss", lambda one: one["books"] == one["lost"]),
        ("1 s", lambda one: one["longest"] < 1),
        ("nothing else lost", lambda one: not one["unseen"] and not one["errors"]),
    ]
    _print(
        f"{SLOW} messages a second of one book, 10 s, each {LOST}th lost",
        results,
        Column("lost", lambda one: one["lost"], ".0f"),
        Column("books", lambda one: one["books"], ".0f"),
        Column("s to mend", lambda one: one["wait"], ".3f", ratio=True),
        Column("longest", lambda one: one["longest"], ".3f"),
        Column("unseen", lambda one: one["unseen"], ".0f"),
        Column("errors", lambda one: one["errors"], ".0f"),
        bounds={way.name: bounds for way in ours},
    )


def _memory(suite: Suite) -> None:
    """Hold ten books."""
    ours = [suite.ours["latest1000"], suite.ours["every1000"]]
    with stand_in(FEED, "--pairs", str(BOOKS)) as base:
        ways = [*ours, *suite.others, suite.bare]
        results = suite.measure(base, "memory", ways, BOOKS_RATE, 10)
    _print(
        f"{BOOKS} books of 1,000 levels a side, {BOOKS_RATE} messages a second each, after 10 s",
        results,
        Column("MiB more", lambda one: one["mebibytes"], ratio=True),
        Column("MiB idle", lambda one: one["idle"]),
        bounds={way.name: [("60 MiB", lambda one: one["mebibytes"] <= 60)] for way in ours},
    )


def _soak(options: argparse.Namespace, home: str) -> int:
    """Watch ten books for a long time, and plot the samples."""
    samples = options.folder / "soak.csv"
    with stand_in(FEED, "--pairs", str(BOOKS)) as base:
        command = [sys.executable, "-m", "benchmarks.streams_soak", base]
        environment = own_environment(MARKETDATA_HOME=home)
        done = run([*command, str(options.soak), samples], environment, base)
    streams_soak.plot(samples, options.folder / "soak.png")
    for name, value in json.loads(done.output).items():
        print(f"{name:12}{value:16,.3f}".rstrip("0").rstrip("."))
    return 0


def _middle(results: Sequence[Result]) -> Result:
    """Return the median of each number; a flag must be true in each round."""
    made: Result = {}
    for name, first in results[0].items():
        values = [one[name] for one in results]
        if isinstance(first, dict):
            made[name] = _middle(values)
        elif isinstance(first, bool):
            made[name] = all(values)
        else:
            made[name] = statistics.median(values)
    return made


def _print(
    title: str,
    results: dict[str, Result],
    *columns: Column,
    bounds: dict[str, list[Bound]],
) -> None:
    first = next(iter(results.values()))
    heads = "".join(
        f"{column.title:>12}" + ("  of first" if column.ratio else "") for column in columns
    )
    print(f"\n{title}\n{'':34}{heads}")
    for name, result in results.items():
        cells = ""
        for column in columns:
            value = column.value(result)
            cells += f"{value:12{column.form}}"
            if column.ratio:
                cells += f"{value / column.value(first):10.2f}"
        said = [
            f"{what} {'met' if holds(result) else 'NOT MET'}"
            for what, holds in bounds.get(name, ())
        ]
        if not result.get("right", True):
            said.append("THE BOOK IS WRONG")
        print(f"  {name:32}{cells}  {', '.join(said)}".rstrip())


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


def _say(what: str) -> None:
    print(f"{what} ...", file=sys.stderr, flush=True)
