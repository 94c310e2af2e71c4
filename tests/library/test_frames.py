"""Candles as frames of pandas, polars and Arrow, as a picture and as HTML."""

from __future__ import annotations

import copy
import pickle
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from matplotlib import colors, dates
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import marketdata as md
from marketdata.errors import InvalidParameterError
from marketdata.models import Columns
from marketdata.models.frames import to_arrow, to_pandas, to_polars
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .markets import NOW
from .programs import run
from .test_candle_columns import ROWS, candles

FIELDS = ["open", "high", "low", "close", "volume", "trades"]
PARTS: list[list[Any]] = [ROWS, ROWS[:1], ROWS[1:2], []]
each = pytest.mark.parametrize("rows", PARTS, ids=["all", "one", "unknown", "none"])


@each
def test_pandas(rows: list[Any]) -> None:
    frame = candles(rows).to_pandas()

    assert list(frame.columns) == FIELDS
    assert frame.index.name == "time"
    assert frame.index.tz is not None
    assert str(frame.index.tz) == "UTC"
    assert [round(one.timestamp() * 1000) for one in frame.index] == [row[0] for row in rows]
    assert {str(frame[name].dtype) for name in FIELDS[:5]} == {"float64"}
    assert str(frame["trades"].dtype) == "Int64"
    for position, name in enumerate(FIELDS, 1):
        values = [None if pd.isna(value) else value for value in frame[name]]
        assert values == [row[position] for row in rows]


@each
def test_polars(rows: list[Any]) -> None:
    frame = candles(rows).to_polars()

    assert frame.schema == {
        "time": pl.Datetime("ms", "UTC"),
        **dict.fromkeys(FIELDS[:5], pl.Float64),
        "trades": pl.Int64,
    }
    assert frame.with_columns(pl.col("time").cast(pl.Int64)).rows() == [tuple(row) for row in rows]


@each
def test_arrow(rows: list[Any]) -> None:
    table = candles(rows).to_arrow()

    assert table.schema == pa.schema(
        [
            ("time", pa.timestamp("ms", tz="UTC")),
            *((name, pa.float64()) for name in FIELDS[:5]),
            ("trades", pa.int64()),
        ]
    )
    table.validate(full=True)
    columns = [
        table["time"].cast(pa.int64()).to_pylist(),
        *(table[name].to_pylist() for name in FIELDS),
    ]
    assert list(zip(*columns, strict=True)) == [tuple(row) for row in rows]


@each
def test_the_arrow_interface(rows: list[Any]) -> None:
    made = candles(rows)

    assert pa.table(made) == made.to_arrow()
    assert pl.DataFrame(made).equals(made.to_polars())
    assert pa.RecordBatchReader.from_stream(made).read_all() == made.to_arrow()


def test_all_three_have_the_same_values(client: md.Client) -> None:
    made = client.candles("LTC/BTC", "1m", limit=120, exchange="kraken")
    arrow, polars = made.to_arrow(), made.to_polars()

    assert polars.to_arrow().cast(arrow.schema) == arrow
    assert arrow.to_pandas().set_index("time")["close"].equals(made.to_pandas()["close"])


def test_frames_are_copies(client: md.Client) -> None:
    made = client.candles("BTC/USDT", limit=3)
    before = made.columns.rows()
    frame = made.to_pandas()
    frame.loc[:, "close"] = 0.0
    frame.loc[:, "trades"] = 0

    assert made.columns.rows() == before


def test_columns_can_be_viewed_without_copying(client: md.Client) -> None:
    made = client.candles("BTC/USDT", limit=3)
    view = np.asarray(made.columns.close)

    assert view.dtype == np.float64
    assert view.tolist() == list(made.columns.close)
    assert np.shares_memory(view, np.frombuffer(made.columns.close))


def picture(made: md.Candles) -> Any:
    figure = made.plot()
    FigureCanvasAgg(figure).draw()
    return figure


START = 1_700_000_040_000


