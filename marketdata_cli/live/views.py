"""Pictures of live data: the newest state of each stream."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar, cast

from marketdata.models._display import books
from marketdata.models._display.candles import ROWS, newest
from marketdata.models._display.cards import arrow, direction
from marketdata.models._display.elements import (
    ABSENT,
    DOWN,
    FAINT,
    FIRST,
    PLAIN,
    STRONG,
    UP,
    WARNING,
    Column,
    Line,
    Table,
)
from marketdata.models._display.lists import trade_columns
from marketdata.models._display.numbers import (
    duration,
    evened,
    fixed,
    moments,
    of_tick,
    percent,
    price_places,
)
from marketdata.models._display.origin import freshness, heading
from marketdata.models.newest import Newest
from marketdata_cli.views import drawing
from marketdata_cli.views.chart import chart
from marketdata_cli.views.layout import Screen, beside, table

if TYPE_CHECKING:
    from marketdata.models import Candles, OrderBook, Quote, Stream, Ticker
    from marketdata.models.newest import Bars

T = TypeVar("T")
V = TypeVar("V")

_KEPT = 500
"""Maximum numbers of trades and bars that are kept."""
_GAP = 2
_LADDER = 44
"""Minimum columns of a ladder."""
_AROUND_LADDER = 5
"""Lines of a ladder besides its levels: title, column heads, middle, end, and a blank line."""
_CHART = 50
_AROUND_CHART = 8
_LEAST_CHART = 4
"""Minimum lines of a useful chart."""
_MOST_CHART = 24


class View(ABC):
    """One kind of picture: it collects records, and draws them on request."""

    def __init__(self) -> None:
        self.newest = Newest(_KEPT)

    def take(self, records: Iterable[Any]) -> None:
        """Add new records."""
        self.newest.take(records)

    @abstractmethod
    def lines(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        """Draw all streams in order, with their state."""

    def rows(self, streams: Iterable[Stream]) -> list[tuple[Stream, Any]]:
        """Return each stream with its newest record, or None."""
        return [(one, self.newest.of(one).newest) for one in streams]


# ---------------------------------------------------------------------------- prices


class Tickers(View):
    """Tickers as rows of a table; the colour of the last price shows its direction."""

    def __init__(self) -> None:
        super().__init__()
        self._moves: dict[tuple[str, str], str] = {}

    def take(self, records: Iterable[Ticker]) -> None:
        """Add new records, and note the direction of prices."""
        for record in records:
            before = self.newest.of(record).newest
            if before and before.last and record.last and before.last != record.last:
                move = direction(record.last - before.last)
                self._moves[record.exchange, record.pair] = move
            super().take([record])

    def lines(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        """Draw a row a subject."""
        rows = self.rows(streams)
        known = [one for _, one in rows]
        prices = _of_tick(
            streams, known, 5, lambda one: (one.last, one.bid, one.ask, one.high, one.low)
        )
        changes = _each(known, lambda one: one.percentage)
        moves = [self._moves.get((one.exchange, one.pair), PLAIN) for one in streams]
        turns = [direction(change) for change in changes]
        volumes = _each(known, lambda one: one.base_volume)
        columns = [
            Column("last", prices[0], FIRST, styles=moves),
            Column("change", [percent(change) for change in changes], 8, styles=turns),
            Column("bid", prices[1], 7, styles=UP),
            Column("ask", prices[2], 7, styles=DOWN),
            Column("spread", [_spread(one) for one in known], 6),
            Column("high", prices[3], 4),
            Column("low", prices[4], 4),
            Column("base volume", evened(volumes), 3),
        ]
        return [_title("Tickers", streams), *_table(rows, columns, screen)]


class Quotes(View):
    """Quotes as rows of a table."""

    def lines(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        """Draw a row a subject."""
        rows = self.rows(streams)
        known = [one for _, one in rows]
        prices = _of_tick(streams, known, 2, lambda one: (one.bid, one.ask))
        bid_sizes = _each(known, lambda one: one.bid_volume)
        ask_sizes = _each(known, lambda one: one.ask_volume)
        columns = [
            Column("bid size", evened(bid_sizes), 5),
            Column("bid", prices[0], FIRST, styles=UP),
            Column("ask", prices[1], FIRST, styles=DOWN),
            Column("ask size", evened(ask_sizes), 5),
            Column("spread", [_spread(one) for one in known], 4),
        ]
        return [_title("Quotes", streams), *_table(rows, columns, screen)]


def _each(known: Sequence[T | None], read: Callable[[T], V | None]) -> list[V | None]:
    """Call ``read`` with each record; None stays None."""
    return [None if one is None else read(one) for one in known]


def _of_tick(
    streams: Sequence[Stream],
    known: Sequence[T | None],
    count: int,
    read: Callable[[T], Sequence[float | None]],
) -> list[list[str]]:
    """Write prices as columns, with the decimal places of each row's tick."""
    rows = [
        None if one is None else of_tick(stream, read(one))
        for stream, one in zip(streams, known, strict=True)
    ]
    return [[ABSENT if row is None else row[index] for row in rows] for index in range(count)]


