"""Markets that repeat recorded candles or trades.

A tape is a CSV file, plain or gzipped, with one of two headers: candles
(``timestamp_ms,open,high,low,close,volume``) or trades
(``timestamp_ms,id,type,side,price,amount,cost``).
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import random
import re
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import NoReturn

from marketdata.sim.markets.bars import DAY, HOUR, MINUTE, Bar, Grid, Trade, of_trades
from marketdata.sim.markets.listings import MARKETS, Listing, listings
from marketdata.sim.markets.market import Market, between
from marketdata.sim.markets.prices import name_key

CANDLES = ["timestamp_ms", "open", "high", "low", "close", "volume"]
TRADES = ["timestamp_ms", "id", "type", "side", "price", "amount", "cost"]

_NAME = re.compile(r"([a-z0-9]+)_([A-Z0-9]+)_([A-Z0-9]+)-(\w+)\.csv(?:\.gz)?")
_TIMEFRAME = re.compile(r"([1-9]\d*)([mhd])")
_UNITS = {"m": MINUTE, "h": HOUR, "d": DAY}


@dataclass(frozen=True, slots=True)
class Tape:
    """A recording, and what it is a recording of.

    ``exchange``, ``pair`` (``BASE/QUOTE``) and ``timeframe`` (``1m``, ``4h``, ``1d``; of no use
    for trades) are read from a file name such as ``binance_BTC_USDT-1m.csv.gz`` where they are
    None.
    """

    path: Path | str
    exchange: str | None = None
    pair: str | None = None
    timeframe: str | None = None


class TapeMarket(Market):
    """One recorded market; ``until`` is where the recording ends, in Unix milliseconds."""

    fills = False
    last = None
    until: int

    def __init__(self, listing: Listing, scales: tuple[int, int], step: int, bars: list[Bar]):
        self.listing = listing
        self.price_scale, self.amount_scale = scales
        self.levels = (
            *(longer for longer in (DAY, HOUR) if longer > step and not longer % step),
            step,
        )
        self.first = bars[0].start
        self._bars = {step: bars}
        self._key = name_key(listing.pair)
        traded = sum(bar.trades for bar in bars)
        self.usual_lots = sum(bar.volume for bar in bars) // max(1, traded)
        self.usual_price = bars[0].open

    def level(self, step: int, start: int, stop: int) -> list[Bar]:
        """Look up what was recorded, grouping it once for each longer step."""
        if step not in self._bars:
            self._bars[step] = Grid(step).group(self._bars[self.block])
        return between(self._bars[step], start, stop)

    def dice(self, *key: int) -> random.Random:
        """Seed by the pair and ``key``."""
        number = self._key
        for part in key:
            number = number << 64 | part
        return random.Random(number)  # noqa: S311 a repeatable market, no secret


class CandleTape(TapeMarket):
    """Recorded candles. Their trades are made up: at most four, at open, low, high and close."""

    ticks = False

    def __init__(self, listing: Listing, scales: tuple[int, int], step: int, rows: list[list[int]]):
        bars: list[Bar] = []
        trade_id = 0
        for start, opening, high, low, close, volume in rows:
            parts = _parts(opening, high, low, close, volume)
            bars.append(
                Bar(
                    start,
                    opening,
                    high,
                    low,
                    close,
                    volume,
                    sum([price * amount for price, amount in parts]),
                    len(parts),
                    trade_id,
                    trade_id + len(parts) - 1,
                )
            )
            trade_id += len(parts)
        super().__init__(listing, scales, step, bars)
        self.until = bars[-1].start + step

    def block_trades(self, block: Bar) -> list[Trade]:
        """Make trades at the open, the extremes and the close."""
        parts = _parts(block.open, block.high, block.low, block.close, block.volume)
        trades: list[Trade] = []
        before = block.open
        for index, (price, amount) in enumerate(parts):
            ms = block.start + self.block * index // len(parts)
            buy = price >= before
            trades.append(Trade(block.first_id + index, ms * 1_000_000, price, amount, buy))
            before = price
        return trades

    def block_of(self, trade_id: int) -> int:
        """Look up the candle whose trades count up to ``trade_id``."""
        bars = self._bars[self.block]
        index = bisect_left(bars, trade_id, key=lambda bar: bar.last_id)
        return bars[index].start if index < len(bars) else self.until


class TradeTape(TapeMarket):
    """Recorded trades; minutes without any have no candle."""

    ticks = True

    def __init__(self, listing: Listing, scales: tuple[int, int], trades: list[Trade]) -> None:
        self._trades_by_time = trades
        self._ids = [trade.id for trade in trades]
        super().__init__(listing, scales, MINUTE, list(_minutes(trades)))
        self.until = trades[-1].ms

    def block_trades(self, block: Bar) -> list[Trade]:
        """Look up the trades of a minute."""
        low = bisect_left(self._ids, block.first_id)
        return self._trades_by_time[low : low + block.trades]

    def block_of(self, trade_id: int) -> int:
        """Look up the minute of the trade."""
        index = bisect_left(self._ids, trade_id)
        if index == len(self._ids):
            return self.until + 1
        ms = self._trades_by_time[index].ms
        return ms - ms % MINUTE


def load(tapes: Iterable[Tape | Path | str]) -> dict[str, dict[str, TapeMarket]]:
    """Read recordings and return their markets by exchange and pair.

    Raises ValueError, naming the file and the line, for what cannot be read, and for two
    recordings of one market.
    """
    found: dict[str, dict[str, TapeMarket]] = {}
    for tape in tapes:
        exchange, market = _read(tape if isinstance(tape, Tape) else Tape(tape))
        markets = found.setdefault(exchange, {})
        if market.listing.pair in markets:
            raise ValueError(f"two tapes for {market.listing.pair} on {exchange}")
        markets[market.listing.pair] = market
    return found


def digest(tapes: Iterable[Tape | Path | str]) -> str:
    """Return a short text that tells these recordings from others."""
    summary = hashlib.blake2b(digest_size=6)
    for tape in tapes:
        path = Path(tape.path if isinstance(tape, Tape) else tape)
        summary.update(path.name.encode() + path.read_bytes())
    return summary.hexdigest()


def _read(tape: Tape) -> tuple[str, TapeMarket]:
    path = Path(tape.path)
    named = _NAME.fullmatch(path.name)
    exchange = tape.exchange or (named and named[1])
    pair = tape.pair or (named and f"{named[2]}/{named[3]}")
    if not exchange or not pair:
        raise ValueError(
            f"{path}: a tape is called EXCHANGE_BASE_QUOTE-TIMEFRAME.csv, or its exchange and "
            "pair are given"
        )
    if exchange not in MARKETS:
        raise ValueError(f"{path}: the exchange must be one of {MARKETS}, was {exchange!r}")
    lines = _lines(path)
    header = next(lines, (1, []))[1]
    if header == CANDLES:
        step = _step(path, tape.timeframe or (named[4] if named else ""))
        scales, candles = _candles(path, lines, step)
        return exchange, CandleTape(
            _listing(exchange, pair, scales, candles[0][0]), scales, step, candles
        )
    if header == TRADES:
        scales, trades = _trades(path, lines)
        return exchange, TradeTape(_listing(exchange, pair, scales, trades[0].ms), scales, trades)
    raise ValueError(
        f"{path}:1: the header must be {','.join(CANDLES)} or {','.join(TRADES)}, "
        f"was {','.join(header)}"
    )


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    opener = gzip.open if path.suffix == ".gz" else open
    number = 0
    try:
        with opener(path, "rt", encoding="ascii", newline="") as file:
            for number, row in enumerate(csv.reader(file), 1):
                if row:
                    yield number, row
    except (gzip.BadGzipFile, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path}:{number + 1}: cannot be read: {error}") from error


def _step(path: Path, timeframe: str) -> int:
    match = _TIMEFRAME.fullmatch(timeframe)
    if match is None:
        raise ValueError(f"{path}: the timeframe of a tape is like 1m, 4h or 1d, was {timeframe!r}")
    return int(match[1]) * _UNITS[match[2]]


def _candles(
    path: Path, lines: Iterator[tuple[int, list[str]]], step: int
) -> tuple[tuple[int, int], list[list[int]]]:
    rows = _checked(path, lines, len(CANDLES))
    scales = _scale(rows, (1, 2, 3, 4)), _scale(rows, (5,))
    result: list[list[int]] = []
    before = -1
    for number, row in rows:
        start = _time(path, number, row[0])
        prices = [_units(path, number, text, scales[0]) for text in row[1:5]]
        opening, high, low, close = prices
        if not low <= min(opening, close) <= max(opening, close) <= high or low == 0:
            _fail(path, number, f"high and low must enclose open and close, was {','.join(row)}")
        if start <= before or start % step:
            _fail(path, number, f"time must rise in whole timeframes, was {row[0]}")
        result.append([start, *prices, _units(path, number, row[5], scales[1])])
        before = start
    return scales, result


def _trades(
    path: Path, lines: Iterator[tuple[int, list[str]]]
) -> tuple[tuple[int, int], list[Trade]]:
    rows = _checked(path, lines, len(TRADES))
    scales = _scale(rows, (4,)), _scale(rows, (5,))
    result: list[Trade] = []
    nanos, last_id = -1, -1
    for number, row in rows:
        if row[3] not in ("buy", "sell"):
            _fail(path, number, f"side must be buy or sell, was {row[3]!r}")
        trade_id = _time(path, number, row[1])
        moment = _time(path, number, row[0]) * 1_000_000
        if trade_id <= last_id or moment // 1_000_000 < nanos // 1_000_000:
            _fail(path, number, f"ids and times must rise, was {row[1]} at {row[0]}")
        nanos, last_id = max(moment, nanos + 1), trade_id
        price = _units(path, number, row[4], scales[0])
        amount = _units(path, number, row[5], scales[1])
        result.append(Trade(trade_id, nanos, price, amount, row[3] == "buy"))
    return scales, result


def _checked(
    path: Path, lines: Iterator[tuple[int, list[str]]], width: int
) -> list[tuple[int, list[str]]]:
    rows = list(lines)
    for number, row in rows:
        if len(row) != width:
            _fail(path, number, f"a row has {width} fields, was {len(row)}")
    if not rows:
        raise ValueError(f"{path}: the tape is empty")
    return rows


def _scale(rows: Sequence[tuple[int, list[str]]], columns: Sequence[int]) -> int:
    """Return the most decimals that any number in ``columns`` has."""
    most = 0
    for _, row in rows:
        for column in columns:
            text = row[column]
            point = text.find(".")
            if "e" in text or "E" in text:
                text = _plain(text)
                point = text.find(".")
            if point >= 0:
                most = max(most, len(text.rstrip("0")) - point - 1)
    return most


def _units(path: Path, number: int, text: str, scale: int) -> int:
    whole, point, fraction = text.partition(".")
    if not whole.isdecimal() or (point and not fraction.isdecimal()):
        whole, point, fraction = _plain(text).partition(".")
        if not whole.isdecimal() or (point and not fraction.isdecimal()):
            _fail(path, number, f"not a number that a candle or trade can have: {text!r}")
    return int(whole + fraction[:scale].ljust(scale, "0"))


def _plain(text: str) -> str:
    try:
        return format(Decimal(text), "f")
    except InvalidOperation:
        return text


def _time(path: Path, number: int, text: str) -> int:
    if not text.isdecimal():
        _fail(path, number, f"not a whole number: {text!r}")
    return int(text)


def _fail(path: Path, number: int, message: str) -> NoReturn:
    raise ValueError(f"{path}:{number}: {message}")


def _listing(exchange: str, pair: str, scales: tuple[int, int], since: int) -> Listing:
    """Return how the exchange lists the pair, or what the numbers themselves suggest."""
    for listing in listings(exchange):
        if listing.pair == pair and listing.active:
            return listing
    base, _, quote = pair.partition("/")
    return Listing(base, quote, min(scales[0], 12), min(scales[1], 8), 1.0, 1, since)


def _parts(opening: int, high: int, low: int, close: int, volume: int) -> list[tuple[int, int]]:
    """Return prices and amounts that make a candle: through the nearer extreme first."""
    if not volume:
        return []
    middle = (low, high) if close >= opening else (high, low)
    prices = [opening]
    for price in (*middle, close):
        if price != prices[-1]:
            prices.append(price)
    share = volume // len(prices)
    amounts = [share] * len(prices)
    amounts[0] += volume - share * len(prices)
    return list(zip(prices, amounts, strict=True))


def _minutes(trades: list[Trade]) -> Iterator[Bar]:
    low = 0
    while low < len(trades):
        start = trades[low].ms - trades[low].ms % MINUTE
        high = bisect_left(trades, start + MINUTE, low, key=lambda trade: trade.ms)
        yield of_trades(start, trades[low:high])
        low = high
