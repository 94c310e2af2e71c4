"""Answers as text for programs: JSON, JSON lines and CSV, with full precision."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from marketdata.models import Candles, OrderBook, Record
    from marketdata.models.aggregates import ConsolidatedOrderBook
    from marketdata.operations import Operation

    Answer: TypeAlias = Record | list[Record] | tuple[Record, ...]

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
                for side, price, size in map(_in_json, _levels(answer))
            )
        case ConsolidatedOrderBook():
            lines = (
                json.dumps(dict(zip(_QUOTED, row, strict=True)), separators=(",", ":"))
                for row in map(_in_json, _quoted(answer))
            )
        case _:
            lines = (answer.to_json(),)
    return "".join(line + "\n" for line in lines)


def as_csv(operation: Operation, answer: Answer) -> str:
    """Write a header and one row for each record, bar, level or exchange that is compared."""
    import marketdata as md
    from marketdata.models.frames import qualities
    from marketdata.models.text import csv_header, csv_lines

    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    match answer:
        case md.Candles():
            marks = qualities(answer.columns, answer.filled, answer.quality)
            output.write(csv_header(marked=marks is not None))
            output.writelines(csv_lines(answer.columns, marks))
        case md.OrderBook():
            writer.writerow(_LEVEL)
            writer.writerows(map(_row, _levels(answer)))
        case md.ConsolidatedOrderBook():
            writer.writerow(_QUOTED)
            writer.writerows(map(_row, _quoted(answer)))
        case md.Comparison():
            _write(writer, md.ComparisonRow, answer.rows)
        case _:
            records = answer if isinstance(answer, list | tuple) else [answer]
            _write(writer, _kind(operation), records, getattr(answer, "errors", ()))
    return output.getvalue()


def _with_errors(answer: Iterable[Record]) -> list[Record]:
    """Give the records, and behind them a row with a code for each that could not be had."""
    return [*answer, *getattr(answer, "errors", ())]


def _write(
    writer: Any, kind: type[Record], records: Iterable[Record], errors: Sequence[Record] = ()
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


def stream_rows(operation: Operation, records: Iterable[Record]) -> str:
    """Write CSV rows under `stream_header`: one for each record, level or bar."""
    import marketdata as md
    from marketdata.models.text import csv_lines

    output = io.StringIO()
    writer = csv.writer(output, lineterminator="\n")
    for record in records:
        match record:
            case md.OrderBook():
                whose = _cells(_OF_BOOK, record.model_copy(update={"bids": (), "asks": ()}))
                writer.writerows([*whose, *_row(level)] for level in _levels(record))
            case md.Candles():
                whose = _cells(_OF_CANDLES, record)
                last = len(record) - 1
                for index, line in enumerate(csv_lines(record.columns)):
                    forming = _cell(record.forming and index == last)
                    writer.writerow([*whose, *line.rstrip().split(","), forming])
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


def _row(values: Iterable[Any]) -> list[Any]:
    return list(map(_cell, values))


def _cell(value: Any) -> Any:
    from marketdata.models.text import number

    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case float() | Decimal():
            return number(value)
        case [str() | int() | float(), *_]:
            return " ".join(str(_cell(one)) for one in value)
        case list() | dict():
            return json.dumps(value, separators=(",", ":")) if value else ""
    return value


def _in_json(values: Iterable[Any]) -> list[Any]:
    """Give Decimals as text, which is what they are in JSON, and never with an exponent."""
    return [f"{value:f}" if isinstance(value, Decimal) else value for value in values]


def _levels(book: OrderBook) -> Iterator[tuple[str, float, float]]:
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for price, size in levels:
            yield side, price, size


def _quoted(book: ConsolidatedOrderBook) -> Iterator[tuple[Any, ...]]:
    """Give a row for each source of each level."""
    for side, levels in (("bid", book.bids), ("ask", book.asks)):
        for price, _, by in levels:
            for source, size in by:
                yield side, price, size, source


def _bar_objects(record: Candles) -> Iterator[str]:
    """Write each bar as `Candle.to_json` would, without making a record of each."""
    from marketdata.models.text import time as iso

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
            f'{{"openTime":"{iso(time)}","open":{_json(opened)},"high":{_json(high)},'
            f'"low":{_json(low)},"close":{_json(close)}{counted},'
            f'"forming":{forming},"filled":{filled}}}'
        )


def _json(value: float | Decimal) -> str:
    return f'"{value:f}"' if isinstance(value, Decimal) else repr(value)
