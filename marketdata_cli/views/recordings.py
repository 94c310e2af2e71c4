"""The page of a recording: how each of its streams did, and how large it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketdata_cli.views.layout import (
    FAINT,
    PLAIN,
    SIMULATED,
    STRONG,
    WARNING,
    Column,
    Line,
    Screen,
    table,
)
from marketdata_cli.views.numbers import counted, digits, duration, size

if TYPE_CHECKING:
    from marketdata.models import Recorded

FIRST = 9
"""Columns that are never left out."""


def recorded(record: Recorded, screen: Screen) -> list[Line]:
    """List the streams of a recording."""
    streams = record.streams
    kinds = [f"{one.timeframe or ''} {one.kind}".strip() for one in streams]
    columns = [
        Column("exchange", [one.exchange for one in streams], FIRST, right=False),
        Column("pair", [one.pair for one in streams], FIRST, right=False, styles=STRONG),
        Column("what", kinds, FIRST, right=False),
        Column("messages", [digits(one.messages) for one in streams], 8),
        Column("gaps", [digits(one.gaps or None) for one in streams], 6, styles=WARNING),
        Column("resyncs", [digits(one.resyncs or None) for one in streams], 4, styles=WARNING),
        Column("reconnects", [digits(one.reconnects or None) for one in streams], 5, True, WARNING),
        Column("", [one.error or "" for one in streams], 7, False, WARNING),
    ]
    title: Line = [(record.path, STRONG)]
    if any(one.simulated for one in streams):
        title += [("  ", PLAIN), (" SIMULATED ", SIMULATED)]
    return [title, *table(columns, screen.width), [(total(record), FAINT)]]


def total(record: Recorded) -> str:
    """Sum up a recording."""
    gaps = counted(sum(one.gaps for one in record.streams), "gap")
    frames = counted(record.frames, "frame")
    return f"{frames}, {size(record.size)}, {duration(record.seconds)}, {gaps}"
