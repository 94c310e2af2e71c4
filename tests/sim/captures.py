"""Converts public recordings to our format."""

import ast
import gzip
import json
import re
from collections.abc import Iterator
from math import inf
from pathlib import Path

from inside.recordings import Event, Writer

_EXCHANGES = {
    "BITSTAMP": "bitstamp",
    "COINBASE": "coinbaseexchange",
    "HUOBI": "htx",
    "KUCOIN": "kucoin",
    "OKX": "okx",
}
_REST = re.compile(r"(https?://\S+) -> ([\d.]+): (.*)", re.DOTALL)
_OPENED = re.compile(r"(wss?://\S+) <-> ([\d.]+)\s*")
_SENT = re.compile(r"(wss?://\S+) <- ([\d.]+): (.*)", re.DOTALL)
_GOT = re.compile(r"([\d.]+): (.*)", re.DOTALL)


def binance_recording(source_dir: Path, target: Path, seconds: float = inf) -> Path:
    """Write `ws/binance-spot-btcusdt-20240808.gz` of the folder of recorded data to ``target``.

    Of its first ``seconds``, or all.
    """
    url = "wss://stream.binance.com:9443/stream"
    rest = "https://api.binance.com/api/v3/depth?symbol=BTCUSDT&limit=1000"
    lines = list(_lines(source_dir / "ws" / "binance-spot-btcusdt-20240808.gz"))
    streams: dict[str, None] = {}
    for line in lines:
        body = json.loads(line.partition(" ")[2])
        if "stream" in body:
            streams[body["stream"]] = None
    asked = json.dumps({"method": "SUBSCRIBE", "params": list(streams), "id": 1})
    first = int(lines[0].partition(" ")[0])
    with Writer(target) as writer:
        writer.write(Event(first - 2_000_000, 1, "open", exchange="binance", url=url))
        writer.write(Event(first - 1_000_000, 1, "sent", asked))
        at = first
        for line in lines:
            time, _, text = line.partition(" ")
            at = int(time)
            if at - first > seconds * 1e9:
                break
            if text.startswith('{"lastUpdateId"'):
                writer.write(Event(at, 0, "rest", text, "binance", rest, 200))
            else:
                writer.write(Event(at, 1, "got", text))
        writer.write(Event(at, 1, "lost"))
    return target


def cryptofeed_recording(source_dir: Path, name: str, target: Path) -> Path:
    """Write the files of ``name`` in `ws/cryptofeed` to ``target``; packed frames unpacked."""
    exchange = _EXCHANGES[name]
    events: list[Event] = []
    for number, path in enumerate(sorted((source_dir / "ws" / "cryptofeed").glob(f"{name}.*"))):
        for line in _lines(path):
            if match := _REST.fullmatch(line):
                url, time, text = match.groups()
                events.append(Event(_nanos(time), 0, "rest", text, exchange, url, 200))
            elif match := _OPENED.fullmatch(line):
                url, time = match.groups()
                events.append(Event(_nanos(time), number, "open", exchange=exchange, url=url))
            elif match := _SENT.fullmatch(line):
                events.append(Event(_nanos(match[2]), number, "sent", match[3]))
            elif match := _GOT.fullmatch(line):
                events.append(Event(_nanos(match[1]), number, "got", _unpacked(match[2])))
    with Writer(target) as writer:
        for event in sorted(events, key=lambda event: event.time):
            writer.write(event)
    return target


def _lines(path: Path) -> Iterator[str]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


def _unpacked(text: str) -> str:
    if not text.startswith("b'") and not text.startswith('b"'):
        return text
    return gzip.decompress(ast.literal_eval(text)).decode()


def _nanos(text: str) -> int:
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))
