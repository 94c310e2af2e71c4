"""Candles as pictures of matplotlib, and as figures of plotly; imported when one is drawn."""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from marketdata.errors import DataUnavailableError, InvalidParameterError, MissingExtraError
from marketdata.models.columns import Columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from marketdata.models import Backend, Candles, Means

__all__ = ["gathered", "plot", "small_picture", "title"]

_DRAWN = 1_000
"""Candles that a picture has room for."""
_LARGEST = 20_000
"""Candles that a figure of plotly draws without getting slow."""
_RESOLUTIONS = (110, 90, 70, 50)
"""Dots per inch of a small picture, of which the first that fits is taken."""
_COLOURS = 64
_RISING, _FALLING, _GAP = "#26a69a", "#ef5350", "#9e9e9e"


def title(candles: Candles[Any]) -> str:
    """Return the title of candles: pair, timeframe, exchange, and whether they are simulated."""
    simulated = " (simulated)" if candles.simulated else ""
    return f"{candles.pair} {candles.timeframe} on {candles.exchange}{simulated}"


def gathered(columns: Columns, count: int) -> Columns:
    """Merge groups of candles to one each."""
    if count <= 1:
        return columns
    parts = [slice(first, first + count) for first in range(0, len(columns), count)]
    return Columns(
        columns.time[::count],
        columns.open[::count],
        [max(columns.high[part]) for part in parts],
        [min(columns.low[part]) for part in parts],
        [columns.close[part][-1] for part in parts],
        [sum(columns.volume[part]) for part in parts],
    )


class _Drawn(NamedTuple):
    """The drawn candles, merged if there are many, and their moving averages."""

    columns: Columns
    means: dict[int, list[float]]


