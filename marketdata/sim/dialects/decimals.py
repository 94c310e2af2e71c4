"""Integers of a known scale as the decimal text that exchanges send."""

from __future__ import annotations


def fixed(value: int, scale: int, places: int) -> str:
    """Return ``value / 10**scale`` with ``places`` decimals.

    Nothing is rounded away: digits beyond ``places`` that are not zero are kept.
    """
    while scale > places and value % 10 == 0:
        value //= 10
        scale -= 1
    if scale < places:
        value *= 10 ** (places - scale)
        scale = places
    if not scale:
        return str(value)
    sign = "-" if value < 0 else ""
    digits = str(abs(value)).rjust(scale + 1, "0")
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}"


def short(value: int, scale: int) -> str:
    """Return ``value / 10**scale`` without trailing zeros."""
    return fixed(value, scale, 0)


def ratio(numerator: int, denominator: int, places: int) -> str:
    """Return ``numerator / denominator`` rounded to ``places`` decimals; 0 over 0 is 0."""
    if not denominator:
        return fixed(0, 0, places)
    doubled = 2 * numerator * 10**places + denominator
    return fixed(doubled // (2 * denominator), places, places)
