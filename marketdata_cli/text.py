"""Answers as text for programs: JSON, JSON lines and CSV, with full precision."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from marketdata.models import Candles, OrderBook, Record
    from marketdata.models.aggregates import ConsolidatedOrderBook
    from marketdata.operations import Operation

    Answer: TypeAlias = Record | list[Record] | tuple[Record, ...]

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d*)?(?:[eE][-+]?\d+)?")
_NEVER = (math.inf, math.inf)
_LEVEL = ("side", "price", "size")
_QUOTED = (*_LEVEL, "source")
_BAR = ("time", "open", "high", "low", "close", "volume", "trades")


class Format(StrEnum):
    """The forms that an answer can be written in."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def as_json(answer: Answer) -> str:
    """Write an answer as one JSON value."""
    if isinstance(answer, list | tuple):
        return "[" + ",\n".join(record.to_json() for record in _with_errors(answer)) + "]\n"
    return answer.to_json() + "\n"


def as_jsonl(answer: Answer) -> str:
    """Write one JSON object a line: a record, a bar, a level, an exchange that is compared."""
    from marketdata.models import Candles, OrderBook
    from marketdata.models.aggregates import Comparison, ConsolidatedOrderBook

    match answer:
        case list() | tuple():
            lines: Iterable[str] = (record.to_json() for record in _with_errors(answer))
        case Comparison():
            lines = (row.to_json() for row in answer.rows)
        case Candles():
            lines = _bar_objects(answer)
        case OrderBook():
            lines = (
                json.dumps({"side": side, "price": price, "size": size}, separators=(",", ":"))
                for side, price, size in _levels(answer)
            )
        case ConsolidatedOrderBook():
            lines = (
                json.dumps(dict(zip(_QUOTED, row, strict=True)), separators=(",", ":"))
                for row in _quoted(answer)
            )
        case _:
            lines = (answer.to_json(),)
    return "".join(line + "\n" for line in lines)


def as_csv(operation: Operation, answer: Answer, *, raw: bool = False) -> str:
    """Write a header and one row for each record, bar, level or exchange that is compared.

    A text that a spreadsheet would calculate gets an apostrophe before it, unless ``raw``.
    """
    import marketdata as md

    output = io.StringIO()
    writer = _Rows(output, raw=raw)
    match answer:
        case md.Candles():
            writer.writerow(_BAR)
            writer.writerows(_bar_rows(answer))
        case md.OrderBook():
            writer.writerow(_LEVEL)
            writer.writerows(_levels(answer))
        case md.ConsolidatedOrderBook():
            writer.writerow(_QUOTED)
            writer.writerows(_quoted(answer))
        case md.Comparison():
            _write(writer, md.ComparisonRow, answer.rows)
        case _:
            records = answer if isinstance(answer, list | tuple) else [answer]
            _write(writer, _kind(operation), records, getattr(answer, "errors", ()))
    return output.getvalue()


class _Rows:
    """Writes rows of CSV that no spreadsheet runs."""

    def __init__(self, output: io.StringIO, *, raw: bool) -> None:
        self._writer = csv.writer(output, lineterminator="\n")
        self._raw = raw

    def writerow(self, row: Iterable[Any]) -> None:
        self._writer.writerow(row if self._raw else map(_inert, row))

    def writerows(self, rows: Iterable[Iterable[Any]]) -> None:
        for row in rows:
            self.writerow(row)


def _inert(value: Any) -> Any:
    """Put an apostrophe before a text that a spreadsheet takes for a formula; never a number."""
    if isinstance(value, str) and value[:1] in _FORMULA and not _NUMBER.fullmatch(value):
        return f"'{value}"
    return value


def _with_errors(answer: Iterable[Record]) -> list[Record]:
    """Give the records, and behind them a row with a code for each that could not be had."""
    return [*answer, *getattr(answer, "errors", ())]


def _write(
    writer: _Rows, kind: type[Record], records: Iterable[Record], errors: Sequence[Record] = ()
) -> None:
    header = [*_fields(kind), *(("code", "message") if errors else ())]
    writer.writerow(header)
    writer.writerows(_cells(header, record) for record in (*records, *errors))


