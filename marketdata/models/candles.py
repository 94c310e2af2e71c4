"""Candles, their gaps, and unusual candles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, overload

from pydantic import Field

from marketdata import _above
from marketdata.models import frames
from marketdata.models.base import Record, _Derivable, _Streamed
from marketdata.models.columns import Columns
from marketdata.models.decimals import Number
from marketdata.number_form import Numbers

if TYPE_CHECKING:
    from array import array

    import pandas
    import polars
    import pyarrow
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from marketdata._charts.chart import Chart

__all__ = [
    "Backend",
    "Candle",
    "Candles",
    "Cause",
    "Flag",
    "Interval",
    "Means",
    "Quality",
]

Backend: TypeAlias = Literal["matplotlib", "plotly"]
Means: TypeAlias = "int | Sequence[int]"
"""Numbers of candles that moving averages are taken over."""
Cause: TypeAlias = Literal["no_trades", "outage", "not_served", "not_fetched"]
"""Why candles are missing: the pair had no trades; the whole exchange had no trades; the exchange
does not serve candles of that time; they could not be requested or were invalid."""


class Interval(Record):
    """A time range, start inclusive and end exclusive, and the candles that belong in it."""

    start: datetime
    end: datetime
    bars: int
    cause: Cause | None = None
    """Why candles are missing; None if not determined, as among the newest candles."""


Quality: TypeAlias = Literal["off_calendar", "revised"]
"""``off_calendar``: it opens at an unexpected time; ``revised``: the exchange has changed it since
it was stored."""


class Flag(Record):
    """An unusual candle, and how it is unusual."""

    open_time: datetime
    quality: Quality


class Candle(Record, Numbers[Number]):
    """One candle of `Candles`."""

    open_time: datetime
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number | None = None
    """In base currency."""
    trades: int | None = None
    """Number of trades; None if the exchange does not report it."""
    forming: bool = False
    """Whether the candle is still open by the exchange's clock."""
    filled: bool = False
    """Whether ``fill`` made it: the exchange has no such candle."""
    quality: Literal["off_calendar", "revised", "filled"] | None = None
    """How it is unusual; None for nearly all."""


