"""Helpers for tests of derived answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from jsonschema import Draft202012Validator

import marketdata as md

from .other_exchanges import (
    MINUTE,
    OtherExchange,
    opened,
    wait_for_room,
)

Open = Callable[..., tuple[md.Client, OtherExchange]]

BEST = {"bid", "bidVolume", "ask", "askVolume"}


def fields(record: Any) -> set[str]:
    """Which of its fields a record says are derived; its JSON satisfies its schema."""
    sent = record.to_dict()
    Draft202012Validator(type(record).json_schema()).validate(sent)
    assert record.derived is (True if record.derived_fields else None)
    assert set(record.derived_fields or ()) <= sent.keys()
    return set(record.derived_fields or ())


TRADED = [(1_000, 10.0), (61_000, 12.0), (62_000, 9.0), (185_000, 11.0)]
"""Milliseconds from the beginning of a minute, and prices."""


def recent(minutes_ago: int) -> list[tuple[int, float]]:
    wait_for_room(MINUTE)
    first = opened(MINUTE, minutes_ago)
    return [(first + after, cost) for after, cost in TRADED]
