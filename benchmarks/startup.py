"""Whole processes: a first and a second ticker, importing, the help page; beside plain ccxt."""

import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROUNDS = 15

_REDIRECT = """
def redirect(urls, base):
    return {
        kind: redirect(url, base) if isinstance(url, dict)
        else base + "/" + url.split("/", 3)[3]
        for kind, url in urls.items()
    }
"""
_CCXT = f"""
import ccxt
{_REDIRECT}
exchange = ccxt.binance()
exchange.urls["api"] = redirect(exchange.urls["api"], "BASE")
print(exchange.fetch_ticker("BTC/USDT")["last"])
"""
_CCXT_SPOT = _CCXT.replace(
    "exchange = ccxt.binance()",
    "exchange = ccxt.binance({'options': {'fetchMarkets': {'types': ['spot']}}})",
)
_CCXT_ASYNC = f"""
import asyncio
import ccxt.async_support as ccxt
{_REDIRECT}
async def main():
    exchange = ccxt.binance()
    exchange.urls["api"] = redirect(exchange.urls["api"], "BASE")
    print((await exchange.fetch_ticker("BTC/USDT"))["last"])
    await exchange.close()
asyncio.run(main())
"""
_LIBRARY = "import marketdata; print(marketdata.ticker('BTC/USDT').last)"
_MARKETDATA = str(Path(sys.executable).with_name("marketdata"))


@dataclass
class Measured:
    """Medians over the rounds; the largest memory."""

    seconds: float
    mebibytes: float
    requests: float


def main() -> int:
    with _stand_in() as base, tempfile.TemporaryDirectory() as home:
        python = [sys.executable, "-c"]
        runs = {
            "plain ccxt": [*python, _CCXT.replace("BASE", base)],
            "plain ccxt, spot only": [*python, _CCXT_SPOT.replace("BASE", base)],
            "plain ccxt, async": [*python, _CCXT_ASYNC.replace("BASE", base)],
            "marketdata ticker, first ever": [_MARKETDATA, "ticker", "BTC/USDT"],
            "marketdata ticker, second": [_MARKETDATA, "ticker", "BTC/USDT"],
            "md.ticker(), second": [*python, _LIBRARY],
            "import ccxt": [*python, "import ccxt"],
            "import marketdata": [*python, "import marketdata"],
            "marketdata --help": [_MARKETDATA, "--help"],
            "bare interpreter": [*python, "pass"],
        }
        environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("MARKETDATA_")},
            "MARKETDATA_ENDPOINTS": json.dumps({"binance": base}),
        }
        measured = _interleaved(runs, environment, base, Path(home))
    _print(measured)
    return 0


def _interleaved(
    runs: dict[str, list[str]], environment: dict[str, str], base: str, home: Path
) -> dict[str, Measured]:
    # All take turns, so that a busy moment of the machine hits each alike.
    samples: dict[str, list[tuple[float, float, int]]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        for name, command in runs.items():
            folder = home / (f"empty-{turn}" if "first" in name else "warm")
            sample = _run(command, {**environment, "MARKETDATA_HOME": str(folder)}, base)
            if turn:  # the first turn warms the file cache and, for the second ticker, the pairs
                samples[name].append(sample)
    return {
        name: Measured(
            statistics.median(seconds for seconds, _, _ in taken),
            max(size for _, size, _ in taken),
            statistics.median(count for _, _, count in taken),
        )
        for name, taken in samples.items()
    }


def _run(command: list[str], environment: dict[str, str], base: str) -> tuple[float, float, int]:
    started = time.perf_counter()
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    _, errors = process.stdout.read(), process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stdout.close()
    process.stderr.close()
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{errors.decode()}")
    with urllib.request.urlopen(f"{base}/_requests") as response:
        requests = json.load(response)
    return seconds, usage.ru_maxrss / 1024, requests


@contextlib.contextmanager
def _stand_in() -> Iterator[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.stand_in"], stdout=subprocess.PIPE, text=True
    )
    try:
        _pin(process.pid, 0)
        _pin(0, 1)
        yield process.stdout.readline().split()[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _pin(pid: int, core: int) -> None:
    cores = sorted(os.sched_getaffinity(0) | {0})
    with contextlib.suppress(OSError):
        os.sched_setaffinity(pid, {cores[core % len(cores)]})


def _print(measured: dict[str, Measured]) -> None:
    against = measured["plain ccxt"].seconds
    print(f"\nWhole processes, medians of {ROUNDS}; 2,000 pairs; an instant exchange\n")
    print(f"{'':32}{'ms':>8}{'of ccxt':>10}{'MiB':>8}{'requests':>10}")
    for name, one in measured.items():
        print(
            f"{name:32}{one.seconds * 1000:8.0f}{one.seconds / against:10.2f}"
            f"{one.mebibytes:8.0f}{one.requests:10.0f}"
        )
