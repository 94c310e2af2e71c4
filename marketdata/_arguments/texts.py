"""Lists, numbers and booleans as text, and values that count as omitted."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from marketdata._arguments.saying import Pattern, refused

_NOTHING = frozenset(
    ("", "null", "none", "undefined", "nil", "[]", "()", '""', "''", '[""]', "['']", "[null]")
)
_TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "t": True, "y": True} | {
    "false": False,
    "no": False,
    "off": False,
    "0": False,
    "f": False,
    "n": False,
}
_WHOLE = Pattern(r"[+-]?\d{1,30}(?:\.0*)?", re.ASCII)
_THOUSANDS = Pattern(r"\d{1,3}(?:[,_ ']\d{3})+", re.ASCII)
_NUMBER = Pattern(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d{1,3})?", re.ASCII | re.IGNORECASE)
_GROUPED = Pattern(
    r"\d{1,3}(?:,\d{3})+\.\d+|\d{1,3}(?:,\d{3}){2,}|\d{1,3}(?:[ _']\d{3})+(?:\.\d+)?", re.ASCII
)
_COMMA = Pattern(r"\d{1,9},\d{1,9}", re.ASCII)
_WITH_UNIT = Pattern(
    r"(?P<sign>[$\u20ac\u00a3])?\s*(?P<digits>\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?)"
    r"\s*(?P<multiple>(?:k|m|b|thousand|million|billion)\b)?\s*(?P<unit>[A-Za-z]{2,6})?",
    re.IGNORECASE | re.ASCII,
)
_BETWEEN = Pattern(r"[,;|\n]|\s+(?:and|&|vs\.?|versus)\s+", re.IGNORECASE)
_COUNTED = Pattern(
    r"(\d{1,9})\s*(?:levels?|rows?|candles?|bars?|trades?|entries|results?|pairs?)", re.IGNORECASE
)
_MONEY = frozenset(("USD", "USDT", "USDC", "EUR", "GBP", "DOLLAR", "EURO", "EUROS"))
"""Currencies that are rarely the base currency of an amount."""
_MULTIPLES = {"k": 1_000, "t": 1_000, "m": 1_000_000, "b": 1_000_000_000}
_LONGEST = 100_000
"""Maximum characters of a text that is parsed."""


def is_left_out(value: object) -> bool:
    """Return whether a value counts as omitted, for an optional argument."""
    if isinstance(value, str):
        return len(value) < 20 and value.strip().lower() in _NOTHING
    return isinstance(value, list | tuple | set | frozenset) and all(
        isinstance(one, str) and is_left_out(one) for one in value
    )


def legible(text: str) -> str:
    """Return a string with full-width letters and digits of all scripts as ASCII.

    Invisible characters are removed.
    """
    if text.isascii():
        return text
    plain = (
        one for one in unicodedata.normalize("NFKC", text) if unicodedata.category(one) != "Cf"
    )
    return "".join(str(unicodedata.decimal(one, one)) for one in plain)


def whole(value: Any) -> Any:
    """Convert a whole number written as a text or float to an int; else return the value."""
    if isinstance(value, str):
        text = legible(value).strip().strip("\"'")
        if _WHOLE.fullmatch(text):
            return int(text.partition(".")[0])
        if _THOUSANDS.fullmatch(text):
            return int(re.sub(r"[,_ ']", "", text))
        if found := _COUNTED.fullmatch(text):
            return int(found[1])
        if re.fullmatch(r"\d{1,6}k", text, re.ASCII | re.IGNORECASE):
            return int(text[:-1]) * 1_000
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def number(value: Any, name: str) -> Any:
    """Return a number written as text without its surroundings; else the value.

    Raises `InvalidParameterError`, with ``name``, for a number with a unit, or with a comma that
    can separate thousands or decimals.
    """
    if not isinstance(value, str) or len(value) > 60:
        return value
    text = legible(value).strip().strip("\"'").strip()
    if _NUMBER.fullmatch(text):
        return text
    if _GROUPED.fullmatch(text):
        return re.sub(r"[, _']", "", text)
    if _COMMA.fullmatch(text):
        either = [text.replace(",", ".")]
        if _THOUSANDS.fullmatch(text):
            either.insert(0, text.replace(",", ""))
        raise refused(f"{name} has a comma: write decimals with a point", value, *either)
    if found := _WITH_UNIT.fullmatch(text):
        digits, multiple = found["digits"].replace(",", ""), found["multiple"] or ""
        if multiple:
            # m can mean a million or a thousandth.
            is_clear = not found["sign"] and not found["unit"] and multiple != "m"
            digits = _multiplied(digits, multiple)
            if is_clear and "," not in found["digits"]:
                return digits
        if name == "amount" and (found["sign"] or (found["unit"] or "").upper() in _MONEY):
            error = refused("amount is in base currency; quote_amount is in quote currency", value)
            error.details["rename"] = {"amount": "quote_amount"}
            raise error
        raise refused(f"{name} is a number alone", value, digits)
    return value


def _multiplied(digits: str, word: str) -> str:
    from decimal import Decimal  # rarely needed

    return f"{(Decimal(digits) * _MULTIPLES[word[0].lower()]).normalize():f}"


def fraction(value: Any, name: str) -> Any:
    """Convert a number written as text to a float, like `number`; else return the value."""
    found = number(value, name)
    return float(found) if isinstance(found, str) and _NUMBER.fullmatch(found) else found


def truth(value: Any) -> Any:
    """Convert a yes or no written as text, or as 1 or 0, to a bool; else return the value."""
    if isinstance(value, str):
        return _TRUTHS.get(legible(value).strip().strip("\"'").lower(), value)
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    return value


def listed(value: Any) -> Any:
    """Convert another iterable, or one text, to a list of texts; else return the value.

    A text is JSON, or has commas or similar, lines, or blanks between texts with a slash. Sets have
    no order and are sorted.
    """
    if isinstance(value, str):
        return _several(_divided(value))
    if isinstance(value, set | frozenset):
        return _several(sorted(value))
    if isinstance(value, list | tuple):
        return _several(value)
    if isinstance(value, bytes | bytearray | Sequence | Mapping) or not isinstance(value, Iterable):
        return value
    return _several(list(value))


def _several(value: Any) -> Any:
    """Remove empty texts, and split texts of a list that contain several."""
    if not isinstance(value, list | tuple):
        return value
    answer: list[Any] = []
    for one in value:
        if isinstance(one, str) and is_left_out(one):
            continue
        apart = _divided(one) if isinstance(one, str) and re.search(r"[,;\[\n]", one) else one
        answer += apart if isinstance(apart, list) else [one]
    return answer


def _divided(text: str) -> Any:
    if len(text) > _LONGEST:
        return [text]
    cleaned = legible(text).strip()
    if cleaned.startswith("```"):
        cleaned = re.sub(r"^```\w*\s*|\s*```$", "", cleaned)
    if cleaned[:1] in ("[", '"', "{"):
        import json  # imported here, so that help pages are fast

        try:
            read = json.loads(cleaned)
        except (ValueError, RecursionError):
            pass
        else:
            # Some clients encode JSON twice.
            return _divided(read) if isinstance(read, str) and read != text else read
    if cleaned[:1] + cleaned[-1:] in ("[]", "()", "{}"):
        cleaned = cleaned[1:-1]
    if _BETWEEN.search(cleaned):
        parts = _BETWEEN.split(cleaned)
    elif cleaned.count("/") > 1 and all(
        re.fullmatch(r"[^\s/]+/[^\s/]+", part) for part in cleaned.split()
    ):
        parts = cleaned.split()
    else:
        parts = [cleaned]
    texts = [part.strip().strip("\"'").strip() for part in parts]
    return [one for one in texts if one]


def single(value: Any) -> Any:
    """Return the only text of a list with one text; else the value."""
    if isinstance(value, str):
        value = legible(value)
        if value.lstrip()[:1] in ("[", '"', "'"):
            value = _divided(value)
    if isinstance(value, list | tuple | set | frozenset) and len(value) == 1:
        [one] = value
        return one if isinstance(one, str) else value
    return value