def _spread(record: Ticker | Quote | None) -> str:
    if record is None or record.bid is None or record.ask is None:
        return ABSENT
    return fixed(record.ask - record.bid, price_places([record], [record.bid, record.ask]))


def _table(
    rows: Sequence[tuple[Stream, Any]], columns: Iterable[Column], screen: Screen
) -> list[Line]:
    """Put columns between the names of the streams and the age of their records."""
    exchanges = [one.exchange for one, _ in rows]
    several = len(set(exchanges)) > 1
    ages = [ABSENT if record is None else _age(record, screen.now) for _, record in rows]
    marks = [_mark(one, record, screen.now) for one, record in rows]
    shown = [
        Column("pair", [one.pair for one, _ in rows], FIRST, right=False, styles=STRONG),
        *([Column("exchange", exchanges, FIRST, right=False)] if several else []),
        *columns,
        Column("age", ages, 7, styles=FAINT),
        Column("", marks, 8, right=False, styles=WARNING),
    ]
    return table(Table(shown), screen.width, _GAP)


# ---------------------------------------------------------------------------- books


class Ladders(View):
    """Order books as ladders, next to each other if they fit."""

    def lines(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        """Draw a ladder for each stream."""
        across, place = _grid(len(streams), screen, _LADDER)
        levels = max(1, (place.height - _AROUND_LADDER) // 2)

        def ladder(stream: Stream, record: OrderBook | None) -> list[Line]:
            if record is None:
                return [_title(stream.pair, [stream]), [(stream.state, WARNING)]]
            title, *rest = drawing.lines(books.orderbook(record, screen.now, levels), place)
            return [_marked(title, _mark(stream, record, screen.now)), *rest]

        blocks = [ladder(stream, record) for stream, record in self.rows(streams)]
        return _laid_out(blocks, across, place.width)


# ---------------------------------------------------------------------------- trades


class Tape(View):
    """Trades, the newest at the bottom."""

    def lines(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        """Draw as many trades as fit."""
        pairs = list(dict.fromkeys(one.pair for one in streams))
        title = _title(pairs[0] if len(pairs) == 1 else "Trades", streams, "trades, newest last")
        # The other lines are the title, the column heads, a remark, and the last line.
        shown = self.newest.trades(max(1, screen.height - 4))
        if not shown:
            return [title, [("No trade yet.", FAINT)]]
        return [
            title,
            *table(Table(trade_columns(shown)), screen.width, _GAP),
            [("newest ", FAINT), *freshness(shown[-1:], screen.now)],
        ]


# ---------------------------------------------------------------------------- candles


class Charts(View):
    """Bars as charts, or as rows if the charts do not fit."""

    def past(self, record: Candles) -> None:
        """Add bars from before the first streamed one."""
        self._of(record).past = record

    def _of(self, told: Candles | Stream) -> Bars:
        return cast("Bars", self.newest.of(told))

    def rows(self, streams: Iterable[Stream]) -> list[tuple[Stream, Any]]:
        """Return each stream with its bars, or None."""
        return [(one, self._of(one).candles(_KEPT)) for one in streams]

    def lines(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        """Draw a chart or a row for each stream."""
        across, place = _grid(len(streams), screen, _CHART)
        if len(streams) > 1 and place.height < _AROUND_CHART + _LEAST_CHART:
            return self._list(streams, screen)
        blocks = [_chart(stream, record, place) for stream, record in self.rows(streams)]
        return _laid_out(blocks, across, place.width)

    def _list(self, streams: Sequence[Stream], screen: Screen) -> list[Line]:
        rows = self.rows(streams)
        bars = [None if one is None or not len(one) else one[-1] for _, one in rows]
        times = iter(moments([bar.open_time for bar in bars if bar is not None]))
        prices = _of_tick(streams, bars, 4, lambda bar: (bar.open, bar.high, bar.low, bar.close))
        turns = [direction(move) for move in _each(bars, lambda bar: bar.close - bar.open)]
        volumes = _each(bars, lambda bar: bar.volume)
        opened = [ABSENT if bar is None else next(times) for bar in bars]
        columns = [
            Column("time (UTC)", opened, 8, right=False),
            Column("open", prices[0], 6),
            Column("high", prices[1], 7),
            Column("low", prices[2], 7),
            Column("close", prices[3], FIRST, styles=turns),
            Column("volume", evened(volumes), 5),
        ]
        title = _title("Candles", streams, streams[0].timeframe or "")
        return [title, *_table(rows, columns, screen)]


def _chart(stream: Stream, record: Candles | None, place: Screen) -> list[Line]:
    what = f"{stream.timeframe} candles"
    if record is None or not len(record):
        return [_title(stream.pair, [stream], what), [(stream.state, WARNING)]]
    title = heading(record.pair, record.exchange, record.simulated, what)
    columns = record.columns
    bar = record[-1]
    move = bar.close - bar.open
    price = fixed(bar.close, price_places([record], columns.close[-100:]))
    title.append((f"  {price} {arrow(move)}", direction(move)))
    # Each bar takes two columns of the terminal.
    shown = record[-max(10, (place.width - len(price) - 2) // 2) :]
    listed = max(0, min(ROWS, place.height - 2 * _AROUND_CHART - _LEAST_CHART))
    rows = table(newest(shown[-listed:], listed), place.width, _GAP) if listed else []
    # Lines for the title, the age, and a blank line before the next chart.
    room = place.height - len(rows) - 3
    return [
        _marked(title, _mark(stream, record, place.now)),
        *chart(shown, place, room, _LEAST_CHART, _MOST_CHART),
        *rows,
        freshness([record], place.now),
    ]


# ---------------------------------------------------------------------------- layout


def _grid(count: int, screen: Screen, least: int) -> tuple[int, Screen]:
    """Divide a screen into cells of a minimum width; return the cells per row, and a cell."""
    across = max(1, min(count, (screen.width + _GAP) // (least + _GAP)))
    width = (screen.width - _GAP * (across - 1)) // across
    return across, replace(screen, width=width, height=screen.height // math.ceil(count / across))


def _laid_out(blocks: Sequence[list[Line]], across: int, width: int) -> list[Line]:
    lines: list[Line] = []
    for first in range(0, len(blocks), across):
        if lines:
            lines.append([])
        lines += beside(blocks[first : first + across], width, _GAP)
    return lines


def _title(what: str, streams: Sequence[Stream], detail: str = "") -> Line:
    exchanges = list(dict.fromkeys(one.exchange for one in streams))
    names = ", ".join(exchanges) if len(exchanges) <= 3 else f"{len(exchanges)} exchanges"
    return heading(what, names, any(one.simulated for one in streams), detail)


def _marked(title: Line, mark: str) -> Line:
    return [*title[:1], (f"  {mark}", WARNING), *title[1:]] if mark else title


def _age(record: Any, now: datetime) -> str:
    seconds = max(0.0, (now - record.received_at).total_seconds())
    # Milliseconds would flicker.
    return f"{seconds:.1f} s" if seconds < 60 else duration(seconds)


def _mark(stream: Stream, record: Any, now: datetime) -> str:
    """Return what is wrong with a stream or its record; empty if nothing is."""
    if stream.state != "live":
        return stream.state
    if record is None or record.fresh_for is None:
        return ""
    return "stale" if (now - record.received_at).total_seconds() > record.fresh_for else ""


VIEWS: dict[str, Callable[[], View]] = {
    "Ticker": Tickers,
    "Quote": Quotes,
    "OrderBook": Ladders,
    "Trade": Tape,
    "Candles": Charts,
}
"""Views by record type."""
