"""Times in all forms that are accepted."""

from __future__ import annotations

import calendar
import contextlib
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any, cast

from marketdata._arguments.saying import Pattern, refused, was
from marketdata._arguments.spoken import age, clock, last, length, not_a_time, period, split_zone
from marketdata._arguments.texts import legible
from marketdata.errors import InvalidParameterError

_DIGITS = Pattern(r"\d{9,40}(?:\.\d*)?", re.ASCII)
_COMPACT = Pattern(r"(?:19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{2}(?:\d\d){0,2}")
_YEAR_FIRST = Pattern(r"(\d{4})([-/.])(\d{1,2})(?:\2(\d{1,2}))?", re.ASCII)
_YEAR_LAST = Pattern(r"(\d{1,2})([-/.])(\d{1,2})\2(\d{4})", re.ASCII)
_MONTH_NAMES = {
    name.lower(): number
    for names in (calendar.month_name, calendar.month_abbr)
    for number, name in enumerate(names)
    if name
} | {"sept": 9}
_IN_WORDS = [
    Pattern(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        r"(?P<month>[a-z]+)\.?\s+(?P<day>\d{1,2})(?:st|nd|rd|th)?,?\s+(?P<year>\d{4})",
        r"(?P<day>\d{1,2})(?:st|nd|rd|th)?[\s-]+(?:of\s+)?(?P<month>[a-z]+)\.?,?[\s-]+(?P<year>\d{4})",
        r"(?P<year>\d{4})[\s-]+(?P<month>[a-z]+)[\s-]+(?P<day>\d{1,2})",
        r"(?P<month>[a-z]+)\.?,?\s+(?P<year>\d{4})",
    )
]
_SINCE = Pattern(r"(?:since|from|starting(?:\s+from)?)\s+(.+)", re.IGNORECASE)
_UNTIL = Pattern(r"(?:until|till|up\s+to)\s+(.+)", re.IGNORECASE)
_YEAR_3000 = 32_503_680_000_000
_SCALES = ((100_000_000, 1_000), (100_000_000_000, 1), (10**14, 1e-3), (10**17, 1e-6))
"""The smallest numbers that count as seconds, milliseconds and so on, with the unit in ms.

The smallest of each is March 1973, before any exchange; a hundred times as many is the year 2286.
"""


class Milliseconds(int):
    """A time parsed by `instant`: Unix milliseconds, which it does not change again."""


def range_start(value: Any, *, now: datetime | None = None) -> Milliseconds:
    """Return the start of a range, like `instant`.

    Also accepts forms that can only mean a start there: lengths, which are ages (``2h``,
    ``7 days``, ``P7D``), and periods, of which the start counts (``this week``, ``ytd``,
    ``Q3 2025``).
    """
    if isinstance(value, str) and len(value) <= 200:
        text = _inside(value)
        text = found[1] if (found := _SINCE.fullmatch(text)) else text
        now = now or datetime.now(UTC)
        # A lone m can mean a month, so its age is only suggested.
        if (ago := length(text)) is not None and not re.fullmatch(r"\d+\s*[mM]", text):
            return instant(ago, now=now)
        spell = period(text.lower(), _midnight(now))
        return instant(text if spell is None else spell[0], now=now)
    return instant(value, now=now)


def range_end(value: Any, *, now: datetime | None = None) -> Milliseconds:
    """Return the end of a range, like `instant`; a period is refused with its start and end."""
    if isinstance(value, str) and len(value) <= 200:
        text = _inside(value)
        text = found[1] if (found := _UNTIL.fullmatch(text)) else text
        if spell := period(text.lower(), _midnight(now or datetime.now(UTC))):
            raise not_a_time(value, *(f"{one:%Y-%m-%d}" for one in reversed(spell)))
        return instant(text, now=now)
    return instant(value, now=now)


def _inside(text: str) -> str:
    return legible(text).strip().strip("\"'").strip()


def _midnight(now: datetime) -> datetime:
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def instant(value: Any, *, now: datetime | None = None) -> Milliseconds:
    """Return a point in time as Unix milliseconds.

    Accepts a datetime (UTC if it has no zone; also those of pandas and pendulum), a numpy time, a
    date (its first moment in UTC), ISO-8601 text, also of a month or a year alone (its first
    moment), dates with the name of the month, times with the name of their zone, Unix seconds,
    milliseconds, microseconds or nanoseconds (also as text, distinguished by their digits),
    ``now``, ``today``, ``yesterday``, or an age such as ``-90m``, ``-7d``, ``-1M``, ``-1y``,
    ``7 days ago``. Raises `InvalidParameterError` for anything else, with possible meanings as
    ``closest``, and for times before 1970 or after 2999.
    """
    moment: datetime
    match value:
        case Milliseconds():
            return value
        case bool():
            raise not_a_time(value)
        case int() | float():
            return _counted(value)
        case datetime():
            if value != value:
                raise not_a_time(value)
            moment = value
        case date():
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str() if len(value) > 200:
            raise not_a_time(value)
        case str():
            text = _inside(value)
            if _DIGITS.fullmatch(text):
                return _of_digits(text)
            moment = _read(text, value, now or datetime.now(UTC))
        case _:
            return instant(_of_numpy(value), now=now)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    milliseconds = round(moment.timestamp() * 1000)
    if not 0 <= milliseconds < _YEAR_3000:
        raise InvalidParameterError(f"A time is after 1970 and before 3000; {was(value)}.")
    return Milliseconds(milliseconds)


