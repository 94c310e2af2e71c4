"""Lets records use modules above them, which write, show, draw and resample records.

Those modules import the records, so records cannot import them. `_wiring` sets their names when
`marketdata` is imported, and they are imported when a record first needs them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from pathlib import Path

    import pandas
    import polars
    import pyarrow

    from marketdata._charts.chart import Chart

T = TypeVar("T")


class Tables(Protocol):
    """Answers as tables."""

    def to_pandas(self, answer: Any) -> pandas.DataFrame: ...
    def to_polars(self, answer: Any) -> polars.DataFrame: ...
    def to_arrow(self, answer: Any) -> pyarrow.Table: ...
    def to_parquet(self, answer: Any, path: str | Path) -> None: ...
    def to_csv(
        self, answer: Any, columns: Sequence[str] | None = None, *, raw: bool = False
    ) -> str: ...
    def to_jsonl(self, answer: Any) -> str: ...


class Briefly(Protocol):
    """Answers in one line."""

    def one(self, record: Any) -> str: ...
    def several(self, records: Any, kind: str) -> str: ...


class Charts(Protocol):
    """Records as interactive charts."""

    def of_candles(self, candles: Any, others: tuple[Any, ...]) -> Chart: ...
    def of_record(self, record: Any, what: str) -> Chart: ...


class Parts(Protocol):
    """Slices of candles by time, and longer candles."""

    def between(self, record: Any, start: Any, end: Any) -> slice: ...
    def resampled(self, record: Any, timeframe: str) -> Any: ...


tables: Callable[[], Tables]
briefly: Callable[[], Briefly]
charts: Callable[[], Charts]
parts: Callable[[], Parts]
page: Callable[[Any], str]
"""Writes an answer as HTML."""
plot: Callable[..., Any]
"""Draws candles as a picture."""
