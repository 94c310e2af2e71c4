"""Times in words: ages, days, weeks, quarters, and the names of time zones."""

from __future__ import annotations

import calendar
import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo

from marketdata._arguments.saying import Pattern, refused
from marketdata.errors import InvalidParameterError

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
_DIGITS = r"\d{1,6}|\d{1,4}\.\d{1,2}"
_NUMBER = rf"(?P<count>{_DIGITS}|half\s+an?|[a-z]+)"
_UNIT = r"(?P<unit>[a-z]+)"
_AGES = [
    Pattern(pattern, re.IGNORECASE | re.ASCII)
    for pattern in (
        rf"(?:now\s*)?[-\N{{MINUS SIGN}}\N{{EN DASH}}]\s*(?P<count>{_DIGITS})\s*{_UNIT}(?:\s+ago)?",
        rf"{_NUMBER}\s*{_UNIT}\s+(?:ago|back|before now|earlier)",
        rf"(?:the\s+)?(?:last|past|previous)\s+{_NUMBER}\s*{_UNIT}",
    )
]
_LENGTH = Pattern(r"\+?(?P<count>\d{1,6})\s*(?P<unit>[a-z]+)", re.IGNORECASE | re.ASCII)
_ISO_LENGTH = Pattern(r"-?P(\d{1,4})([YMWD])|-?PT(\d{1,4})([HMS])", re.IGNORECASE | re.ASCII)
_CLOCK = Pattern(
    r"(?P<day>today|yesterday)(?:\s+at|,)?\s+"
    r"(?:(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)|(?P<twelve>1[0-2]|[1-9])\s*(?P<half>[ap])m)",
    re.IGNORECASE | re.ASCII,
)
_BEGINNING = Pattern(r"(?:the\s+)?(?:start|beginning)\s+of\s+(?:the\s+|this\s+)?(?P<unit>[a-z]+)")
_LAST = Pattern(r"(?:the\s+)?(?:last|previous)\s+(?P<unit>[a-z]+)")
_PAST = Pattern(r"(?:the\s+)?past\s+(?P<unit>[a-z]+)", re.IGNORECASE)
_THIS = Pattern(r"(?:this|current)\s+(?P<unit>[a-z]+)|(?P<letter>[wmy])td|(?P<word>[a-z]+) to date")
_PART = Pattern(r"(?:([qh])([1-4])[\s-]*(\d{4})|(\d{4})[\s-]*([qh])([1-4]))", re.ASCII)
_WEEKDAYS = {
    name.lower(): number
    for names in (calendar.day_name, calendar.day_abbr)
    for number, name in enumerate(names)
}
_ZONE = Pattern(
    r"(?P<time>\d{4}.*?)\s*(?:\[(?P<in>[\w/+-]+)\]|(?:UTC|GMT)(?P<offset>[+-]\d{1,2}(?::?\d\d)?)"
    r"|\s(?P<name>[A-Z]{3,4}|[A-Z][A-Za-z_]+/[A-Za-z_/+-]+))",
    re.ASCII,
)
_HOURS = {"EST": -5, "EDT": -4, "PST": -8, "PDT": -7, "CET": 1, "CEST": 2} | {
    "UTC": 0,
    "GMT": 0,
    "HKT": 8,
    "SGT": 8,
    "JST": 9,
    "KST": 9,
}
"""Time zone abbreviations with one meaning: not CST, IST and BST, which have three each."""


def unit_of(word: str) -> str | None:
    """Return the unit (s m h d w M y) of a word; None if it has none or two.

    A lone M is a month, m a minute; in longer words case does not matter.
    """
    if word == "M":
        return "M"
    return _UNIT_OF.get(word.lower())


def age(text: str, now: datetime) -> datetime | None:
    """Read an age such as ``-7d``, ``2 hours ago``, ``past 3 days``; None for anything else."""
    for pattern in _AGES:
        found = pattern.fullmatch(text)
        if found is None or (unit := unit_of(found["unit"])) is None:
            continue
        word = found["count"].lower()
        if word.startswith("half "):
            word = "0.5"
        count = float(word) if word[0].isdigit() else COUNTS.get(word)
        if count is None or (unit in MONTHS and count != int(count)):
            continue
        try:
            return _before(now, count, unit)
        except (OverflowError, ValueError):  # before the year 1
            raise not_a_time(text) from None
    return None


def _before(moment: datetime, count: float, unit: str) -> datetime:
    """Go back a number of units; months and years follow the calendar, to the last day at most."""
    if unit not in MONTHS:
        return moment - count * UNITS[unit]
    number = moment.year * 12 + moment.month - 1 - int(count) * MONTHS[unit]
    year, month = number // 12, number % 12 + 1
    day = min(moment.day, calendar.monthrange(year, month)[1])
    return moment.replace(year=year, month=month, day=day)


