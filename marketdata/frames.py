"""Candles as frames, pictures and HTML; each library is imported when it is asked for."""

from __future__ import annotations

import html as markup
import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from marketdata._columns import NAMES, Columns
from marketdata.errors import MissingExtraError

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow
    from matplotlib.figure import Figure

    from marketdata.models import Candles

_UNCOUNTED = -1


def to_pandas(columns: Columns) -> pandas.DataFrame:
    """Give a DataFrame indexed by ``time`` (UTC, ms), with float columns.

    ``trades`` is a nullable integer column, all missing where the exchange does not count.
    """
    try:
        import numpy as np
        import pandas as pd
    except ImportError:
        raise MissingExtraError("to_pandas()", "frames") from None
    index = pd.DatetimeIndex(
        np.array(columns.time, dtype="datetime64[ms]"), tz="UTC", name=NAMES[0]
    )
    data: dict[str, object] = {name: np.array(getattr(columns, name)) for name in NAMES[1:6]}
    counts = np.array(columns.trades)
    data["trades"] = pd.array(np.maximum(counts, 0), dtype="Int64")
    frame = pd.DataFrame(data, index=index)
    frame.loc[counts == _UNCOUNTED, "trades"] = pd.NA
    return frame


def to_polars(columns: Columns) -> polars.DataFrame:
    """Give a polars DataFrame; ``time`` is Datetime in ms and UTC."""
    try:
        import polars as pl
    except ImportError:
        raise MissingExtraError("to_polars()", "frames") from None
    kinds = {name: pl.Int64 if name in ("time", "trades") else pl.Float64 for name in NAMES}
    frame = pl.DataFrame({name: getattr(columns, name) for name in NAMES}, schema=kinds)
    return frame.with_columns(
        pl.col("time").cast(pl.Datetime("ms", "UTC")),
        pl.col("volume").fill_nan(None),
        pl.col("trades").replace(_UNCOUNTED, None),
    )


def to_arrow(columns: Columns) -> pyarrow.Table:
    """Give an Arrow table; ``time`` is a timestamp in ms and UTC."""
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
    except ImportError:
        raise MissingExtraError("to_arrow()", "frames") from None
    count = len(columns)

    def whole(name: str) -> pyarrow.Array:
        buffer = pa.py_buffer(getattr(columns, name))
        kind = pa.int64() if name in ("time", "trades") else pa.float64()
        return pa.Array.from_buffers(kind, count, [None, buffer])

    arrays = {name: whole(name) for name in NAMES}
    arrays["time"] = arrays["time"].cast(pa.timestamp("ms", tz="UTC"))
    for name, unknown in (
        ("volume", pc.is_nan(arrays["volume"])),
        ("trades", pc.equal(arrays["trades"], _UNCOUNTED)),
    ):
        arrays[name] = pc.if_else(unknown, None, arrays[name])
    return pa.table(arrays)


def plot(candles: Candles) -> Figure:
    """Draw candlesticks over volume; missing ranges are shaded, a forming bar is hollow."""
    try:
        import numpy as np
        from matplotlib import dates
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("plot()", "frames") from None

    class Picture(Figure):
        """A figure that notebooks show without pyplot, which would keep every figure alive."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    columns = candles.columns
    figure = Picture(figsize=(10, 5), layout="constrained")
    prices, volumes = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1], "hspace": 0}
    )
    time = dates.date2num(np.array(columns.time, dtype="datetime64[ms]"))
    opened, close = np.array(columns.open), np.array(columns.close)
    width = 0.8 * float(np.diff(time).min()) if len(time) > 1 else 0.8
    middle = time + width / 1.6
    for rising, colour in ((True, "#26a69a"), (False, "#ef5350")):
        chosen = (close >= opened) == rising
        prices.vlines(
            middle[chosen],
            np.array(columns.low)[chosen],
            np.array(columns.high)[chosen],
            color=colour,
            linewidth=0.8,
        )
        bodies = prices.bar(
            middle[chosen], (close - opened)[chosen], width, opened[chosen], color=colour
        )
        volumes.bar(middle[chosen], np.array(columns.volume)[chosen], width, color=colour)
        if candles.forming and len(time) and bool(chosen[-1]):
            bodies[-1].set(facecolor="white", edgecolor=colour)
    for gap in candles.missing:
        for axes in (prices, volumes):
            axes.axvspan(
                dates.date2num(gap.start), dates.date2num(gap.end), color="#9e9e9e", alpha=0.25
            )
    locator = dates.AutoDateLocator()
    volumes.xaxis.set_major_locator(locator)
    volumes.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    prices.set_title(title(candles), loc="left")
    prices.set_ylabel(candles.pair.partition("/")[2])
    volumes.set_ylabel(candles.pair.partition("/")[0])
    prices.grid(visible=True, alpha=0.3)
    return figure


def title(candles: Candles) -> str:
    """Name what candles show: pair, timeframe, exchange, and whether they are simulated."""
    simulated = " (simulated)" if candles.simulated else ""
    return f"{candles.pair} {candles.timeframe} on {candles.exchange}{simulated}"


def html(candles: Candles) -> str:
    """Give a small page for notebooks: range, holes, a sparkline and both ends of the table."""
    columns = candles.columns
    if not len(columns):
        return f"<p><b>{markup.escape(title(candles))}</b>: no bars</p>"
    missing = sum(gap.bars for gap in candles.missing)
    facts = [
        f"{len(columns):,} bars",
        f"{_time(columns.time[0])} to {_time(columns.time[-1])}",
        f"{missing:,} missing in {len(candles.missing)} holes" if missing else "no holes",
        "last bar forming" if candles.forming else "last bar closed",
    ]
    head = "".join(f"<th>{name}</th>" for name in NAMES)
    body = "".join(_row(columns, index) for index in _ends(len(columns)))
    return (
        f"<div><b>{markup.escape(title(candles))}</b><br>{' · '.join(facts)}<br>"
        f"{_sparkline(columns)}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
        "</div>"
    )


def _time(milliseconds: int) -> str:
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC):%Y-%m-%d %H:%M}"


def _ends(count: int) -> list[int | None]:
    """Give the rows to show: all of a few, else the first and last three around a gap."""
    if count <= 7:
        return list(range(count))
    return [0, 1, 2, None, count - 3, count - 2, count - 1]


def _row(columns: Columns, index: int | None) -> str:
    if index is None:
        return f"<tr><td colspan={len(NAMES)}>…</td></tr>"
    time, *values = columns.row(index)
    cells = "".join(f"<td>{'' if value is None else value}</td>" for value in values)
    return f"<tr><td>{_time(time)}</td>{cells}</tr>"


def _sparkline(columns: Columns, width: int = 320, height: int = 40) -> str:
    low, high = min(columns.low), max(columns.high)
    scale = (high - low) or 1.0
    step = max(1, len(columns) // width)
    closes = columns.close[::step]
    points = " ".join(
        f"{index * width / max(1, len(closes) - 1):.1f},"
        f"{height - (close - low) / scale * height:.1f}"
        for index, close in enumerate(closes)
    )
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="closing prices">'
        f'<polyline points="{points}" fill="none" stroke="currentColor"/></svg><br>'
    )
