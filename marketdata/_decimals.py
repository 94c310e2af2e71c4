"""Arithmetic on the numbers that exchanges sent: floats would add binary noise to it."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal


def exact(value: float) -> Decimal:
    """Give the decimal number that an exchange sent."""
    return Decimal(str(value))


def difference(more: float, less: float) -> float:
    """Subtract."""
    return float(exact(more) - exact(less))


def mean(first: float, second: float) -> float:
    """Give the number in the middle of two."""
    return float((exact(first) + exact(second)) / 2)


def total(values: Iterable[float]) -> Decimal:
    """Add up; zero where there is nothing to add."""
    return sum(map(exact, values), Decimal(0))


def basis_points(part: Decimal, whole: Decimal) -> float | None:
    """Give a part in hundredths of a percent of a whole; None where that is not positive."""
    return round(float(part / whole * 10_000), 6) if whole > 0 else None