def series(count: int, *without: int) -> list[Any]:
    return [
        (START + 60_000 * index, 10.0, 12.0, 9.0, 11.0 if index % 2 else 9.5, 1.0 + index, 3)
        for index in range(count)
        if index not in without
    ]


def test_a_plot_has_a_body_and_the_volume_of_each_bar() -> None:
    figure = picture(candles(series(20), forming=False))
    prices, volumes = figure.axes

    bodies = [bar for group in prices.containers for bar in group]
    assert len(bodies) == 20
    assert sorted(round(bar.get_height(), 9) for bar in bodies) == [-0.5] * 10 + [1.0] * 10
    heights = [bar.get_height() for group in volumes.containers for bar in group]
    assert sorted(heights) == [1.0 + index for index in range(20)]
    assert figure.axes[0].get_title(loc="left") == "BTC/USDT 1m on binance"
    assert (prices.get_ylabel(), volumes.get_ylabel()) == ("USDT", "BTC")


def test_gaps_are_shaded() -> None:
    hole = md.Interval(
        start=datetime.fromtimestamp(START / 1000 + 300, UTC),
        end=datetime.fromtimestamp(START / 1000 + 600, UTC),
        bars=5,
    )
    made = candles(series(20, 5, 6, 7, 8, 9), missing=(hole,))
    shaded = [
        [patch for patch in axes.patches if patch.get_alpha() == 0.25]
        for axes in picture(made).axes
    ]

    assert [len(patches) for patches in shaded] == [1, 1]
    [patch] = shaded[0]
    edges = patch.get_x(), patch.get_x() + patch.get_width()
    assert edges == pytest.approx((dates.date2num(hole.start), dates.date2num(hole.end)))
    whole = picture(candles(series(20)))
    assert [patch for axes in whole.axes for patch in axes.patches if patch.get_alpha()] == []


@pytest.mark.parametrize("forming", [True, False])
def test_the_open_bar_is_hollow(forming: bool) -> None:
    prices = picture(candles(series(6), forming=forming)).axes[0]
    hollow = [
        bar
        for group in prices.containers
        for bar in group
        if colors.to_hex(bar.get_facecolor()) == "#ffffff"
    ]

    assert len(hollow) == int(forming)
    if forming:
        assert hollow[0].get_x() == max(bar.get_x() for group in prices.containers for bar in group)


@pytest.mark.parametrize("rows", [[], series(1), ROWS], ids=["none", "one", "unknown volume"])
def test_a_plot_of_few_bars_works(rows: list[Any]) -> None:
    assert len(picture(candles(rows)).axes) == 2


def test_a_plot_marks_simulated_data(client: md.Client) -> None:
    figure = client.candles("BTC/USDT", limit=3).plot()
    assert figure.axes[0].get_title(loc="left") == "BTC/USDT 1h on binance (simulated)"


