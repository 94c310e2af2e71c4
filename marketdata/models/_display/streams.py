"""Pages of live subscriptions and recordings: the state of each stream."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from marketdata.models._display.elements import (
    ABSENT,
    FAINT,
    FIRST,
    PLAIN,
    SIMULATED,
    STRONG,
    UP,
    WARNING,
    Column,
    Line,
    Page,
    Table,
)
from marketdata.models._display.numbers import counted, digits, duration, size

if TYPE_CHECKING:
    from marketdata.models import Recorded, Stream


def streams(records: Sequence[Stream], now: datetime) -> Page:
    """List live subscriptions with their state."""
    states = [UP if one.state == "live" else WARNING for one in records]
    ages = [
        ABSENT if one.last_message is None else f"{duration(_since(one.last_message, now))} ago"
        for one in records
    ]
    lags = [ABSENT if one.lag_ms is None else f"{one.lag_ms:,.0f} ms" for one in records]
    columns = [
        *_subjects(records),
        Column("state", [f"● {one.state}" for one in records], FIRST, False, states),
        Column("messages", [digits(one.messages) for one in records], 6),
        Column("last", ages, 7),
        Column("lag", lags, 5),
        Column("gaps", [digits(one.gaps or None) for one in records], 8, styles=WARNING),
        Column("dropped", [digits(one.dropped or None) for one in records], 8, styles=WARNING),
        Column("resyncs", [digits(one.resyncs or None) for one in records], 4, styles=WARNING),
        Column("reconnects", [digits(one.reconnects or None) for one in records], 5, True, WARNING),
        Column("watchers", [digits(one.watchers) for one in records], 2),
        Column("memory", [size(one.memory) for one in records], 1),
        Column("", [one.error or "" for one in records], 7, False, WARNING),
    ]
    return [_title("Streams", records), Table(columns), [(counted(len(records), "stream"), FAINT)]]


def _since(moment: datetime, now: datetime) -> float:
    return max((now - moment).total_seconds(), 0.0)


def _subjects(records: Sequence[Stream]) -> list[Column]:
    kinds = [f"{one.timeframe or ''} {one.kind}".strip() for one in records]
    return [
        Column("exchange", [one.exchange for one in records], FIRST, right=False),
        Column("pair", [one.pair for one in records], FIRST, right=False, styles=STRONG),
        Column("what", kinds, FIRST, right=False),
    ]


def recorded(record: Recorded, _now: datetime) -> Page:
    """List the streams of a recording."""
    streams = record.streams
    columns = [
        *_subjects(streams),
        Column("messages", [digits(one.messages) for one in streams], 8),
        Column("gaps", [digits(one.gaps or None) for one in streams], 6, styles=WARNING),
        Column("resyncs", [digits(one.resyncs or None) for one in streams], 4, styles=WARNING),
        Column("reconnects", [digits(one.reconnects or None) for one in streams], 5, True, WARNING),
        Column("", [one.error or "" for one in streams], 7, False, WARNING),
    ]
    return [_title(record.path, streams), Table(columns), [(total(record), FAINT)]]


def _title(what: str, streams: Sequence[Stream]) -> Line:
    title: Line = [(what, STRONG)]
    if any(one.simulated for one in streams):
        title += [("  ", PLAIN), (" SIMULATED ", SIMULATED)]
    return title


def total(record: Recorded) -> str:
    """Sum up a recording."""
    gaps = counted(sum(one.gaps for one in record.streams), "gap")
    frames = counted(record.frames, "frame")
    return f"{frames}, {size(record.size)}, {duration(record.seconds)}, {gaps}"
