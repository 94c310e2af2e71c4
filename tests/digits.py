"""Answers with more digits than a float keeps, and the numbers of records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Literal

from pydantic import BaseModel

from marketdata.models import Columns

Form = Literal["as sent", "text", "numbers"]
FORMS: tuple[Form, ...] = ("as sent", "text", "numbers")

MORE = "000000000000123456789"
"""Put behind a number with a point: what a float cannot keep."""
_NUMBER = re.compile(r'(?<=[\[,:{])\s*("?)(-?\d+\.\d+)("?)\s*(?=[\],}])')

NO_PRICES = {"fresh_for", "_received", "age", "latency_ms"}
"""What are floats in both modes: our own measurements."""


class Sent:
    """Changes answers so that each number with a point has more digits; knows what was sent."""

    def __init__(self, form: Form = "as sent") -> None:
        self._form = form
        self.texts: set[str] = set()

    def change(self, answer: Any) -> Any:
        """Change an answer on its way through a gateway."""
        answer.body = self.longer(answer.body.decode()).encode()
        return answer

    def longer(self, body: str) -> str:
        """Change the text of an answer or a frame."""
        return _NUMBER.sub(self._longer, body)

    def _longer(self, found: re.Match[str]) -> str:
        if not float(found[2]):
            return found[0]  # nothing is left of a level
        number = found[2] + MORE
        self.texts.add(number)
        mark = {"as sent": found[1], "text": '"', "numbers": ""}[self._form]
        return f"{mark}{number}{mark}"


def numbers(record: Any) -> Iterator[Any]:
    """Yield all prices, sizes and what was made of them, in a record or in many."""
    match record:
        case Columns():
            for name in ("open", "high", "low", "close", "volume"):
                yield from getattr(record, name)
        case BaseModel():
            for name, value in vars(record).items():
                if name not in NO_PRICES:
                    yield from numbers(value)
        case list() | tuple():
            for one in record:
                yield from numbers(one)
        case Decimal() | float():
            yield record


def told(record: Any, *names: str) -> set[str]:
    """Return the texts of some fields of a record, of those that it has."""
    values = [getattr(record, name) for name in names]
    return {format(one, "f") for one in numbers(values)}
