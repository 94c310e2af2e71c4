"""What holds for every answer, whichever exchange gave it."""

import functools
import json
from collections.abc import Set
from itertools import pairwise
from typing import Any

import expected
import jsonschema

from marketdata.models import Candles, OrderBook, Quote, Record, Ticker


def check(record: Record, *, depth: int | None = None, wire: Set[str] | None = None) -> None:
    """Raise AssertionError where a record breaks what all records of its kind promise.

    ``wire`` has the digits of the numbers that it was made of, where they are known.
    """
    _check_json(record)
    match record:
        case OrderBook():
            _check_book(record, depth)
        case Candles():
            _check_candles(record)
        case Ticker():
            _check_ticker(record, wire or set())
        case Quote():
            assert record.bid is None or record.ask is None or record.bid < record.ask


@functools.cache
def _validator(kind: type[Record]) -> Any:
    schema = kind.json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def _check_json(record: Record) -> None:
    sent = record.to_dict()
    assert json.loads(record.to_json()) == sent
    _validator(type(record)).validate(sent)
    assert not [name for name in _keys(sent) if "_" in name or name[0].isupper()]
    # Rows of candles have a null where there is no count; nothing else is null.
    assert None not in [value for name, value in _items(sent) if name != "candles"]
    assert type(record).model_validate_json(record.to_json()) == record


def _items(sent: Any) -> Any:
    match sent:
        case dict():
            for name, value in sent.items():
                yield name, value
                yield from _items(value)
        case list():
            for value in sent:
                yield from _items(value)


def _keys(sent: Any) -> list[str]:
    return [name for name, _ in _items(sent)]


def _check_book(book: OrderBook, depth: int | None) -> None:
    bids, asks = [row[0] for row in book.bids], [row[0] for row in book.asks]
    assert all(better > worse for better, worse in pairwise(bids)), "bids do not descend"
    assert all(better < worse for better, worse in pairwise(asks)), "asks do not ascend"
    assert not bids or not asks or bids[0] < asks[0], "the book is crossed"
    assert all(price > 0 and size >= 0 for price, size in book.bids + book.asks)
    assert depth is None or max(len(bids), len(asks)) <= depth
    assert book.best_bid == (book.bids[0] if bids else None)
    assert book.best_ask == (book.asks[0] if asks else None)


def _check_candles(bars: Candles) -> None:
    columns = bars.columns
    times = list(columns.time)
    assert all(earlier < later for earlier, later in pairwise(times)), "not ascending"
    for time, opened, high, low, close, volume, trades in columns:
        assert low <= min(opened, close) <= max(opened, close) <= high, time
        assert volume is None or volume >= 0, time
        assert trades is None or trades >= 0, time
    holes = sum(hole.bars for hole in bars.missing)
    if not times:
        return
    first = min([times[0], *(_ms(hole.start) for hole in bars.missing)])
    last = max([times[-1] + 1, *(_ms(hole.end) for hole in bars.missing)])
    grid = expected.openings(times, bars.timeframe, first, last)
    assert set(times) <= set(grid), "off the grid"
    assert len(times) + holes == len(grid), "bars and holes do not add up"
    if bars.timeframe[-1] in "smh":
        assert grid[0] % (grid[1] - grid[0] if len(grid) > 1 else 1000) == 0, "no grid of UTC's"


def _ms(moment: Any) -> int:
    return round(moment.timestamp() * 1000)


def _check_ticker(ticker: Ticker, wire: Set[str]) -> None:
    assert ticker.close == ticker.last
    if ticker.low is not None and ticker.high is not None and ticker.last is not None:
        assert ticker.low <= ticker.last <= ticker.high
    if ticker.low is not None and ticker.high is not None and ticker.vwap is not None:
        assert ticker.low <= ticker.vwap <= ticker.high
    if ticker.bid is not None and ticker.ask is not None:
        assert ticker.bid < ticker.ask
    # What an exchange says in per cent is of another price where ccxt had to work its open out.
    is_of_another = (
        ticker.percentage is not None
        and expected.digits(ticker.percentage) in wire
        and expected.digits(ticker.open or 0) not in wire
    )
    if ticker.change is not None and ticker.open and not is_of_another:
        # Exchanges round their percentages to two or three places.
        assert abs(ticker.change / ticker.open * 100 - (ticker.percentage or 0)) < 0.01
    if ticker.open is not None and ticker.last is not None and ticker.change is not None:
        assert abs(ticker.last - ticker.open - ticker.change) <= 1e-9 * ticker.last
