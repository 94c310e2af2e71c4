"""Pages about stored candles: series, downloads, plans of downloads, damage."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from marketdata.models._display.elements import (
    ABSENT,
    DOWN,
    FAINT,
    FIRST,
    PLAIN,
    SIMULATED,
    STRONG,
    WARNING,
    Column,
    Line,
    Page,
    Table,
)
from marketdata.models._display.gaps import by_cause, named
from marketdata.models._display.numbers import counted, digits, duration, moments, size

if TYPE_CHECKING:
    from marketdata.models.stored import Damage, Day, Downloaded, Plan, Series

RANGES = 3
"""How many gaps are listed for each series."""

_PROBLEMS = {
    "log_unreadable": "unreadable log",
    "file_missing": "missing file",
    "file_unreadable": "unreadable file",
    "rows_wrong": "wrong rows",
    "bars_wrong": "impossible prices",
    "overlap": "time told twice",
    "file_left_over": "file that is not used",
}


class OfSeries(Protocol):
    """The fields that name the series of a record."""

    @property
    def exchange(self) -> str:
        """The id of the exchange."""
        ...

    @property
    def pair(self) -> str:
        """The pair."""
        ...

    @property
    def timeframe(self) -> str:
        """The timeframe of the candles."""
        ...

    @property
    def simulated(self) -> bool | None:
        """Whether it is from the simulated exchange."""
        ...


def name(record: OfSeries) -> str:
    """Name a series."""
    return f"{record.exchange} {record.pair} {record.timeframe}"


def series(records: Sequence[Series], _now: datetime) -> Page:
    """List stored series."""
    if not records:
        return []
    columns = [
        *_names(records),
        *_range([one.start for one in records], [one.end for one in records]),
        Column("candles", [digits(one.bars) for one in records], 8),
        Column("missing", [digits(one.missing or None) for one in records], 7),
        Column("requested", [requested(one) for one in records], 9),
        Column("size", [size(one.size) for one in records], 4),
        Column("files", [digits(one.files) for one in records], 1),
    ]
    return [
        *_heading("Stored candles", records),
        Table(columns),
        [(total(records), FAINT)],
        *(line for one in records for line in _days(one)),
    ]


def _days(record: Series) -> Page:
    """List the incomplete days of a series, and count the complete ones."""
    if record.days is None:
        return []
    shown = [day for day in record.days if day.state != "complete"]
    whole = counted(len(record.days) - len(shown), "complete day")
    columns = [
        Column("day", [f"{one.day:%Y-%m-%d}" for one in shown], 10, right=False),
        Column("state", [one.state.replace("_", " ") for one in shown], 10, right=False),
        Column("candles", [digits(one.bars) for one in shown], 6),
        Column("missing", [digits(sum(gap.bars for gap in one.missing)) for one in shown], 7),
        Column("causes", [_causes(one) for one in shown], 10, right=False),
    ]
    return [
        [],
        [(f"{name(record)}: {whole}", FAINT)],
        *([Table(columns)] if shown else []),
    ]


def _causes(day: Day) -> str:
    causes = dict.fromkeys((gap.cause or "unknown").replace("_", " ") for gap in day.missing)
    return ", ".join(causes)


def total(records: Sequence[Series]) -> str:
    """Sum up stored series."""
    bars = counted(sum(one.bars for one in records), "candle")
    return f"{counted(len(records), 'series')}, {bars}, {size(sum(one.size for one in records))}"


def requested(record: Series) -> str:
    """Write how much of a series was requested between its ends; only all of it is 100%."""
    known = record.bars + record.missing
    if not record.not_fetched:
        return "100%"
    return f"{math.floor(known / (known + record.not_fetched) * 10_000) / 100:.2f}%"


def downloaded(records: Sequence[Downloaded], _now: datetime) -> Page:
    """List the results of downloads, and the gaps."""
    errors = [str(one.error["code"]) if one.error else "" for one in records]
    columns = [
        *_names(records),
        *_range([one.start for one in records], [one.end for one in records], open_end="now"),
        Column("candles", [digits(one.bars) for one in records], 8),
        Column("missing", [_holes(one) for one in records], 7, right=False),
        Column("new", [digits(one.fetched) for one in records], 6),
        Column("took", [duration(one.seconds) for one in records], 3),
        Column("", errors, 8, right=False, styles=DOWN),
    ]
    page: Page = [*_heading("Downloads", records), Table(columns)]
    for one in records:
        page += named(f"{name(one)} misses", one.holes, RANGES)
    return [*page, [(summary(records), FAINT)]]


def summary(records: Sequence[Downloaded]) -> str:
    """Sum up downloads in one line."""
    holes = [hole for one in records for hole in one.holes]
    failed = sum(one.error is not None for one in records)
    known = counted(sum(one.bars for one in records), "candle")
    if holes:
        known += f" and {sum(one.bars for one in holes):,} missing ({by_cause(holes)})"
    new = f"{sum(one.fetched for one in records):,} of them new"
    return ", ".join(
        [counted(len(records), "series"), known, new, *([f"{failed} failed"] if failed else [])]
    )


def plans(records: Sequence[Plan], _now: datetime) -> Page:
    """List the requests and the time that downloads would take."""
    columns = [
        *_names(records),
        *_range([one.start for one in records], [one.end for one in records]),
        Column("stored", [digits(one.stored) for one in records], 6),
        Column("to fetch", [digits(one.wanted) for one in records], 7),
        Column("requests", [digits(one.requests) for one in records], 8),
        Column("at least", [duration(one.seconds) for one in records], 8),
    ]
    # Exchanges are requested in parallel; the series of one exchange share its rate limit.
    seconds: dict[str, float] = defaultdict(float)
    for one in records:
        seconds[one.exchange] += one.seconds
    requests = counted(sum(one.requests for one in records), "request")
    wanted = counted(sum(one.wanted for one in records), "candle")
    text = f"{wanted} to fetch in {requests}, at least {duration(max(seconds.values()))}"
    return [
        *_heading("A download would take", records),
        Table(columns),
        [(text, FAINT)],
    ]


def damage(records: Sequence[Damage], _now: datetime) -> Page:
    """List the damage of stored series."""
    if not records:
        return []
    columns = [
        *_names(records),
        Column("problem", [_PROBLEMS[one.problem] for one in records], 8, False, WARNING),
        *_range([one.start for one in records], [one.end for one in records]),
        Column("file", [one.path or ABSENT for one in records], 2, right=False),
    ]
    return [*_heading("Damage", records), Table(columns)]


def _heading(text: str, records: Sequence[OfSeries]) -> list[Line]:
    if not all(one.simulated for one in records):
        return [[(text, STRONG)]]
    return [[(text, STRONG), ("  ", PLAIN), (" SIMULATED ", SIMULATED)]]


def _names(records: Sequence[OfSeries]) -> list[Column]:
    simulated = [bool(one.simulated) for one in records]
    marked = any(simulated) and not all(simulated)
    return [
        Column("series", [name(one) for one in records], FIRST, right=False, styles=STRONG),
        Column("", ["simulated" if marked and one else "" for one in simulated], 8, False, WARNING),
    ]


def _range(
    starts: Sequence[datetime | None], ends: Sequence[datetime | None], open_end: str = ABSENT
) -> list[Column]:
    return [
        Column("from (UTC)", _times(starts, ABSENT), 5, right=False),
        Column("to", _times(ends, open_end), 6, right=False),
    ]


def _times(times: Sequence[datetime | None], otherwise: str) -> list[str]:
    known = [time for time in times if time is not None]
    # Candles open at whole seconds, but a start such as "a day ago" has fractions.
    whole = moments([time.replace(microsecond=0) for time in known])
    written = dict(zip(known, whole, strict=True))
    return [otherwise if time is None else written[time] for time in times]


def _holes(record: Downloaded) -> str:
    if not record.holes:
        return ABSENT
    causes = by_cause(record.holes)
    return (
        causes if "," in causes else f"{sum(one.bars for one in record.holes):,} {causes}".strip()
    )
