"""Half a minute of six exchanges, as others have recorded it: each trade once, each book right.

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
from sim.captures import binance_recording, cryptofeed_recording

import marketdata as md
from marketdata._exchanges.recording import Event, Writer, read

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
    if kind == "trade":
        quote = next(one for one in ("usdt", "husd", "btc", "eth") if market.endswith(one))
        pair = f"{market.removesuffix(quote)}/{quote}".upper()
        for data in frame["tick"]["data"]:
            truth.trade(pair, data["id"], data["price"], data["amount"])


# ---------------------------------------------------------------------------- as they are today


def bitstamp_today(event: Event) -> Iterator[Event]:
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


def kucoin_today(event: Event) -> Iterator[Event]:
    if event.url.endswith("/v1/symbols"):
        yield event._replace(url=event.url.replace("/v1/", "/v2/"))
        server = {"endpoint": "wss://push-private.kucoin.com/endpoint", "pingInterval": 18_000}
        token = {"code": "200000", "data": {"token": "TOKEN", "instanceServers": [server]}}
        url = "https://api.kucoin.com/api/v1/bullet-public"
        yield event._replace(url=url, text=json.dumps(token))
    elif "/v3/market/orderbook/level2?" in event.url:
        url = event.url.replace("/v3/market/orderbook/level2?", "/v1/market/orderbook/level2_100?")
        yield event._replace(url=f"{url}&level=2")
    else:
        yield event


def htx_today(event: Event) -> Iterator[Event]:
    if event.url.endswith("/v1/common/symbols"):
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
    else:
        yield event


@dataclass(frozen=True)
class Capture:
    """How one exchange's frames are read, and what of the recording has changed since."""

    name: str
    note: Callable[[Event, Truth], None]
    today: Callable[[Event], Iterator[Event]] = lambda event: iter((event,))
    books: bool = True
    """Whether ccxt subscribes to the book channel that was recorded."""

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
    Capture("HUOBI", htx, htx_today, books=False),
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
            for one in capture.today(event):
                writer.write(one)
    pairs = sorted(filter(truth.well_known, truth.books)) if capture.books else []
    trading = sorted({pair for pair, *_ in truth.trades})

    async def work() -> None:
        client = md.AsyncClient(numbers="decimal")
        count = len(pairs) + len(trading)
        async with client.replay(source, speed, wait_for=count) as replay:
            watches = [replay.watch_trades(trading)]
            if pairs:
                watches.append(replay.watch_orderbook(pairs, DEPTH, delivery="every", buffer=10**5))
            watching = asyncio.gather(*map(all_of, watches))
            await until(lambda: len(replay.streams()) == count, what=replay.streams)
            streams = replay.streams()
            while replay.streams():
                streams = replay.streams()
                await asyncio.sleep(0.01)
            trades, *books = await watching
        found = [(one.pair, one.id, one.price, one.amount) for one in trades]
        assert sorted(found) == sorted(truth.trades)
        last = {book.pair: book for book in books[0]} if books else {}
        assert set(last) == set(pairs)
        for pair, book in last.items():
            deepest = book.max_depth or DEPTH
            assert (list(book.bids), list(book.asks)) == truth.levels(pair, deepest), pair
        assert not any(crossed(book) for each in books for book in each)
        for stream in streams:
            assert (stream.gaps, stream.reconnects, stream.error) == (0, 0, None), stream
            assert stream.unreadable == 0

    run(work())
