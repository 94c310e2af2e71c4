"""Points in time as callers write them."""

from __future__ import annotations

import calendar
import contextlib
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

from marketdata._arguments.saying import Pattern, refused, was
from marketdata.errors import InvalidParameterError

__all__ = ["COUNTS", "MONTHS", "UNITS", "Milliseconds", "instant", "said_back", "unit_of"]

UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
MONTHS = {"M": 1, "y": 12}
_NAMES = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours", "hourly"),
    "d": ("d", "day", "days", "daily"),
    "w": ("w", "wk", "wks", "week", "weeks", "weekly"),
    "M": ("mo", "mon", "mons", "mth", "month", "months", "monthly"),
    "y": ("y", "yr", "yrs", "year", "years", "yearly", "annual", "annually"),
}
_UNIT_OF = {name: unit for unit, names in _NAMES.items() for name in names}
COUNTS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
    "twelve": 12,
    "fifteen": 15,
    "twenty": 20,
    "thirty": 30,
    "sixty": 60,
    "ninety": 90,
}
_NUMBER = r"(?P<count>\d{1,6}|[a-z]+)"
_UNIT = r"(?P<unit>[a-z]+)"
_AGES = [
    Pattern(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?:now\s*)?[-\N{{MINUS SIGN}}\N{{EN DASH}}]\s*(?P<count>\d{{1,6}})\s*{_UNIT}(?:\s+ago)?",
        rf"{_NUMBER}\s*{_UNIT}\s+(?:ago|back|before now|earlier)",
        rf"(?:the\s+)?(?:last|past|previous)\s+{_NUMBER}\s*{_UNIT}",
    )
]
_LAST = Pattern(r"(?:the\s+)?(?P<which>last|past|previous|this)\s+(?P<unit>[a-z]+)")
_BEGINNING = Pattern(r"(?:the\s+)?(?:start|beginning)\s+of\s+(?:the\s+|this\s+)?(?P<unit>[a-z]+)")
_CLOCK = Pattern(
    r"(?P<day>today|yesterday)(?:\s+at)?\s+(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)", re.ASCII
)
_LENGTH = Pattern(r"\+?(?P<count>\d{1,6})\s*(?P<unit>[a-z]+)", re.IGNORECASE | re.ASCII)
_FRACTION = Pattern(r"-(\d{1,4}\.\d{1,2})([hdw])", re.ASCII)
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
_QUARTER = Pattern(r"(?:q([1-4])[\s-]*(\d{4})|(\d{4})[\s-]*q([1-4]))", re.IGNORECASE | re.ASCII)
_YEAR_3000 = 32_503_680_000_000
_SCALES = ((100_000_000, 1_000), (100_000_000_000, 1), (10**14, 1e-3), (10**17, 1e-6))
"""From where on a number counts seconds, milliseconds and so on, and each in milliseconds.

The smallest of each is March 1973, before any exchange; a hundred times as many is the year 2286.
"""


class Milliseconds(int):
    """A time that `instant` has read: Unix milliseconds, which it leaves as they are."""