def said_back(given: Any, read: int) -> str | None:
    """Return a time as ISO-8601 text; None if it was given as that or as Unix milliseconds."""
    if isinstance(given, int) and given == read:
        return None
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            datetime.fromisoformat(given.strip())
            return None
    moment = datetime.fromtimestamp(read / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")


def _read(text: str, value: str, now: datetime) -> datetime:
    """Parse a string that is not a number; errors repeat `value`."""
    lower, midnight = text.lower(), _midnight(now)
    if lower == "now":
        return now
    if (found := age(text, now) or clock(lower, midnight)) is not None:
        return found
    if re.fullmatch(r"\d\.\d+e\+?\d{1,2}", lower, re.ASCII):
        return datetime.fromtimestamp(_counted(float(lower)) / 1000, UTC)
    if zoned := split_zone(text):
        shorter, zone = zoned
        moment = _read(shorter, value, now)
        return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment
    for shorter in (text, re.sub(r"\s*(?:utc|gmt|z)$", "+00:00", lower).upper()):
        try:
            return datetime.fromisoformat(shorter)
        except ValueError:
            continue
    if (day := _dated(text, value)) is not None:
        return day
    from email.utils import parsedate_to_datetime  # imported here, because it is slow

    try:
        return parsedate_to_datetime(text)  # the format of HTTP and mail
    except (ValueError, IndexError, TypeError):
        raise not_a_time(value, *_meant(text, midnight)) from None


def _meant(text: str, midnight: datetime) -> list[str]:
    """Return the meanings of an ambiguous string."""
    lower = text.lower()
    if (ago := length(text)) is not None:
        return [ago]
    if spell := period(lower, midnight):
        return [f"{spell[0]:%Y-%m-%d}"]
    others = {"latest": "now", "current": "now", "present": "now", "midnight": "today"} | {
        "0": "1970-01-01"
    }
    return [others[lower]] if lower in others else last(lower, midnight)


def _dated(text: str, value: str) -> datetime | None:
    """Parse a date that is not ISO-8601; raise an error if day and month are unclear."""
    if re.fullmatch(r"(?:19|20)\d\d", text):
        return datetime(int(text), 1, 1)
    for pattern in _IN_WORDS:
        if (found := pattern.fullmatch(text)) and found["month"].lower() in _MONTH_NAMES:
            parts = found.groupdict()
            month = _MONTH_NAMES[found["month"].lower()]
            return _day(int(parts["year"]), month, int(parts.get("day") or 1), value)
    day_text, _, time = text.partition(" ")
    found = _YEAR_FIRST.fullmatch(day_text)
    last = _YEAR_LAST.fullmatch(day_text)
    if found:
        day = _day(int(found[1]), int(found[3]), int(found[4] or 1), value)
    elif last:
        first, second, year = int(last[1]), int(last[3]), int(last[4])
        if first != second and first <= 12 and second <= 12:
            either = [_day(year, *one, value) for one in ((first, second), (second, first))]
            raise _two_days(value, [f"{one:%Y-%m-%d}{time and f'T{time}'}" for one in either])
        month, number = (second, first) if first > 12 else (first, second)
        day = _day(year, month, number, value)
    else:
        return None
    if not time:
        return day
    try:
        return datetime.fromisoformat(f"{day:%Y-%m-%d}T{time}")
    except ValueError:
        return None


def _day(year: int, month: int, day: int, value: str) -> datetime:
    try:
        return datetime(year, month, day)
    except ValueError:
        raise not_a_time(value) from None


def _of_digits(text: str) -> Milliseconds:
    digits = text.partition(".")[0]
    if _COMPACT.fullmatch(text) and len(text) in (10, 12, 14):
        # As a number this would be an unlikely time: 1970 to 1976, or years from now.
        try:
            moment = datetime.fromisoformat(f"{text[:8]}T{text[8:]}")
        except ValueError:
            pass
        else:
            raise refused(
                "A time of digits alone is a number of seconds or smaller units",
                text,
                moment.isoformat(),
            )
    return _counted(float(text) if len(digits) < 14 and digits != text else int(digits))


def _counted(number: float) -> Milliseconds:
    """Parse a number of seconds, milliseconds, microseconds or nanoseconds, by its size."""
    if isinstance(number, int) or math.isfinite(number):
        for least, scale in _SCALES:
            if least <= number < 100 * least:
                if isinstance(number, int) and scale < 1:
                    return Milliseconds(number // round(1 / scale))
                return Milliseconds(round(number * scale))
    year = isinstance(number, int) and 1970 <= number < 2100
    raise refused(
        "A number given as a time is Unix seconds (10 digits) or milliseconds (13 digits)",
        number,
        *([f"{number}-01-01"] if year else ["1970-01-01"] if number == 0 else []),
    )


def _of_numpy(value: Any) -> datetime | int | float:
    """Convert a scalar of numpy, a time or a number, to one of Python."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind not in ("M", "i", "u", "f") or getattr(value, "shape", None) != ():
        raise not_a_time(value)
    found = value.astype("datetime64[us]").item() if kind == "M" else value.item()
    if found is None:  # not a time
        raise not_a_time(value)
    return cast("datetime | int | float", found)


def _two_days(value: str, days: Sequence[str]) -> InvalidParameterError:
    return refused("day and month of this date are ambiguous: write it as ISO-8601", value, *days)
