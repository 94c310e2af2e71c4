"""The displays and conversions that records and lists of records share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketdata import _above

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

__all__ = ["Shown", "written"]


class Shown:
    """Something that notebooks show, and that can be handed to other libraries as a table.

    A table has snake_case columns, a row for each record, and times as times. Of an order book the
    rows are its levels, of a comparison the exchanges, of candles the candles.
    """

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame; needs the extra 'frames'."""
        return _above.tables().to_pandas(self)

    def to_polars(self) -> polars.DataFrame:
        """Return a polars DataFrame; needs the extra 'frames'."""
        return _above.tables().to_polars(self)

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table; needs the extra 'frames'."""
        return _above.tables().to_arrow(self)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Hand the rows to any library that speaks the Arrow C stream interface."""
        return self.to_arrow().__arrow_c_stream__(requested_schema)

    def to_parquet(self, path: str | Path) -> None:
        """Write a Parquet file; needs the extra 'frames'."""
        _above.tables().to_parquet(self, path)

    def to_csv(self, path: str | Path | None = None, *, raw: bool = False) -> str | None:
        """Write CSV with a header, numbers without exponents; return the text without a path.

        A text that a spreadsheet would calculate gets an apostrophe before it, unless ``raw``.
        """
        return written(_above.tables().to_csv(self, raw=raw), path)

    def to_jsonl(self, path: str | Path | None = None) -> str | None:
        """Write a JSON object a row, camelCase as in `to_json`; return the text without a path."""
        return written(_above.tables().to_jsonl(self), path)

    def _repr_html_(self) -> str:
        return _above.page(self)

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        bundle = {"text/html": self._repr_html_(), "text/plain": repr(self)}
        return {
            kind: text
            for kind, text in bundle.items()
            if (not include or kind in include) and kind not in (exclude or ())
        }

    def __str__(self) -> str:
        return repr(self)


def written(text: str, path: str | Path | None) -> str | None:
    """Write a text to a file; without a path, return the text."""
    if path is None:
        return text
    Path(path).write_text(text, encoding="utf-8", newline="")
    return None