class Candles(_Derivable, _Streamed, Numbers[Number]):
    """Candles of one pair and timeframe, oldest first, stored as columns.

    Indexing, iterating and ``len`` work on candles; slicing gives `Candles`. ``time``, ``open``,
    ``high``, ``low``, ``close``, ``volume`` and ``trades`` are the arrays of ``columns``. JSON rows
    are ``[openTimeMs, open, high, low, close, volume, trades]``.
    """

    pair: str
    timeframe: str
    source: Literal["candles", "trades"]
    """The data that the candles were computed from."""
    forming: bool
    """Whether the last candle is still open, by the exchange's clock when it responded."""
    missing: tuple[Interval, ...]
    """Gaps: ranges without candles in the requested range, or between these candles."""
    filled: tuple[Interval, ...] | None = None
    """Gaps that were filled; None without ``fill``."""
    quality: tuple[Flag, ...] | None = None
    """Unusual candles: off the calendar of the series, or revised; None if there are none."""
    clock_offset_ms: int | None = None
    """The exchange's time minus ours, if the two clocks disagree on whether the last candle is
    over; it then counts as open. None otherwise."""
    delisted: Literal[True] | None = None
    """True if the exchange no longer lists the pair: these candles are from the store."""
    renamed_from: str | None = None
    """The pair's former name, if a token was renamed and these include older candles."""
    renamed_at: datetime | None = None
    """When the first candle under the present name opens; None if all are older."""
    start: datetime | None = None
    """Start of the requested range, as it was understood; None if none was requested."""
    end: datetime | None = None
    """End of the requested range, exclusive; None if none was requested."""
    resampled_from: str | None = None
    """Timeframe of the shorter candles that these are resampled from; None for the exchange's own
    candles, or if ``source`` is ``trades``."""
    columns: Columns[Number] = Field(alias="candles")

    @property
    def time(self) -> array[int]:
        """When each candle opens, in Unix milliseconds."""
        return self.columns.time

    @property
    def open(self) -> Sequence[Number]:
        """The first price of each candle."""
        return self.columns.open

    @property
    def high(self) -> Sequence[Number]:
        """The highest price of each candle."""
        return self.columns.high

    @property
    def low(self) -> Sequence[Number]:
        """The lowest price of each candle."""
        return self.columns.low

    @property
    def close(self) -> Sequence[Number]:
        """The last price of each candle."""
        return self.columns.close

    @property
    def volume(self) -> Sequence[Number]:
        """Volume of each candle in base currency; NaN if unknown."""
        return self.columns.volume

    @property
    def trades(self) -> array[int]:
        """Number of trades of each candle; -1 if unknown."""
        return self.columns.trades

    def __len__(self) -> int:
        return len(self.columns)

    def __iter__(self) -> Iterator[Candle[Number]]:  # type: ignore[override]
        return (self[index] for index in range(len(self)))

    @overload
    def __getitem__(self, index: int) -> Candle[Number]: ...
    @overload
    def __getitem__(self, index: slice) -> Candles[Number]: ...
    def __getitem__(self, index: int | slice) -> Candle[Number] | Candles[Number]:
        """Return one candle, or the candles of a slice.

        The ends of a slice are positions, or times in any form that `marketdata.candles` takes:
        start inclusive, end exclusive. ``missing`` of a slice has only gaps between its candles.
        """
        if isinstance(index, slice):
            return self._part(index)
        position = range(len(self))[index]
        time, opened, high, low, close, volume, trades = self.columns.row(position)
        opened_at = datetime.fromtimestamp(time / 1000, UTC)
        is_filled = any(gap.start <= opened_at < gap.end for gap in self.filled or ())
        flags = {flag.open_time: flag.quality for flag in self.quality or ()}
        return Candle(
            open_time=opened_at,
            open=opened,
            high=high,
            low=low,
            close=close,
            volume=volume,
            trades=trades,
            forming=self.forming and position == len(self) - 1,
            filled=is_filled,
            quality="filled" if is_filled else flags.get(opened_at),
        )

    def _part(self, index: slice) -> Candles[Number]:
        if any(not isinstance(end, int | None) for end in (index.start, index.stop)):
            index = _above.parts().between(self, index.start, index.stop)
        part = self.columns[index]
        if not len(part):
            nothing = {"forming": False, "missing": (), "filled": self.filled and ()}
            return self.model_copy(update={"columns": part, **nothing})
        first, last = (datetime.fromtimestamp(part.time[end] / 1000, UTC) for end in (0, -1))
        filled = self.filled and tuple(
            gap for gap in self.filled if gap.end > first and gap.start <= last
        )
        return self.model_copy(
            update={
                "columns": part,
                "forming": self.forming and part.time[-1] == self.columns.time[-1],
                "missing": tuple(gap for gap in self.missing if first < gap.start < last),
                "filled": filled,
            }
        )

    def head(self, count: int = 5) -> Candles[Number]:
        """Return the first candles; a negative count leaves out that many of the last."""
        return self[:count]

    def tail(self, count: int = 5) -> Candles[Number]:
        """Return the last candles; a negative count leaves out that many of the first."""
        return self[max(len(self) - count, 0) :] if count >= 0 else self[-count:]

    def resample(self, timeframe: str) -> Candles[Number]:
        """Resample to longer candles, as the library does if an exchange lacks a timeframe.

        ``timeframe`` is a multiple of the timeframe of these candles. The first and the last new
        candle are left out unless these candles cover them; the last one is kept, and open, if the
        last of these is open. A gap has the worst cause of its parts. Raises
        `TimeframeNotSupportedError` if it is not a multiple.
        """
        longer: Candles[Number] = _above.parts().resampled(self, timeframe)
        return longer

    def to_pandas(self) -> pandas.DataFrame:
        """Return a DataFrame indexed by open time in UTC; needs the extra 'frames'."""
        return frames.to_pandas(self.columns, self.filled, self.quality)

    def to_polars(self) -> polars.DataFrame:
        """Return a polars DataFrame with a UTC ``time`` column; needs the extra 'frames'."""
        return frames.to_polars(self.columns, self.filled, self.quality)

    def to_arrow(self) -> pyarrow.Table:
        """Return an Arrow table with a UTC ``time`` column; needs the extra 'frames'."""
        return frames.to_arrow(self.columns, self.filled, self.quality)

    @overload
    def plot(
        self,
        *,
        ax: Axes | None = None,
        figsize: tuple[float, float] = (10, 5),
        style: str | Sequence[str] | None = None,
        mav: Means | None = None,
        volume: bool = True,
        log: bool = False,
        backend: Literal["matplotlib"] = "matplotlib",
    ) -> Figure: ...
    @overload
    def plot(
        self,
        *,
        style: str | None = None,
        mav: Means | None = None,
        volume: bool = True,
        log: bool = False,
        backend: Literal["plotly"],
    ) -> Any: ...
    def plot(
        self,
        *,
        ax: Axes | None = None,
        figsize: tuple[float, float] = (10, 5),
        style: str | Sequence[str] | None = None,
        mav: Means | None = None,
        volume: bool = True,
        log: bool = False,
        backend: Backend = "matplotlib",
    ) -> Any:
        """Draw candlesticks and volume as a picture; gaps are grey, the open candle is hollow.

        If there are more candles than fit the picture, several are drawn as one.

        Parameters:
            ax: Axes to draw the prices in, without volume; None makes a figure.
            figsize: Width and height of the figure in inches.
            style: A style of matplotlib, such as ``dark_background``; None takes the current
                one. Of plotly, a template, such as ``plotly_dark``.
            mav: Numbers of candles for moving averages of the closing prices.
            volume: Whether to draw volume below the prices.
            log: Whether prices have a logarithmic scale.
            backend: ``matplotlib``, of the extra 'frames', or ``plotly``, of 'notebook'.

        Returns a `Figure` of matplotlib or plotly. Raises `MissingExtraError` if the library is
        not installed, and `InvalidParameterError` for an unknown style.
        """
        return _above.plot(
            self,
            ax=ax,
            figsize=figsize,
            style=style,
            mav=mav,
            volume=volume,
            log=log,
            backend=backend,
        )

    def chart(self, *others: Candles) -> Chart:
        """Draw an interactive chart for a notebook, a file or a browser.

        It shows candles with volume, gaps in grey with their cause, and the open candle hollow.
        With `others` of the same timeframe, it shows closing prices as lines, rebased to 100 at the
        first time that all share. Above 20,000 candles, several are drawn as one.

        Raises `InvalidParameterError` for different timeframes, and `DataUnavailableError` if the
        package was installed without the chart page.
        """
        return _above.charts().of_candles(self, others)
