"""Lengths: timeframes of candles, and windows of tickers."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from marketdata._arguments.saying import Pattern, Read, refused
from marketdata._arguments.spoken import COUNTS, MONTHS, UNITS, unit_of
from marketdata._arguments.texts import legible
from marketdata.errors import InvalidParameterError

TIMEFRAME = re.compile(r"[1-9]\d{0,3}[smhdwMy]", re.ASCII)
_COUNT = rf"(?P<count>\d{{1,5}}|{'|'.join(sorted(COUNTS, key=len, reverse=True))})"
_FORMS = [
    Pattern(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"{_COUNT}[\s_-]*(?P<unit>[a-z]+)",
        r"(?P<unit>[a-z]+?)[\s_-]*(?P<count>\d{1,4})",
        r"(?P<unit>[a-z]+)",
    )
]
_CANDLES = r"(?:candle(?:stick)?s?|klines?(?:_interval)?|bars?|ohlcv?)"
_ISO = Pattern(r"P(?:(\d{1,4})([YMWD])|T(\d{1,5})([HMS]))", re.IGNORECASE | re.ASCII)
_MINUTES_OFFERED = (5, 10, 15, 20, 30, 45, 60, 90, 120, 240)
"""Numbers before an M that usually mean minutes: no exchange has timeframes of so many months."""
_OTHER_UNITS = {"T": "m", "MN": "M"}
"""Names of pandas and MetaTrader."""
_LONGER = (("s", 60, "m"), ("m", 60, "h"), ("h", 24, "d"))
_COMMON = ("1m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "12h", "1d", "1w", "3m", "8h", "3d")


def is_timeframe(text: str) -> bool:
    """Return whether a text is a timeframe in its standard form: a number and a unit."""
    return TIMEFRAME.fullmatch(text) is not None


def timeframe(value: str) -> str:
    """Convert a timeframe to a number up to 9999 and one of s m h d w M y.

    ``1H``, ``60m``, ``1 hour``, ``hourly`` and ``ONE_HOUR`` become ``1h``; M is a month and m a
    minute, as on exchanges. Raises `InvalidParameterError` for anything else, and with both
    meanings for ambiguous values: a lone M, a number without a unit.
    """
    if isinstance(value, Read):
        return value
    found = _read(value, "timeframe", "timeframe is a number and one of s m h d w M y, such as 1h")
    # A value that was written as 15 months is accepted when it is parsed again.
    return Read(found) if found[-1] == "M" and int(found[:-1]) in _MINUTES_OFFERED else found


def _read(value: Any, name: str, otherwise: str) -> str:
    if isinstance(value, timedelta):
        value = f"{round(value.total_seconds())}s"
    text = legible(str(value)).strip().strip("\"'").strip()
    if len(text) > 40:
        raise refused(otherwise, value)
    if re.fullmatch(r"[1-9]\d{0,7}(?:\.0*)?", text, re.ASCII):
        number = int(text.partition(".")[0])
        hours = (f"{number}h", f"{number}m") if name == "window" and number <= 24 else ()
        raise _without_unit(value, number, name, hours)
    if text in ("M", "m"):
        raise refused(f"{name} {text} may mean a month or a minute", value, "1M", "1m")
    if (found := _several(text)) is not None:
        count, unit = found
        if unit == "M" and text[-1] == "M" and text[:-1].isdigit() and count in _MINUTES_OFFERED:
            meant = _shortest(count, "m")
            raise refused(
                f"{text} may mean {count} months or minutes: write '{count} months' or '{count}m'",
                value,
                *([] if meant is None else [meant]),
                f"{count} months",
            )
        if unit in "mM" and re.fullmatch(r"m\d+", text, re.IGNORECASE):
            if count not in _MINUTES_OFFERED:
                both = [f"{count}m", f"{count}M"]
                raise refused(f"{name} {text} may mean minutes or months", value, *both)
            unit = "m"
        if (shortest := _shortest(count, unit)) is not None:
            return shortest
    raise refused(otherwise, value, *_parts(text))


def nearest(length: str, offered: Sequence[str]) -> list[str]:
    """Return the at most three available timeframes that are closest in length."""
    wanted = _approximate(length)
    names = [one for one in offered if is_timeframe(one)]
    return sorted(names, key=lambda one: abs(math.log(_approximate(one) / wanted)))[:3]


def _approximate(length: str) -> float:
    """Return the seconds of a timeframe, as if all months and years were equal."""
    unit = UNITS.get(length[-1]) or timedelta(days=30.4 * MONTHS[length[-1]])
    return int(length[:-1]) * unit.total_seconds()


def _several(text: str) -> tuple[int, str] | None:
    """Parse a number of units, in words or digits; a unit alone counts as one."""
    if TIMEFRAME.fullmatch(text):
        return int(text[:-1]), text[-1]
    if found := _ISO.fullmatch(text):
        letter = found[2] or found[4]
        unit = letter.lower() if found[4] or letter not in "Mm" else "M"
        return int(found[1] or found[3]), unit
    # Names of channels have the kind of data before the length; OKX marks its UTC days.
    text = re.sub(
        rf"^{_CANDLES}[\s_-]*|[\s_-]*{_CANDLES}$|(?<=[a-z])utc$", "", text, flags=re.IGNORECASE
    )
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is None:
            continue
        said = found.groupdict().get("count") or "1"
        count = int(said) if said.isdigit() else COUNTS.get(said.lower())
        unit = _OTHER_UNITS.get(found["unit"]) or unit_of(found["unit"])
        if count and unit is not None:
            return count, unit
    return None


def _shortest(count: int, unit: str) -> str | None:
    """Return a length in its longest whole unit; None if it is too long."""
    for shorter, size, longer in _LONGER:
        if unit == shorter and count % size == 0:
            count, unit = count // size, longer
    return f"{count}{unit}" if 1 <= count <= 9_999 else None


def _without_unit(
    value: object, number: int, name: str, likely: Sequence[str]
) -> InvalidParameterError:
    meant = [_shortest(number, "m"), _shortest(number, "s")]
    if number % 1000 == 0:
        meant.append(_shortest(number // 1000, "s"))
    both = [one for one in dict.fromkeys(meant) if one is not None]
    both.sort(key=lambda one: one not in _COMMON)
    return refused(
        f"{name} {number} has no unit: exchanges count minutes, seconds or milliseconds",
        value,
        *(likely or both[:2]),
    )


def _parts(text: str) -> list[str]:
    """Return the timeframe of a fraction or of two units."""
    found = re.fullmatch(r"(\d{1,3}\.\d{1,2})\s*([a-z]+)", text, re.IGNORECASE | re.ASCII)
    if found and (unit := unit_of(found[2])) in UNITS:
        seconds = float(found[1]) * UNITS[unit].total_seconds()
        return [one for one in [_shortest(round(seconds), "s")] if one is not None]
    found = re.fullmatch(r"(\d{1,2})h\s*(\d{1,2})m", text, re.IGNORECASE | re.ASCII)
    if found:
        return [f"{60 * int(found[1]) + int(found[2])}m"]
    if re.fullmatch(r"half[\s_-]?(?:an[\s_-])?hour(?:ly)?", text, re.IGNORECASE):
        return ["30m"]
    if found := re.fullmatch(r"(?:quarterly|quarter|([1-4])?q)", text, re.IGNORECASE):
        return [f"{3 * int(found[1] or 1)}M"]
    return []


_WINDOWS = "window is 'day' or a length: 1m to 59m, 1h to 24h, 1d to 7d"


def window(text: str) -> str:
    """Convert a ticker's window to ``day`` (the trading day) or a rolling one such as ``4h``.

    Minutes from 1 to 59, hours from 1 to 24 and days from 1 to 7 are allowed; ``1d`` is ``24h``.
    Other forms are those of `timeframe`.
    """
    cleaned = str(text).strip().strip("\"'").strip()
    if cleaned.lower() in ("day", "today", "utc day"):
        return "day"
    if cleaned.lower() == "daily":
        raise refused("daily may mean the last 24 hours or the UTC day", text, "24h", "day")
    zeros = cleaned.lstrip("0") if re.fullmatch(r"0+\d+\D+", cleaned, re.ASCII) else cleaned
    length = _read(zeros, "window", _WINDOWS)
    count, unit = int(length[:-1]), length[-1]
    if unit == "w":
        count, unit = 7 * count, "d"
    if 1 <= count <= {"m": 59, "h": 24, "d": 7}.get(unit, 0):
        return "24h" if (count, unit) == (1, "d") else f"{count}{unit}"
    hours = count * UNITS[unit] / timedelta(hours=1) if unit in UNITS else 10_000
    near = "7d" if hours > 144 else f"{math.ceil(hours / 24)}d" if hours > 24 else None
    raise refused(_WINDOWS, text, near or (f"{math.ceil(hours)}h" if hours >= 1 else "1m"))


def window_length(text: str) -> timedelta:
    """Return the length of a rolling window that `window` has checked."""
    return int(text[:-1]) * UNITS[text[-1]]
