"""Ten books for a long time: ``python -m benchmarks.streams_soak <address> <seconds> <csv>``.

Each book changes 100 times a second and has two readers: one of every state, one of the newest.
Memory and counters of the process are written each second.
"""

import asyncio
import csv
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import marketdata as md
from benchmarks.streams_measure import PAIRS, ask, resident

RATE = 100
"""Messages a second for each book."""
COUNTED = ("messages", "updates", "dropped", "gaps", "resyncs", "reconnects", "unreadable")
COLUMNS = ("seconds", "mebibytes", *COUNTED, "every", "latest", "waiting", "lag_ms")


async def soak(base: str, seconds: int, target: Path) -> None:
    """Watch for a time, and write the samples."""
    seen = {"every": 0, "latest": 0}

    async def look(books: md.AsyncWatch[md.OrderBook], delivery: str) -> None:
        async for _ in books:
            seen[delivery] += 1

    async with md.AsyncClient("binance", endpoints={"binance": base}) as client:
        watches = [
            (client.watch_orderbook(pair, depth, delivery=delivery), delivery)
            for pair in PAIRS
            for delivery, depth in (("every", 20), ("latest", 1_000))
        ]
        await asyncio.gather(*[anext(books) for books, _ in watches])
        looking = [asyncio.create_task(look(*one)) for one in watches]
        await ask(f"{base}/_begin?rate={RATE}&count={RATE * seconds}")
        started = time.monotonic()
        with target.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow(COLUMNS)
            for second in range(seconds + 1):
                await asyncio.sleep(max(0.0, started + second - time.monotonic()))
                streams = client.streams()
                rows.writerow(
                    [
                        second,
                        f"{resident():.3f}",
                        *[sum(getattr(one, name) for one in streams) for name in COUNTED],
                        seen["every"],
                        seen["latest"],
                        sum(one.waiting for one, _ in watches),
                        max(one.lag_ms or 0.0 for one in streams),
                    ]
                )
                file.flush()
        for one in looking:
            one.cancel()
        await asyncio.gather(*looking, return_exceptions=True)


def told(source: Path) -> dict[str, Any]:
    """Summarize the samples; memory counts after the first tenth of the time."""
    samples = read(source)
    late = samples[len(samples) // 10 :]
    seconds = [one["seconds"] for one in late]
    memory = [one["mebibytes"] for one in late]
    rise = statistics.linear_regression(seconds, memory).slope if len(late) > 1 else 0.0
    last = samples[-1]
    return {
        "first": memory[0],
        "most": max(memory),
        "last": memory[-1],
        "an_hour": rise * 3600,
        **{name: int(last[name]) for name in (*COUNTED, "every", "latest", "waiting")},
        "lag_ms": statistics.median(one["lag_ms"] for one in late),
    }


def read(source: Path) -> list[dict[str, float]]:
    """Return the samples."""
    with source.open(newline="") as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def plot(source: Path, target: Path) -> None:
    """Draw the samples."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    samples = read(source)
    minutes = [one["seconds"] / 60 for one in samples]
    figure, (upper, lower) = plt.subplots(2, sharex=True, figsize=(9, 6), layout="constrained")
    upper.set_title(
        f"{len(PAIRS)} books, {RATE} messages a second each, two watchers each: "
        f"{minutes[-1]:.3g} minutes"
    )
    upper.plot(minutes, [one["mebibytes"] for one in samples])
    upper.set_ylabel("resident memory, MiB")
    upper.set_ylim(bottom=0)
    for name in ("messages", "every", "latest", "dropped", "gaps"):
        lower.plot(minutes, [one[name] for one in samples], label=name)
    lower.set_ylabel("counted")
    lower.set_xlabel("minutes")
    lower.legend()
    figure.savefig(target, dpi=100)
    plt.close(figure)


if __name__ == "__main__":
    address, duration, path = sys.argv[1:]
    asyncio.run(soak(address, int(duration), Path(path)))
    print(json.dumps(told(Path(path))))
