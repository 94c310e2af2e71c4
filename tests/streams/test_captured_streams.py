"""Half a minute of six exchanges from public recordings: each trade once, each book correct.

What has to come out is worked out here from the frames, without the library.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from math import inf
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from inside.recordings import Event, Writer, read
from sim.captures import binance_recording, cryptofeed_recording

import marketdata as md

from .live import crossed, run, until

DEPTH = 1_000
MOST_WAITED_FOR = 7
Side = dict[Decimal, Decimal]


@dataclass
class Truth:
    """What the frames of one capture say."""

    books: dict[str, tuple[Side, Side]] = field(default_factory=dict)
    sequences: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    waiting: dict[str, list[Any]] = field(default_factory=lambda: defaultdict(list))
    counts: dict[str, int] = field(default_factory=dict)
    trades: list[tuple[Any, ...]] = field(default_factory=list)
    """Pair, id, price and amount."""

    def begin(self, pair: str, bids: Iterable[Any], asks: Iterable[Any]) -> None:
        self.books[pair] = ({}, {})
        self.change(pair, bids, asks)

    def change(self, pair: str, bids: Iterable[Any], asks: Iterable[Any]) -> None:
        for side, rows in zip(self.books[pair], (bids, asks), strict=True):
            for price, size, *_ in rows:
                if Decimal(str(size)):
                    side[Decimal(str(price))] = Decimal(str(size))
                else:
                    side.pop(Decimal(str(price)), None)

    def begin_at(self, pair: str, sequence: int, bids: Any, asks: Any) -> None:
        """Begin with a requested book; changes before it are of no use, those behind it are."""
        if pair in self.books:
            return
        self.begin(pair, bids, asks)
        self.sequences[pair] = sequence
        for number, *both in self.waiting.pop(pair, []):
            self.change_at(pair, number, *both)

    def change_at(self, pair: str, sequence: int, bids: Any, asks: Any) -> None:
        self.counts[pair] = self.counts.get(pair, 0) + 1
        if pair not in self.books:
            self.waiting[pair].append((sequence, bids, asks))
        elif sequence > self.sequences[pair]:
            self.change(pair, bids, asks)

    def well_known(self, pair: str) -> bool:
        """Tell whether there are as many changes as ccxt waits for before it asks for the book."""
        return pair not in self.sequences or self.counts.get(pair, 0) > MOST_WAITED_FOR

    def trade(self, pair: str, number: Any, price: Any, amount: Any) -> None:
        self.trades.append((pair, str(number), Decimal(str(price)), Decimal(str(amount))))

    def levels(self, pair: str, depth: int) -> tuple[Any, Any]:
        bids, asks = self.books[pair]
        return (
            [(p, bids[p]) for p in sorted(bids, reverse=True)][:depth],
            [(p, asks[p]) for p in sorted(asks)][:depth],
        )


def binance(event: Event, truth: Truth) -> None:
    body = json.loads(event.text)
    if event.kind == "rest":
        truth.begin_at("BTC/USDT", body["lastUpdateId"], body["bids"], body["asks"])
        return
    data = body["data"]
    if data.get("e") == "depthUpdate":
        truth.change_at("BTC/USDT", data["u"], data["b"], data["a"])
    elif data.get("e") == "trade":
        truth.trade("BTC/USDT", data["t"], data["p"], data["q"])


def coinbase(event: Event, truth: Truth) -> None:
    frame = json.loads(event.text)
    if event.kind == "rest":
        return
    pair = frame.get("product_id", "").replace("-", "/")
    if frame["type"] == "snapshot":
        truth.begin(pair, frame["bids"], frame["asks"])
    elif frame["type"] == "l2update":
        changes = frame["changes"]
        bids = [row for side, *row in changes if side == "buy"]
        truth.change(pair, bids, [row for side, *row in changes if side == "sell"])
    elif frame["type"] == "match":
        truth.trade(pair, frame["trade_id"], frame["price"], frame["size"])


def okx(event: Event, truth: Truth) -> None:
    frame = json.loads(event.text)
    about = frame.get("arg", {})
    if "data" not in frame or about.get("instId", "").count("-") != 1:
        return
    pair = about["instId"].replace("-", "/")
    for data in frame["data"]:
        if about["channel"] == "books":
            change = truth.begin if frame["action"] == "snapshot" else truth.change
            change(pair, data["bids"], data["asks"])
        elif about["channel"] == "trades":
            truth.trade(pair, data["tradeId"], data["px"], data["sz"])


def bitstamp(event: Event, truth: Truth) -> None:
    body = json.loads(event.text)
    if event.kind == "rest":
        if "/order_book/" in event.url:
            name = urlsplit(event.url).path.strip("/").rpartition("/")[2].upper()
            pair = f"{name[:-3]}/{name[-3:]}"
            truth.begin_at(pair, int(body["microtimestamp"]), body["bids"], body["asks"])
        return
    name = body["channel"].rpartition("_")[2].upper()
    pair, data = f"{name[:-3]}/{name[-3:]}", body["data"]
    if body["event"] == "data":
        truth.change_at(pair, int(data["microtimestamp"]), data["bids"], data["asks"])
    elif body["event"] == "trade":
        truth.trade(pair, data["id"], data["price_str"], data["amount_str"])


def kucoin(event: Event, truth: Truth) -> None:
    body = json.loads(event.text)
    if event.kind == "rest":
        if "/orderbook/" in event.url:
            pair = _renamed(parse_qs(urlsplit(event.url).query)["symbol"][0])
            data = body["data"]
            truth.begin_at(pair, int(data["sequence"]), data["bids"], data["asks"])
        return
    data = body.get("data", {})
    pair = _renamed(data.get("symbol", ""))
    if body.get("subject") == "trade.l2update":
        rows = data["changes"]
        truth.change_at(
            pair, int(data["sequenceEnd"]), _priced(rows["bids"]), _priced(rows["asks"])
        )
    elif body.get("subject") == "trade.l3match":
        truth.trade(pair, data["tradeId"], data["price"], data["size"])


def _renamed(symbol: str) -> str:
    return symbol.replace("-", "/").replace("BCHSV", "BSV")


def _priced(rows: Any) -> list[Any]:
    # KuCoin sends rows of price 0 for changes that have no effect on the book.
    return [row for row in rows if Decimal(row[0])]


def htx(event: Event, truth: Truth) -> None:
    frame = json.loads(event.text)
    _, market, kind, *_ = [*frame.get("ch", "").split("."), "", "", ""]
    quote = next((one for one in ("usdt", "husd", "btc", "eth") if market.endswith(one)), "")
    pair = f"{market.removesuffix(quote)}/{quote}".upper()
    if kind == "depth":
        truth.begin(pair, frame["tick"]["bids"], frame["tick"]["asks"])
    elif kind == "trade":
        for data in frame["tick"]["data"]:
            truth.trade(pair, data["id"], data["price"], data["amount"])


# ---------------------------------------------------------------------------- as they are today


def bitstamp_today(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if "trading-pairs-info" in event.url:
            rows = [
                {
                    "market_symbol": one["url_symbol"],
                    "base_currency": one["name"].partition("/")[0],
                    "counter_currency": one["name"].partition("/")[2],
                    "market_type": "SPOT",
                    "trading": one["trading"],
                    "base_decimals": one["base_decimals"],
                    "counter_decimals": one["counter_decimals"],
                }
                for one in json.loads(event.text)
            ]
            url = "https://www.bitstamp.net/api/v2/markets/"
            yield event._replace(url=url, text=json.dumps(rows))
        elif "/order_book/" in event.url:
            yield event._replace(url=f"{event.url}/")
        else:
            yield event


def kucoin_today(events: Iterable[Event]) -> Iterator[Event]:
    for event in events:
        if event.url.endswith("/v1/symbols"):
            yield event._replace(url=event.url.replace("/v1/", "/v2/"))
            server = {"endpoint": "wss://push-private.kucoin.com/endpoint", "pingInterval": 18_000}
            token = {"code": "200000", "data": {"token": "TOKEN", "instanceServers": [server]}}
            url = "https://api.kucoin.com/api/v1/bullet-public"
            yield event._replace(url=url, text=json.dumps(token))
        elif "/v3/market/orderbook/level2?" in event.url:
            url = event.url.replace(
                "/v3/market/orderbook/level2?", "/v1/market/orderbook/level2_100?"
            )
            yield event._replace(url=f"{url}&level=2")
        else:
            yield event


def htx_today(events: Iterable[Event]) -> Iterator[Event]:
    books: dict[str, tuple[Any, Any]] = {}
    for event in events:
        channel = json.loads(event.text).get("ch", "") if event.kind == "got" else ""
        if event.url.endswith("/v1/common/symbols"):
            yield from _htx_symbols(event)
        elif event.kind == "open":
            yield event
            yield event._replace(connection=FEED, url="wss://api.huobi.pro/feed")
        elif event.kind == "sent" and ".depth." in event.text:
            asked = json.loads(event.text)
            market = asked["sub"].split(".")[1]
            asked = {"sub": f"market.{market}.mbp.400", "id": f"sub {market}"}
            yield event._replace(connection=FEED, text=json.dumps(asked))
        elif ".depth." in channel:
            yield from _htx_changes(event, channel.split(".")[1], books)
        else:
            yield event


FEED = 100
"""The connection of the books, which the recording has on that of the trades."""


def _htx_symbols(event: Event) -> Iterator[Event]:
    rows = [
        {
            "sc": one["symbol"],
            "dn": f"{one['base-currency']}/{one['quote-currency']}",
            "bc": one["base-currency"],
            "qc": one["quote-currency"],
            "state": "online",
            "bcdn": one["base-currency"].upper(),
            "qcdn": one["quote-currency"].upper(),
            "tpp": one["price-precision"],
            "tap": one["amount-precision"],
            "sp": one["symbol-partition"],
            "te": True,
            "whe": False,
            "cd": False,
            "p": [],
        }
        for one in json.loads(event.text)["data"]
    ]
    url = "https://api.huobi.pro/v2/settings/common/symbols"
    yield event._replace(url=url, text=json.dumps({"status": "ok", "data": rows}))
    yield event


def _htx_changes(event: Event, market: str, books: dict[str, Any]) -> Iterator[Event]:
    """Write the change from one whole book to the next, and the first as a requested book."""
    tick = json.loads(event.text)["tick"]
    channel, sides = f"market.{market}.mbp.400", (tick["bids"], tick["asks"])
    before, sequence = books.get(market, (sides, tick["version"] - 1))
    books[market] = sides, tick["version"]
    gone = [
        [[price, 0] for price, _ in old if price not in {one for one, _ in new}]
        for old, new in zip(before, sides, strict=True)
    ]
    bids, asks = ([*new, *old] for new, old in zip(sides, gone, strict=True))

    def frame(kind: Any, said: Any) -> Event:
        return event._replace(connection=FEED, kind=kind, text=json.dumps(said))

    first = before is sides
    if first:
        answer = {"id": f"sub {market}", "status": "ok", "subbed": channel, "ts": 1}
        yield frame("got", answer)
        yield frame("sent", {"req": channel, "id": f"req {market}"})
    numbers = {"seqNum": tick["version"], "prevSeqNum": sequence}
    change = {"ch": channel, "ts": tick["ts"], "tick": {**numbers, "bids": bids, "asks": asks}}
    yield frame("got", change)
    if first:
        book = {"seqNum": sequence, "bids": sides[0], "asks": sides[1]}
        answer = {"id": f"req {market}", "rep": channel, "status": "ok", "ts": 1}
        yield frame("got", {**answer, "data": book})


@dataclass(frozen=True)
class Capture:
    """How one exchange's frames are read, and what of the recording has changed since."""

    name: str
    note: Callable[[Event, Truth], None]
    today: Callable[[Iterable[Event]], Iterable[Event]] = lambda events: events

    def recording(self, recorded: Path, target: Path) -> Path:
        if self.name == "BINANCE":
            return binance_recording(recorded, target, seconds=30)
        return cryptofeed_recording(recorded, self.name, target)

    def __str__(self) -> str:
        return self.name


