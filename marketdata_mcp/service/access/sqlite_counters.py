"""The counters in an SQLite file: read, checked and written in one transaction."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from marketdata_mcp.service.access.accounts import (
    KEPT_WEEKS,
    MINUTE,
    WEEK,
    AwayError,
    Bounds,
    Counted,
    Used,
    minute_of,
    over,
    week_of,
)

__all__ = ["Asked", "count_each", "read_used"]

Run: TypeAlias = Callable[..., sqlite3.Cursor]

_logger = logging.getLogger(__name__)

_KEPT_MINUTES = 5
"""Minutes before the current one whose calls are kept, because a clock can jump."""

_SET_USED = "INSERT OR REPLACE INTO used VALUES (?,?,?,?)"

# By number and not by the clock, which can jump: the usage of this week must still be there once
# the clock is right again.
_FORGET = (
    "DELETE FROM used WHERE account = ? AND span = ? AND start NOT IN"
    " (SELECT start FROM used WHERE account = ? AND span = ? ORDER BY start DESC LIMIT ?)"
)


class Asked(NamedTuple):
    """A call to count, with the future of its caller."""

    account: str
    at: float
    units: int
    bounds: Bounds
    counted: asyncio.Future[Counted]


def count_each(run: Run, asked: Sequence[Asked]) -> list[Counted | None]:
    """Count calls in order in one transaction; each counter is read and written once.

    Returns None for a call whose counters are damaged.
    """
    units: dict[tuple[str, int, int], int] = {}
    changed: dict[tuple[str, int, int], None] = {}
    found: list[Counted | None] = []
    for one in asked:
        minute = (one.account, MINUTE, minute_of(one.at))
        week = (one.account, WEEK, week_of(one.at))
        if minute not in units or week not in units:
            try:
                read = read_used(run, one.account, one.at)
            except AwayError:
                found.append(None)
                continue
            units.setdefault(minute, read.minute)
            units.setdefault(week, read.week)
        used = Used(units[minute], units[week])
        refused = over(used, one.units, one.bounds)
        if refused is None:
            if used.minute == 0:
                for span, kept in ((MINUTE, _KEPT_MINUTES), (WEEK, KEPT_WEEKS)):
                    run(_FORGET, [one.account, span, one.account, span, kept])
            used = Used(used.minute + 1, used.week + one.units)
            units[minute], units[week] = used
            changed |= {minute: None, week: None}
        found.append(Counted(refused, used))
    for counter in changed:
        run(_SET_USED, [*counter, units[counter]])
    return found


def read_used(run: Run, account: str, at: float) -> Used:
    """Read the usage of an account; raises `AwayError` if it is not a number."""
    rows = run(
        "SELECT span, units FROM used WHERE account = ? AND (span = ? AND start = ?"
        " OR span = ? AND start = ?)",
        [account, MINUTE, minute_of(at), WEEK, week_of(at)],
    ).fetchall()
    if not all(isinstance(units, int) for _, units in rows):
        _logger.error("what the file of accounts holds of a counter is damaged")
        raise AwayError
    units = dict(rows)
    return Used(units.get(MINUTE, 0), units.get(WEEK, 0))