def clock(lower: str, midnight: datetime) -> datetime | None:
    """Parse a named day, with or without a time of day; None for anything else."""
    days = {"today": 0, "yesterday": 1, "tomorrow": -1, "the day before yesterday": 2}
    if lower in days:
        return midnight - timedelta(days=days[lower])
    if found := _BEGINNING.fullmatch(lower):
        return _begun(midnight, "d" if found["unit"] == "today" else unit_of(found["unit"]) or "")
    if (found := _CLOCK.fullmatch(lower)) is None:
        return None
    hour = int(found["hour"] or int(found["twelve"]) % 12 + 12 * (found["half"].lower() == "p"))
    day = midnight - timedelta(days=found["day"] == "yesterday")
    return day.replace(hour=hour, minute=int(found["minute"] or 0))


def length(text: str) -> str | None:
    """Return the age for a length without a sign: ``2h``, ``7 days``, ``P7D``."""
    if found := _ISO_LENGTH.fullmatch(text):
        count, unit = found[1] or found[3], (found[2] or found[4]).lower()
        return f"-{count}{'M' if found[2] and unit == 'm' else unit}"
    found = _LENGTH.fullmatch(text) or _PAST.fullmatch(text)
    unit = unit_of(found["unit"]) if found else None
    return (
        None
        if found is None or unit is None
        else f"-{int(found.groupdict().get('count', 1))}{unit}"
    )


def last(lower: str, midnight: datetime) -> list[str]:
    """Return the possible starts of ``last week``, or of a weekday on that same day."""
    if _WEEKDAYS.get(lower) == midnight.weekday():
        return [f"{midnight - timedelta(days=days):%Y-%m-%d}" for days in (0, 7)]
    found = _LAST.fullmatch(lower)
    unit = unit_of(found["unit"]) if found else None
    if unit is None:
        return []
    begun = _begun(midnight, unit)
    return [f"-1{unit}", *([] if begun is None else [f"{_before(begun, 1, unit):%Y-%m-%d}"])]


def period(lower: str, midnight: datetime) -> tuple[datetime, datetime] | None:
    """Return the start and the end of a period, since its name alone can mean either.

    For example ``this week``, ``ytd``, ``Q3 2025``, or ``Friday`` (the last past one).
    """
    if found := _THIS.fullmatch(lower):
        letter = found["letter"]
        unit = {"m": "M"}.get(letter, letter) or unit_of(found["unit"] or found["word"]) or ""
        begun = _begun(midnight, unit)
        return None if begun is None else (begun, _before(begun, -1, unit))
    if found := _PART.fullmatch(lower):
        letter, number = found[1] or found[5], int(found[2] or found[6])
        months = {"q": 3, "h": 6}[letter]
        year = int(found[3] or found[4])
        if number * months > 12 or not 1970 <= year < 3000:
            return None
        begin = datetime(year, months * (number - 1) + 1, 1, tzinfo=UTC)
        return begin, _before(begin, -months, "M")
    days = (midnight.weekday() - _WEEKDAYS.get(lower, midnight.weekday())) % 7
    day = midnight - timedelta(days=days)
    return (day, day + timedelta(days=1)) if days else None


def _begun(midnight: datetime, unit: str) -> datetime | None:
    """Return the start of a midnight's day, week, month or year; weeks start on Monday."""
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


def split_zone(text: str) -> tuple[str, tzinfo] | None:
    """Separate the time zone from a time; None if there is none, or an ambiguous one."""
    found = _ZONE.fullmatch(text)
    if found is None:
        return None
    if offset := found["offset"]:
        hours, minutes = int(offset[:3].rstrip(":")), 0
        if len(digits := offset[1:].replace(":", "")) > 2:
            hours, minutes = int(offset[0] + digits[:-2]), int(offset[0] + digits[-2:])
        if abs(hours) > 14:
            return None
        return found["time"], timezone(timedelta(hours=hours, minutes=minutes))
    name = found["in"] or found["name"]
    if name in _HOURS:
        return found["time"], timezone(timedelta(hours=_HOURS[name]))
    if "/" not in name:
        return None
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # rarely needed

    try:
        return found["time"], ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return None


def not_a_time(value: object, *meant: str) -> InvalidParameterError:
    """Make the error of an invalid time, with possible meanings."""
    return refused(
        "A time is ISO-8601 (2024-01-31T12:00Z), a date, Unix seconds or milliseconds, or an age "
        "(-7d)",
        value,
        *meant,
    )