CAPTURES = (
    Capture("BINANCE", binance),
    Capture("COINBASE", coinbase),
    Capture("OKX", okx),
    Capture("BITSTAMP", bitstamp, bitstamp_today),
    Capture("KUCOIN", kucoin, kucoin_today),
    Capture("HUOBI", htx, htx_today),
)


async def all_of(watch: md.AsyncWatch[Any]) -> list[Any]:
    return [record async for record in watch]


@pytest.fixture(scope="module")
def recorded(request: pytest.FixtureRequest) -> Path:
    folder = request.config.getoption("--recorded")
    if not folder:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(folder)


@pytest.mark.parametrize("speed", [1.0] if "CAPTURES_AT_SPEED_1" in os.environ else [20.0, inf])
@pytest.mark.parametrize("capture", CAPTURES, ids=str)
def test_a_capture_gives_each_trade_once_and_its_last_books(
    recorded: Path, tmp_path: Path, capture: Capture, speed: float
) -> None:
    raw = capture.recording(recorded, tmp_path / "raw")
    source, truth = tmp_path / "today", Truth()
    with Writer(source) as writer:
        for event in read(raw):
            if event.kind in ("got", "rest"):
                capture.note(event, truth)
        for event in capture.today(read(raw)):
            writer.write(event)
    pairs = sorted(filter(truth.well_known, truth.books))
    trading = sorted({pair for pair, *_ in truth.trades})

    async def work() -> None:
        client = md.AsyncClient(numbers="decimal")
        count = len(pairs) + len(trading)
        async with client.replay(source, speed, wait_for=count) as replay:
            watching = asyncio.gather(
                all_of(replay.watch_trades(trading)),
                all_of(replay.watch_orderbook(pairs, DEPTH, delivery="every", buffer=10**5)),
            )
            await until(lambda: len(replay.streams()) == count, what=replay.streams)
            streams = replay.streams()
            while replay.streams():
                streams = replay.streams()
                await asyncio.sleep(0.01)
            trades, books = await watching
        found = [(one.pair, one.id, one.price, one.amount) for one in trades]
        assert sorted(found) == sorted(truth.trades)
        last = {book.pair: book for book in books}
        assert set(last) == set(pairs)
        for pair, book in last.items():
            deepest = book.max_depth or DEPTH
            assert (list(book.bids), list(book.asks)) == truth.levels(pair, deepest), pair
        assert not any(map(crossed, books))
        for stream in streams:
            assert (stream.gaps, stream.reconnects, stream.error) == (0, 0, None), stream
            assert stream.unreadable == 0

    run(work())
