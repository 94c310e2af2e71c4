"""Sequences found by the model that once broke a rule."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from . import session
from .strategies import Ask, LookAfter, Sequence
from .truth import Question
from .wire import Wire
from .world import Days, Odd, World

HOUR = 3_600_000
BEGIN = 1_708_992_000_000
"""2024-02-27."""


def world(**more: Any) -> World:
    """Make a world of 1,400 hours, of which 1,100 are over."""
    plain: dict[str, Any] = {
        "form": "binance",
        "begin": BEGIN,
        "now": BEGIN + 1100 * HOUR,
        "seed": 1,
        "unit": HOUR,
        "units": 1400,
        "listed": 0,
        "ended": None,
        "halts": (),
        "outages": (),
        "quiet": 0.0,
        "flat": False,
        "days": Days("UTC", None, 0, None),
        "date": 0,
        "ours": 0,
        "tick": 0,
        "odd": (),
        "late": None,
        "short": 0.0,
        "doubled": 0.0,
        "unsound": None,
    }
    return World(**plain | more)


def ask(timeframe: str, start: int | None = None, fill: Any = "none") -> Ask:
    """Make a question to be answered from the store."""
    question = Question(timeframe, start, None, None, fill)
    return Ask(question, store=True, refresh=False, strict=False, exact=False)


FOUND = {
    "a candle before those that fill leaves is off the calendar": Sequence(
        world(quiet=0.9, odd=(Odd("1h", BEGIN + 78 * HOUR, BEGIN + 128 * HOUR, 1_020_000, False),)),
        [ask("1h", fill="zero")],
    ),
    "days move within an outage": Sequence(
        world(outages=((1, 519),), days=Days("UTC", (date(2024, 3, 20), "Etc/GMT-8"), 0, None)),
        [ask("1d"), ask("1d", BEGIN), LookAfter()],
    ),
}


@pytest.mark.parametrize("found", FOUND)
def test_the_rules_hold_in_sequences_that_once_failed(found: str, wire: Wire) -> None:
    session.run(FOUND[found], wire)
