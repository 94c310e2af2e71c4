"""Numbers, times and candles as text for programs, in the same form everywhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from marketdata.models.columns import NAMES, Columns
from marketdata.models.decimals import plain


def number(value: float | Decimal | None) -> str:
    """Write a number with all its digits and without an exponent; nothing for None.

    Floats keep their point: 100.0 is not 100.
    """
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return plain(value)
    text = repr(value)
    if "e" in text:
        text = plain(Decimal(text))
        return text if "." in text or isinstance(value, int) else f"{text}.0"
    return text


def time(milliseconds: int) -> str:
    """Write Unix milliseconds as records do: ISO 8601, in UTC, with a Z."""
    seconds, rest = divmod(milliseconds, 1000)
    text = datetime.fromtimestamp(seconds, UTC).isoformat().removesuffix("+00:00")
    return f"{text}.{rest:03}000Z" if rest else f"{text}Z"


def csv_header(*, marked: bool = False) -> str:
    """Write the header of candles; ``marked`` adds the column ``quality``."""
    return ",".join([*NAMES, *["quality"] * marked]) + "\n"


def csv_cells(columns: Columns) -> Iterator[list[str]]:
    """Write the seven values of each candle."""
    for row in columns.rows():
        yield [time(row[0]), *map(number, row[1:6]), "" if row[6] is None else str(row[6])]


def csv_lines(columns: Columns, marks: Sequence[str | None] | None = None) -> Iterator[str]:
    """Write candles as lines of CSV under `csv_header`, with the mark of each, or None."""
    for index, cells in enumerate(csv_cells(columns)):
        if marks is not None:
            cells.append(marks[index] or "")
        yield ",".join(cells) + "\n"
