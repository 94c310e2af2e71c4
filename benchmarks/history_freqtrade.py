"""Freqtrade in its own environment: installation, configuration, and reading its files.

As a program, run by freqtrade's interpreter, this reads the files of ``download-data``.
"""

import json
import statistics
import subprocess
import sys
import time
from pathlib import Path

TIMERANGE = "20230101-20240101"
DAY = "20230630-20230701"


def install(cache: Path) -> Path:
    """Return the folder of freqtrade's commands, after installing it if needed.

    Raises RuntimeError with the last line of output if the installation fails.
    """
    commands = cache / "freqtrade" / "bin"
    if not (commands / "freqtrade").exists():
        print(f"installing freqtrade in {cache} ...", file=sys.stderr)
        environment = commands.parent
        for command in (
            [sys.executable, "-m", "venv", "--clear", environment],
            [commands / "pip", "install", "--quiet", "freqtrade"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()
                raise RuntimeError(said[-1] if said else f"exit code {done.returncode}")
    return commands


def prepare(folder: Path, base: str) -> list[str]:
    """Make a new user folder; return the arguments that download the year into it."""
    user = folder / "user_data"
    user.mkdir(parents=True)
    config = folder / "config.json"
    paths = {
        "public": "api/v3",
        "private": "api/v3",
        "sapi": "sapi/v1",
        "fapiPublic": "fapi/v1",
        "dapiPublic": "dapi/v1",
    }
    urls = {"api": {kind: f"{base}/{path}" for kind, path in paths.items()}}
    # Its other way, daily archives, uses a host that cannot be configured.
    exchange = {"name": "binance", "only_from_ccxt": True, "ccxt_config": {"urls": urls}}
    config.write_text(json.dumps({"stake_currency": "USDT", "dry_run": True, "exchange": exchange}))
    return [
        *("download-data", "--userdir", str(user), "--config", str(config)),
        *("--pairs", "BTC/USDT", "--timeframes", "1m", "--timerange", TIMERANGE),
        *("--data-format-ohlcv", "feather"),
    ]


def read(folder: str) -> None:
    """Load the year, and a day of it, from the files of ``download-data``."""
    from freqtrade.configuration import TimeRange
    from freqtrade.data.history import load_pair_history

    def load(timerange: str) -> int:
        asked = TimeRange.parse_timerange(timerange)
        return len(load_pair_history("BTC/USDT", "1m", Path(folder), timerange=asked))

    milliseconds = {}
    for name, timerange in (("year", TIMERANGE), ("day", DAY)):
        load(timerange)
        samples = []
        for _ in range(9):
            started = time.perf_counter()
            load(timerange)
            samples.append((time.perf_counter() - started) * 1000)
        milliseconds[name] = statistics.median(samples)
    print(json.dumps(milliseconds))


if __name__ == "__main__":
    read(sys.argv[1])