_OF_BOOK = ("exchange", "pair", "timestamp", "receivedAt", "sequence", "stale")
_OF_CANDLES = ("exchange", "pair", "timeframe", "receivedAt", "stale")


def stream_header(operation: Operation) -> str:
    """Write the CSV header of records that come one after the other.

    Levels and bars stand behind what tells whose they are.
    """
    match operation.record:
        case "OrderBook":
            return ",".join((*_OF_BOOK, *_LEVEL)) + "\n"
        case "Candles":
            return ",".join((*_OF_CANDLES, *_BAR, "forming")) + "\n"
    return ",".join(_fields(_kind(operation))) + "\n"


def stream_rows(operation: Operation, records: Iterable[Record], *, raw: bool = False) -> str:
    """Write CSV rows under `stream_header`: one for each record, level or bar.

    ``raw`` is that of `as_csv`.
    """
    import marketdata as md

    output = io.StringIO()
    writer = _Rows(output, raw=raw)
    for record in records:
        match record:
            case md.OrderBook():
                whose = _cells(_OF_BOOK, record.model_copy(update={"bids": (), "asks": ()}))
                writer.writerows([*whose, *level] for level in _levels(record))
            case md.Candles():
                whose = _cells(_OF_CANDLES, record)
                last = len(record) - 1
                for index, row in enumerate(_bar_rows(record)):
                    forming = _cell(record.forming and index == last)
                    writer.writerow([*whose, *row, forming])
            case _:
                writer.writerow(_cells(_fields(_kind(operation)), record))
    return output.getvalue()


def _kind(operation: Operation) -> type[Record]:
    import marketdata as md

    kind: type[Record] = getattr(md, operation.record)
    return kind


def _fields(kind: type[Record]) -> list[str]:
    return [field.alias or name for name, field in kind.model_fields.items()]


def _cells(header: Iterable[str], record: Record) -> list[Any]:
    values = record.to_dict()
    return [_cell(values.get(name)) for name in header]


def _cell(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case [str() | int() | float(), *_]:
            return " ".join(map(str, value))
        case list() | dict():
            return json.dumps(value, separators=(",", ":")) if value else ""
    return value


def _number(value: float | Decimal | None) -> float | str | None:
    """Give a Decimal as text, which is what it is in JSON, and never with an exponent."""
    return f"{value:f}" if isinstance(value, Decimal) else value


def _levels(book: OrderBook) -> Iterator[tuple[str, float | str | None, float | str | None]]:
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for price, size in levels:
            yield side, _number(price), _number(size)


def _quoted(book: ConsolidatedOrderBook) -> Iterator[tuple[Any, ...]]:
    """Give a row for each source of each level."""
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for price, _, by in levels:
            for source, size in by:
                yield side, _number(price), _number(size), source


def _bar_rows(record: Candles) -> Iterator[tuple[Any, ...]]:
    for time, *prices, volume, trades in record.columns.rows():
        yield _iso(time), *map(_number, prices), _number(volume), trades


def _bar_objects(record: Candles) -> Iterator[str]:
    """Write each bar as `Candle.to_json` would, without making a record of each."""
    last = len(record) - 1
    spans = iter([(one.start.timestamp(), one.end.timestamp()) for one in record.filled or ()])
    start, end = next(spans, _NEVER)
    for index, row in enumerate(record.columns.rows()):
        time, opened, high, low, close, volume, trades = row
        counted = "" if volume is None else f',"volume":{_json(volume)}'
        if trades is not None:
            counted += f',"trades":{trades}'
        forming = "true" if record.forming and index == last else "false"
        while time >= end * 1000:
            start, end = next(spans, _NEVER)
        filled = "true" if time >= start * 1000 else "false"
        yield (
            f'{{"openTime":"{_iso(time)}","open":{_json(opened)},"high":{_json(high)},'
            f'"low":{_json(low)},"close":{_json(close)}{counted},'
            f'"forming":{forming},"filled":{filled}}}'
        )


def _json(value: float | Decimal) -> str:
    return f'"{value:f}"' if isinstance(value, Decimal) else repr(value)


def _iso(milliseconds: int) -> str:
    seconds, rest = divmod(milliseconds, 1000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
    return f"{text}.{rest:03}000Z" if rest else f"{text}Z"
