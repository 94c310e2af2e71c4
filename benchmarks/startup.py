"""Whole processes: first and second ticker, import, help page; compared with plain ccxt."""

import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import Run, own_environment, run, stand_in

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
    """The medians of all rounds, and the largest memory."""

    seconds: float
    mebibytes: float
    requests: float


def main() -> int:
    with stand_in("benchmarks.stand_in") as base, tempfile.TemporaryDirectory() as home:
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
        environment = own_environment(MARKETDATA_ENDPOINTS=json.dumps({"binance": base}))
        measured = _interleaved(runs, environment, base, Path(home))
    _print(measured)
    return 0


def _interleaved(
    runs: dict[str, list[str]], environment: dict[str, str], base: str, home: Path
) -> dict[str, Measured]:
    # The processes take turns, so that other load of the machine affects all of them.
    samples: dict[str, list[Run]] = {name: [] for name in runs}
    for turn in range(ROUNDS + 1):
        for name, command in runs.items():
            folder = home / (f"empty-{turn}" if "first" in name else "warm")
            sample = run(command, {**environment, "MARKETDATA_HOME": str(folder)}, base)
            if turn:  # the first turn fills the file cache and the list of pairs
                samples[name].append(sample)
    return {
        name: Measured(
            statistics.median(one.seconds for one in taken),
            max(one.mebibytes for one in taken),
            statistics.median(one.requests for one in taken),
        )
        for name, taken in samples.items()
    }


def _print(measured: dict[str, Measured]) -> None:
    against = measured["plain ccxt"].seconds
    print(f"\nWhole processes, medians of {ROUNDS}; 2,000 pairs; an instant exchange\n")
    print(f"{'':32}{'ms':>8}{'of ccxt':>10}{'MiB':>8}{'requests':>10}")
    for name, one in measured.items():
        print(
            f"{name:32}{one.seconds * 1000:8.0f}{one.seconds / against:10.2f}"
            f"{one.mebibytes:8.0f}{one.requests:10.0f}"
        )
