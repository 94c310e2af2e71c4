"""Answers as text for programs: JSON, JSON lines and CSV, with full precision."""

from __future__ import annotations

import io
from collections.abc import Iterable
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from marketdata.models import Record
    from marketdata.models.lists import Records
    from marketdata.operations import Operation

    Answer: TypeAlias = Record | Records[Record]


class Format(StrEnum):
    """The formats of answers."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"
    CSV = "csv"


def as_json(answer: Answer) -> str:
    """Write an answer as one JSON value."""
    if isinstance(answer, list):
        return "[" + ",\n".join(one.to_json() for one in (*answer, *answer.errors)) + "]\n"
    return answer.to_json() + "\n"


_OF_BOOK = ("exchange", "pair", "timestamp", "received_at", "sequence", "stale")
_OF_CANDLES = ("exchange", "pair", "timeframe", "received_at", "stale")


def stream_names(operation: Operation) -> list[str]:
    """Return the CSV columns of streamed records.

    The columns of levels and candles follow those of the record that they belong to.
    """
    import marketdata as md
    from marketdata.models.tables import csv_names

    names = csv_names(getattr(md, operation.record))
    match operation.record:
        case "OrderBook":
            return [*_OF_BOOK, *names]
        case "Candles":
            return [*_OF_CANDLES, *names, "forming"]
    return list(names)


def stream_header(operation: Operation) -> str:
    """Write the CSV header of streamed records."""
    return ",".join(stream_names(operation)) + "\n"


def stream_rows(operation: Operation, records: Iterable[Record], *, raw: bool = False) -> str:
    """Write CSV rows under `stream_header`: one for each record, level or candle.

    ``raw`` has the meaning of `to_csv`.
    """
    from marketdata.models.tables import CsvRows, csv_rows

    output = io.StringIO()
    writer = CsvRows(output, raw=raw)
    names = stream_names(operation)
    for record in records:
        writer.write(csv_rows(record, names))
    return output.getvalue()