def _drawn(candles: Candles[Any], most: int, mav: Means | None) -> _Drawn:
    columns = candles.columns.as_floats()
    each = -(-len(columns) // most)
    lengths = (mav,) if isinstance(mav, int) else tuple(mav or ())
    if any(length < 1 for length in lengths):
        raise InvalidParameterError(f"mav takes numbers of candles from 1 on; was {mav!r}.")
    last = slice(each - 1, None, each) if each > 1 else slice(None)
    means = {}
    for length in lengths:
        values = _mean(columns.close, length)
        means[length] = values[last]
        if len(means[length]) < -(-len(columns) // max(each, 1)):
            means[length].append(values[-1])
    return _Drawn(gathered(columns, each), means)


def _mean(values: Sequence[float], length: int) -> list[float]:
    """Return the mean of each value and those before it; NaN if there are too few."""
    import numpy as np

    known = np.asarray(values, dtype=float)
    if len(known) < length:
        return [float("nan")] * len(known)
    means: list[float] = np.convolve(known, np.full(length, 1 / length), "valid").tolist()
    return [float("nan")] * (length - 1) + means


def plot(
    candles: Candles[Any],
    *,
    ax: Axes | None = None,
    figsize: tuple[float, float] = (10, 5),
    style: str | Sequence[str] | None = None,
    mav: Means | None = None,
    volume: bool = True,
    log: bool = False,
    backend: Backend = "matplotlib",
) -> Any:
    """Draw candlesticks over volume; see `Candles.plot`."""
    if backend == "plotly":
        if ax is not None:
            raise InvalidParameterError("ax goes with backend='matplotlib'.")
        return _plotly(candles, style, _drawn(candles, _LARGEST, mav), volume, log)
    if backend != "matplotlib":
        raise InvalidParameterError(f"backend is 'matplotlib' or 'plotly'; was {backend!r}.")
    try:
        from matplotlib import style as styles
    except ImportError:
        raise MissingExtraError("plot()", "frames") from None
    drawn = _drawn(candles, _DRAWN, mav)
    try:
        context = nullcontext() if style is None else styles.context(style)
        with context:
            return _matplotlib(candles, drawn, ax, figsize, volume, log)
    except OSError:  # which says nothing but where it looked for a file
        names = ", ".join(styles.available[:8])
        raise InvalidParameterError(
            f"matplotlib has no style {style!r}; some that it has: {names}."
        ) from None


def small_picture(candles: Candles[Any], style: str, log: bool, most: int) -> bytes:
    """Draw a PNG with few colours and a maximum size in bytes.

    Raises `DataUnavailableError` if no resolution makes it small enough.
    """
    figure = plot(candles, figsize=(8, 4.5), style=style, log=log)
    from PIL import Image

    for dots in _RESOLUTIONS:
        whole, small = io.BytesIO(), io.BytesIO()
        figure.savefig(whole, format="png", dpi=dots)
        with Image.open(whole) as image:
            image.convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
        if small.tell() <= most:
            return small.getvalue()
    raise DataUnavailableError(f"The chart does not fit into {most:,} bytes.")


def _matplotlib(
    candles: Candles[Any],
    drawn: _Drawn,
    ax: Axes | None,
    figsize: tuple[float, float],
    volume: bool,
    log: bool,
) -> Figure:
    import numpy as np
    from matplotlib import dates, rcParams
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that notebooks show without pyplot, which would keep every figure alive."""

        def _repr_png_(self) -> bytes:
            file = io.BytesIO()
            self.savefig(file, format="png")
            return file.getvalue()

    volumes: Axes | None = None
    if ax is None:
        picture = Picture(figsize=figsize, layout="constrained")
        if volume:
            prices, volumes = picture.subplots(
                2, 1, sharex=True, gridspec_kw={"height_ratios": [4, 1], "hspace": 0}
            )
        else:
            prices = picture.subplots()
    else:
        prices = ax
    columns = drawn.columns
    time = dates.date2num(np.array(columns.time, dtype="datetime64[ms]"))
    opened, close = np.array(columns.open), np.array(columns.close)
    width = 0.8 * float(np.diff(time).min()) if len(time) > 1 else 0.8
    middle = time + width / 1.6
    for rising, colour in ((True, _RISING), (False, _FALLING)):
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
        if volumes is not None:
            volumes.bar(middle[chosen], np.array(columns.volume)[chosen], width, color=colour)
        if candles.forming and len(time) and bool(chosen[-1]):
            bodies[-1].set(facecolor=prices.get_facecolor(), edgecolor=colour)
    for length, values in drawn.means.items():
        prices.plot(middle, values, linewidth=1, label=f"mean of {length}")
    if drawn.means and len(columns):
        prices.legend(loc="upper left", frameon=False)
    for gap in candles.missing:
        for axes in (prices, volumes):
            if axes is not None:
                first, last = dates.date2num(gap.start), dates.date2num(gap.end)
                axes.axvspan(first, last, color=_GAP, alpha=0.25)
    if log and len(columns):
        prices.set_yscale("log")
        prices.yaxis.set_major_formatter("{x:g}")
        prices.yaxis.set_minor_formatter("{x:g}")
    lowest = volumes if volumes is not None else prices
    if len(columns):
        locator = dates.AutoDateLocator()
        lowest.xaxis.set_major_locator(locator)
        lowest.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator))
    else:
        prices.text(0.5, 0.5, "no candles", ha="center", transform=prices.transAxes)
        for axes in (prices, lowest):
            axes.set(xticks=[], yticks=[])
    prices.set_title(title(candles), loc="left")
    base, _, quote = candles.pair.partition("/")
    prices.set_ylabel(quote)
    if volumes is not None:
        volumes.set_ylabel(base)
    prices.grid(visible=True, alpha=0.3, color=rcParams["grid.color"])
    figure: Figure = prices.figure.figure  # of a subfigure, the figure that it is in
    return figure


def _plotly(
    candles: Candles[Any],
    style: str | Sequence[str] | None,
    drawn: _Drawn,
    volume: bool,
    log: bool,
) -> Any:
    try:
        from plotly import graph_objects, subplots
    except ImportError:
        raise MissingExtraError("plot(backend='plotly')", "notebook") from None
    rows = 2 if volume else 1
    figure = subplots.make_subplots(
        rows=rows,
        cols=1,
        shared_xaxes=True,
        vertical_spacing=0.02,
        row_heights=[0.8, 0.2][:rows] if volume else [1.0],
    )
    columns = drawn.columns
    whole = len(columns) - (1 if candles.forming and len(columns) else 0)
    for part, name, fill in (
        (columns[:whole], candles.pair, None),
        (columns[whole:], "open candle", "rgba(0,0,0,0)"),
    ):
        if not len(part):
            continue
        colours = [
            {"line": {"color": line}, "fillcolor": fill or line} for line in (_RISING, _FALLING)
        ]
        figure.add_trace(
            graph_objects.Candlestick(
                x=_times(part),
                open=list(part.open),
                high=list(part.high),
                low=list(part.low),
                close=list(part.close),
                name=name,
                increasing=colours[0],
                decreasing=colours[1],
            ),
            row=1,
            col=1,
        )
    for length, values in drawn.means.items():
        line = graph_objects.Scatter(x=_times(columns), y=values, name=f"mean of {length}")
        figure.add_trace(line, row=1, col=1)
    if volume:
        each = [
            _RISING if close >= opened else _FALLING
            for opened, close in zip(columns.open, columns.close, strict=True)
        ]
        bars = graph_objects.Bar(
            x=_times(columns), y=list(columns.volume), name="volume", marker={"color": each}
        )
        figure.add_trace(bars, row=2, col=1)
    for gap in candles.missing:
        figure.add_vrect(
            x0=gap.start,
            x1=gap.end,
            fillcolor=_GAP,
            opacity=0.25,
            line_width=0,
            annotation_text="" if gap.cause is None else gap.cause.replace("_", " "),
        )
    figure.update_layout(
        title=title(candles),
        template=style,
        xaxis_rangeslider_visible=False,
        showlegend=bool(drawn.means),
    )
    figure.update_yaxes(type="log" if log else "linear", row=1, col=1)
    return figure


def _times(columns: Columns) -> list[datetime]:
    return [datetime.fromtimestamp(time / 1000, UTC) for time in columns.time]