def instant(value: Any, *, now: datetime | None = None) -> Milliseconds:
    """Give a point in time as Unix milliseconds.

    Takes a datetime (UTC where it has no zone; those of pandas and pendulum are some), a numpy
    time, a date (its first moment in UTC), ISO-8601 text, also of a month or a year alone (its
    first moment), dates with the name of the month, Unix seconds, milliseconds, microseconds or
    nanoseconds (also as text, told apart by their digits), ``now``, ``today``, ``yesterday``, or an
    age such as ``-90m``, ``-7d``, ``-1M``, ``-1y``, ``7 days ago``. Raises `InvalidParameterError`
    for anything else, with what it may mean as ``closest``, and for times before 1970 or after
    2999.
    """
    moment: datetime
    match value:
        case Milliseconds():
            return value
        case bool():
            raise _not_a_time(value)
        case int() | float():
            return _counted(value)
        case datetime():
            if value != value:
                raise _not_a_time(value)
            moment = value
        case date():
            moment = datetime(value.year, value.month, value.day, tzinfo=UTC)
        case str() if len(value) > 200:
            raise _not_a_time(value)
        case str():
            text = value.strip().strip("\"'").strip()
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
    """Give a time as ISO-8601 text, where it was not given as that, or as Unix milliseconds."""
    if isinstance(given, int) and given == read:
        return None
    if isinstance(given, str):
        with contextlib.suppress(ValueError):
            datetime.fromisoformat(given.strip())
            return None
    moment = datetime.fromtimestamp(read / 1000, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z").replace(".000Z", "Z")


def unit_of(word: str) -> str | None:
    """Give the unit (s m h d w M y) that a word names; None where none, or where two are meant.

    A lone M is a month, m a minute; in longer words case does not matter.
    """
    if word == "M":
        return "M"
    return _UNIT_OF.get(word.lower())


def _read(text: str, value: str, now: datetime) -> datetime:
    """Read a text that is no number; `value` is what an error repeats."""
    lower = text.lower()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    match lower:
        case "now":
            return now
        case "today":
            return midnight
        case "yesterday":
            return midnight - timedelta(days=1)
        case "tomorrow":
            return midnight + timedelta(days=1)
    for pattern in _AGES:
        if (found := pattern.fullmatch(text)) and (age := _age(found, now, value)) is not None:
            return age
    for shorter in (text, re.sub(r"\s*(?:utc|gmt|z)$", "+00:00", lower).upper()):
        try:
            return datetime.fromisoformat(shorter)
        except ValueError:
            continue
    if (day := _dated(text, value)) is not None:
        return day
    from email.utils import parsedate_to_datetime  # imported where it is needed: it takes long

    try:
        return parsedate_to_datetime(text)  # as HTTP and mail write it
    except (ValueError, IndexError, TypeError):
        raise _not_a_time(value, *_meant(lower, now, midnight)) from None


def _age(found: re.Match[str], now: datetime, value: str) -> datetime | None:
    word = found["count"].lower()
    count = int(word) if word.isdigit() else COUNTS.get(word)
    unit = unit_of(found["unit"])
    if count is None or unit is None:
        return None
    try:
        return _before(now, count, unit)
    except (OverflowError, ValueError):  # before the year 1
        raise _not_a_time(value) from None


def _before(moment: datetime, count: int, unit: str) -> datetime:
    """Go back so many units; months and years go by the calendar, to its last day at most."""
    if unit not in MONTHS:
        return moment - count * UNITS[unit]
    number = moment.year * 12 + moment.month - 1 - count * MONTHS[unit]
    year, month = number // 12, number % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def _dated(text: str, value: str) -> datetime | None:
    """Read a date that ISO-8601 would write otherwise; raises where day and month are unclear."""
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
        raise _not_a_time(value) from None


def _meant(lower: str, now: datetime, midnight: datetime) -> list[str]:
    """Give what a text may mean that is not taken, since it may mean something else as well."""
    if found := _LAST.fullmatch(lower):
        unit = unit_of(found["unit"])
        if unit is None:
            return []
        begun = _begun(midnight, unit)
        if found["which"] == "this":
            return [] if begun is None else [f"{begun:%Y-%m-%d}"]
        before = None if begun is None else _before(begun, 1, unit)
        return [f"-1{unit}", *([] if before is None else [f"{before:%Y-%m-%d}"])]
    if found := _BEGINNING.fullmatch(lower):
        begun = _begun(midnight, unit_of(found["unit"]) or "")
        return [] if begun is None else [f"{begun:%Y-%m-%d}"]
    if found := _CLOCK.fullmatch(lower):
        day = midnight - timedelta(days=found["day"] == "yesterday")
        return [f"{day:%Y-%m-%d}T{int(found['hour']):02}:{found['minute']}"]
    if found := _LENGTH.fullmatch(lower):
        unit = unit_of(found["unit"])
        return [] if unit is None else [f"-{int(found['count'])}{unit}"]
    if found := _FRACTION.fullmatch(lower):
        seconds = float(found[1]) * UNITS[found[2]].total_seconds()
        return [f"-{round(seconds / 60)}m"] if seconds < 6e7 else []
    if found := _QUARTER.fullmatch(lower):
        quarter, year = int(found[1] or found[4]), int(found[2] or found[3])
        return [f"{year:04}-{3 * quarter - 2:02}-01"]
    if found := re.fullmatch(r"-?p(\d{1,4})([ymwd])|-?pt(\d{1,4})([hms])", lower):
        count, unit = found[1] or found[3], found[2] or found[4]
        return [f"-{count}{'M' if found[2] == 'm' else unit}"]
    return {
        "ytd": [f"{now:%Y}-01-01"],
        "mtd": [f"{now:%Y-%m}-01"],
        "latest": ["now"],
        "current": ["now"],
        "present": ["now"],
        "midnight": ["today"],
        "0": ["1970-01-01"],
    }.get(lower, [])


def _begun(midnight: datetime, unit: str) -> datetime | None:
    """Give when the day, week, month or year began that a midnight is in; weeks on a Monday."""
    match unit:
        case "d":
            return midnight
        case "w":
            return midnight - timedelta(days=midnight.weekday())
        case "M":
            return midnight.replace(day=1)
        case "y":
            return midnight.replace(month=1, day=1)
    return None


def _of_digits(text: str) -> Milliseconds:
    digits = text.partition(".")[0]
    if _COMPACT.fullmatch(text) and len(text) in (10, 12, 14):
        # As a count this is a time that nobody asks for: 1970 to 1976, or years from now.
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
    """Read a number of seconds, milliseconds, microseconds or nanoseconds, by its size."""
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
    """Give a scalar of numpy's, a time or a number, as one of Python's."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    if kind not in ("M", "i", "u", "f") or getattr(value, "shape", None) != ():
        raise _not_a_time(value)
    found = value.astype("datetime64[us]").item() if kind == "M" else value.item()
    if found is None:  # not a time
        raise _not_a_time(value)
    return cast("datetime | int | float", found)


def _not_a_time(value: object, *meant: str) -> InvalidParameterError:
    return refused(
        "A time is ISO-8601 (2024-01-31T12:00Z), a date, Unix seconds or milliseconds, or an age "
        "(-7d)",
        value,
        *meant,
    )


def _two_days(value: str, days: Sequence[str]) -> InvalidParameterError:
    return refused(
        "day and month of this date can be exchanged: write it as ISO-8601", value, *days
    )
