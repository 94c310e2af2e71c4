"""Gaps in words: their number, range and cause."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from marketdata.models._display.elements import PLAIN, WARNING, Line
from marketdata.models._display.numbers import counted, duration, span

if TYPE_CHECKING:
    from marketdata.models import Interval

_WORDS = {
    "no_trades": "no trades",
    "outage": "outage",
    "not_served": "not served",
    "not_fetched": "not fetched",
}


def of_bars(intervals: Sequence[Interval], what: str = "") -> str:
    """Write how many bars some ranges hold: ``3 missing candles``."""
    return counted(sum(one.bars for one in intervals), f"{what} candle".strip())


def by_cause(intervals: Sequence[Interval]) -> str:
    """Write the number of bars for each cause, largest first; a single cause has no number."""
    bars = Counter[str]()
    for one in intervals:
        bars[_WORDS.get(one.cause or "", "")] += one.bars
    if len(bars) == 1:
        return next(iter(bars))
    return ", ".join(f"{count:,} {cause or 'unexplained'}" for cause, count in bars.most_common())


def named(title: str, intervals: Sequence[Interval], most: int) -> list[Line]:
    """List ranges in time order; if there are more than ``most``, list only the longest."""
    if not intervals:
        return []
    causes = by_cause(intervals)
    head = f"{title} {of_bars(intervals)}{f' ({causes})' if causes else ''}:"
    lines: list[Line] = [[(head, WARNING)]]
    longest = sorted(intervals, key=lambda one: -one.bars)[:most]
    for one in sorted(longest, key=lambda one: one.start):
        parts = [f"  {span(one.start, one.end)}", of_bars([one])]
        if "," in causes and one.cause is not None:
            parts.append(_WORDS[one.cause])
        length = f" ({duration((one.end - one.start).total_seconds())})" if one.bars > 1 else ""
        lines.append([(f"{', '.join(parts)}{length}", PLAIN)])
    if len(intervals) > most:
        lines.append([(f"  and {len(intervals) - most:,} shorter", PLAIN)])
    return lines
