"""The memory of a process with twenty connected exchanges, compared with plain ccxt.

The exchanges are twenty modules of ccxt. Each has answered a ticker request over a TLS connection
that is still open. They connect to a stand-in on the loopback (`memory_exchanges`). Its tickers
have the exchange's own format, but its lists of 2,000 pairs have ccxt's unified format, so that
neither side parses them. Parsing would cost plain ccxt more, since it parses all 20 lists in each
process and this library only once a day. Plain ccxt has to keep all pairs of each exchange.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.memory_exchanges import PAIR, TICKERS, prepare
from benchmarks.processes import own_environment, stand_in

ROUNDS = 5
MOST = 250.0
"""Maximum resident MiB of this library."""

KINDS = {
    "marketdata, lists on disk": "marketdata",
    "marketdata, lists fetched": "marketdata",
    "plain ccxt, async": "ccxt",
    "bare interpreter": "nothing",
}


def main() -> int:
    names = sorted(TICKERS)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(folder)
        with stand_in("benchmarks.memory_exchanges", str(folder)) as base:
            measured: dict[str, list[dict[str, float]]] = {kind: [] for kind in KINDS}
            _run("marketdata", base, folder, "warm", names)
            for turn in range(ROUNDS):
                for name, kind in KINDS.items():
                    home = f"empty-{turn}" if "fetched" in name else "warm"
                    measured[name].append(_run(kind, base, folder, home, names))
    median = {
        name: {of: statistics.median(run[of] for run in runs) for of in ("rss", "pss", "peak")}
        for name, runs in measured.items()
    }
    against = median["plain ccxt, async"]["rss"]
    print(f"\n{len(names)} exchanges connected, {PAIR} of each, medians of {ROUNDS}\n")
    print(f"{'':32}{'MiB RSS':>10}{'of ccxt':>10}{'MiB PSS':>10}{'MiB at most':>14}")
    for name, one in median.items():
        print(
            f"{name:32}{one['rss']:10.0f}{one['rss'] / against:10.2f}{one['pss']:10.0f}"
            f"{one['peak']:14.0f}"
        )
    largest = max(one["rss"] for name, one in median.items() if name.startswith("marketdata"))
    print(f"\n{largest:.0f} MiB at most {MOST:.0f}: {'yes' if largest <= MOST else 'NO'}")
    return int(largest > MOST)


def _run(kind: str, base: str, folder: Path, home: str, names: list[str]) -> dict[str, float]:
    """Measure one process; exit if it is not connected to all exchanges."""
    environment = own_environment(
        MARKETDATA_HOME=str(folder / home),
        SSL_CERT_FILE=str(folder / "trusted.pem"),
        EXCHANGES=json.dumps(names),
        PYTHONPATH=os.pathsep.join(sys.path),
    )
    command = [sys.executable, "-m", "benchmarks.memory_process", kind, base, str(folder)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True)
    told = json.loads(done.stdout)
    wanted = 0 if kind == "nothing" else len(names)
    if told["open"] != wanted or (wanted and sorted(told["asked"]) != names):
        raise SystemExit(f"{kind} is connected to {told['open']}, and asked {told['asked']}")
    return told