def test_a_plot_can_be_saved(tmp_path: Path) -> None:
    path = tmp_path / "candles.png"
    candles(series(5)).plot().savefig(path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_plot_is_drawn_into_given_axes() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    assert candles(series(5)).plot(ax=left) is figure
    assert (len(left.patches), len(right.patches)) == (5, 0)


def test_a_plot_has_the_requested_size_scale_and_parts() -> None:
    figure = candles(series(5)).plot(figsize=(4, 3), volume=False, log=True)
    [prices] = figure.axes
    assert prices.get_yscale() == "log"
    assert tuple(figure.get_size_inches()) == (4, 3)


def test_the_means_of_a_plot_are_those_of_the_closing_prices() -> None:
    made = candles(series(30))
    prices = made.plot(mav=(3, 7)).axes[0]
    for line, length in zip(prices.lines, (3, 7), strict=True):
        wanted = made.to_pandas()["close"].rolling(length).mean()
        assert np.allclose(line.get_ydata(), wanted, equal_nan=True)
    many = candles(series(2_500))
    [line] = many.plot(mav=20).axes[0].lines
    assert len(line.get_ydata()) == 834
    assert line.get_ydata()[-1] == pytest.approx(np.mean(many.close[-20:]))


def test_a_dark_style_is_used_and_reset() -> None:
    dark = candles(series(5), forming=True).plot(style="dark_background")
    assert dark.get_facecolor() == (0.0, 0.0, 0.0, 1.0)
    hollow = dark.axes[0].containers[-1][-1]
    assert hollow.get_facecolor() == dark.axes[0].get_facecolor()
    assert candles(series(5)).plot().get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    with pytest.raises(InvalidParameterError, match="dark_background"):
        candles(series(5)).plot(style="sepia")


def test_plotly_draws_the_same() -> None:
    hole = md.Interval(
        start=datetime.fromtimestamp(START / 1000 + 300, UTC),
        end=datetime.fromtimestamp(START / 1000 + 600, UTC),
        bars=5,
        cause="outage",
    )
    made = candles(series(20, 5, 6, 7, 8, 9), missing=(hole,), forming=True)
    figure = made.plot(backend="plotly", mav=3, log=True)
    whole, still_open, mean, volume = figure.data
    assert [*whole.close, *still_open.close] == list(made.close)
    assert len(still_open.close) == 1
    assert list(volume.y) == list(made.volume)
    assert len(mean.y) == 15
    assert figure.layout.yaxis.type == "log"
    assert figure.layout.annotations[0].text == "outage"
    assert len(candles([]).plot(backend="plotly", volume=False).data) == 0


@pytest.mark.parametrize(
    "asked", [{"mav": 0}, {"backend": "gnuplot"}, {"backend": "plotly", "ax": Figure().subplots()}]
)
def test_invalid_arguments_of_a_plot_are_refused(asked: Any) -> None:
    with pytest.raises(InvalidParameterError):
        candles(series(5)).plot(**asked)


WITHOUT = """
    import sys

    class Blocked:
        def find_spec(self, name, path=None, target=None):
            if name.partition(".")[0] in {blocked!r}:
                raise ImportError(f"No module named {{name!r}}", name=name)

    sys.meta_path.insert(0, Blocked())
    import marketdata as md

    candles = md.candles("BTC/USDT", limit=3)
    for method in {methods!r}:
        try:
            getattr(candles, method)()
        except md.MissingExtraError as error:
            print(method, error.code, isinstance(error, ImportError), error)
        else:
            print(method, "worked")
    print(len(candles._repr_html_()) > 100)
"""


METHODS = ["to_pandas", "to_polars", "to_arrow", "__arrow_c_stream__", "plot"]


@pytest.mark.cold
@pytest.mark.parametrize(
    ("blocked", "missing"),
    [
        (["pandas", "polars", "pyarrow", "matplotlib"], METHODS),
        (["numpy"], ["to_pandas", "plot"]),
    ],
)
def test_a_missing_package_is_named_in_one_line(
    tmp_path: Path, blocked: list[str], missing: list[str]
) -> None:
    program = WITHOUT.format(blocked=blocked, methods=missing)
    *said, page = run(program, tmp_path).splitlines()

    assert page == "True"
    assert len(said) == len(missing)
    for method, line in zip(missing, said, strict=True):
        assert line.startswith(f"{method} INVALID_PARAMETER True ")
        assert line.endswith("needs the extra 'frames': pip install 'ccxt-marketdata[frames]'.")


def test_columns_without_bars() -> None:
    assert candles([]).columns == Columns((), (), (), (), (), ())
    assert len(candles([])) == 0
    assert list(candles([])) == []


def test_filled_bars_are_marked_in_every_frame(connect: Factory, sim: SimulatedExchange) -> None:
    client = connect(sim, "kraken")
    asked = {"start": NOW - timedelta(hours=2), "end": NOW - timedelta(hours=1)}
    bare = client.candles("LTC/BTC", "1m", **asked)
    full = client.candles("LTC/BTC", "1m", **asked, fill="previous")

    opened = set(bare.columns.time)
    expected = [time not in opened for time in full.columns.time]
    assert True in expected
    assert len(full) + sum(hole.bars for hole in full.missing) == 60
    assert list(full.to_pandas()["filled"]) == expected
    assert full.to_polars()["filled"].to_list() == expected
    assert full.to_arrow()["filled"].to_pylist() == expected
    assert [bar.filled for bar in full] == expected
    assert "filled" not in bare.to_pandas()
    assert f"Filled {sum(expected):,} candles" in full._repr_html_()


def test_a_picture_of_more_bars_than_fit_keeps_their_extremes() -> None:
    count = 10_500
    columns = Columns(
        range(0, count * 60_000, 60_000),
        [10.0] * count,
        [float(11 + (index == 7_777) * 50) for index in range(count)],
        [float(9 - (index == 3_333) * 5) for index in range(count)],
        [10.5] * count,
        [1.0] * count,
    )
    figure = candles(columns.rows()).plot()

    prices, volumes = figure.axes
    assert prices.dataLim.ymin == 4.0
    assert prices.dataLim.ymax == 61.0
    heights = [bar.get_height() for bar in volumes.patches]
    assert len(heights) <= 1_000
    assert sum(heights) == count


# ---------------------------------------------------------------------------- in Arrow's memory


def in_arrow(rows: list[Any], parts: int = 2) -> Columns:
    """Return columns as the store reads them: in Arrow's memory, in several parts."""
    made = Columns.from_rows(rows)
    kinds = dict.fromkeys(FIELDS, pa.float64()) | {"trades": pa.int64()}
    values = {name: [row[place] for row in rows] for place, name in enumerate(FIELDS, start=1)}
    edges = [len(rows) * part // parts for part in range(parts + 1)]
    return Columns.from_arrow(
        made.time,
        {
            name: pa.chunked_array([column[a:b] for a, b in pairwise(edges)], kinds[name])
            for name, column in values.items()
        },
    )


@each
@pytest.mark.parametrize("touched", [(), ("close",), ("volume", "trades"), tuple(FIELDS)])
def test_columns_in_arrow_equal_those_in_arrays(rows: list[Any], touched: tuple[str, ...]) -> None:
    def both() -> tuple[Columns, Columns]:
        stored = in_arrow(rows)
        for name in touched:
            getattr(stored, name)
        assert set(stored.in_arrow) == set(FIELDS) - set(touched)
        return stored, Columns.from_rows(rows)

    def check(stored: Columns, plain: Columns) -> None:
        pd.testing.assert_frame_equal(to_pandas(stored), to_pandas(plain))
        assert to_polars(stored).equals(to_polars(plain))
        assert to_polars(stored).schema == to_polars(plain).schema
        assert to_arrow(stored).combine_chunks().equals(to_arrow(plain).combine_chunks())
        assert stored == plain
        assert not stored.in_arrow

    check(*both())
    for part in (slice(None), slice(1, 3), slice(-1, None), slice(3, 1), slice(None, None, -1)):
        stored, plain = both()
        check(stored[part], plain[part])
    for later_in_arrow in (False, True):
        (stored, plain), (later, plain_later) = both(), both()
        stored.extend(later if later_in_arrow else plain_later)
        plain.extend(plain_later)
        check(stored, plain)
    stored, plain = both()
    check(pickle.loads(pickle.dumps(stored)), plain)
    stored, plain = both()
    check(copy.deepcopy(stored), plain)


def test_frames_of_stored_columns_are_not_copied_and_are_writable() -> None:
    stored = in_arrow(ROWS, parts=1)
    address = stored.in_arrow["close"].chunk(0).buffers()[1].address

    assert to_arrow(stored)["close"].chunk(0).buffers()[1].address == address
    assert to_polars(stored).to_arrow()["close"].chunk(0).buffers()[1].address == address
    frame = to_pandas(stored)
    frame.loc[frame.index[0], "close"] = 1.0
    frame.loc[frame.index[0], "trades"] = 1
    assert (stored.close[0], stored.trades[0]) == (11.0, 7)
    assert not stored.is_decimal
