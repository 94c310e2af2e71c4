"""What a bar has to be before it is stored."""

from __future__ import annotations

import math
from array import array
from decimal import Context, localcontext
from operator import le, lt
from statistics import mode

from marketdata._history import timeframes
from marketdata.models.columns import Columns


def sound(
    columns: Columns, timeframe: str, disputed: frozenset[int] = frozenset()
) -> tuple[Columns, frozenset[int]]:
    """Give the bars that can be, and when the others open, or should (Unix ms).

    Bars come in order. Their prices are positive and finite, the low is the lowest and the high
    the highest of them, volume is not negative, and all stand on the grid on which most do.
    ``disputed`` are the opening times of those that came in two forms.
    """
    if columns.is_decimal:
        with localcontext(Context(traps=[])):  # comparisons with NaN are errors otherwise
            return _sound_ones(columns, timeframe, disputed)
    return _sound_ones(columns, timeframe, disputed)


def _sound_ones(
    columns: Columns, timeframe: str, disputed: frozenset[int]
) -> tuple[Columns, frozenset[int]]:
    if not len(columns) or (not disputed and _all_sound(columns, timeframe)):
        return columns, disputed
    step = timeframes.length(timeframe)
    remainder = mode(time % step for time in columns.time)
    wrong = {time - (time - remainder) % step for time in disputed}
    rows = columns.rows()
    for bar in rows:
        beside = (bar[0] - remainder) % step
        if beside or not _sound(*bar[1:6]):
            wrong.add(bar[0] - beside)
    kept = [bar for bar in rows if bar[0] % step == remainder and bar[0] not in wrong]
    return Columns.from_rows(kept), frozenset(wrong)


def _all_sound(columns: Columns, timeframe: str) -> bool:
    opened, high, low, close = columns.open, columns.high, columns.low, columns.close
    times = columns.time
    return (
        # Comparisons with NaN are false.
        all(map(le, low, opened))
        and all(map(le, low, close))
        and all(map(le, opened, high))
        and all(map(le, close, high))
        and min(low) > 0
        and math.isfinite(max(high))
        and not any(map(lt, columns.volume, bytes(len(columns))))
        and math.inf not in columns.volume
        and times == array("q", range(times[0], times[-1] + 1, timeframes.length(timeframe)))
    )


def _sound(opened: float, high: float, low: float, close: float, volume: float | None) -> bool:
    # Comparisons with NaN are false here, too.
    prices = 0 < low <= opened <= high < math.inf and low <= close <= high
    return prices and (volume is None or 0 <= volume < math.inf)
