"""The rules of docs/candles.md hold in worlds that hypothesis makes up: over the wire, in the core.

``MODEL_SEQUENCES`` is how many over the wire (60), ``MODEL_PUZZLES`` how many in the core (300),
``MODEL_SEED`` where they begin. A failure shows the rule, the seed, and the smallest sequence that
breaks it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TypeVar

from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis import strategies as st
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS

from . import core, session
from .strategies import sequences
from .wire import Wire

COUNT = int(os.environ.get("MODEL_SEQUENCES", "60"))
T = TypeVar("T")

PUZZLES = int(os.environ.get("MODEL_PUZZLES", "300"))
BASE = int(os.environ.get("MODEL_SEED", "1"))

# The backend of hypothesis under another name: by its own, five of six sequences would be small
# changes of the one before instead of new ones.
AVAILABLE_PROVIDERS["independent"] = AVAILABLE_PROVIDERS["hypothesis"]


def explore(body: Callable[[T], None], drawn: st.SearchStrategy[T], count: int, base: int) -> None:
    """Run a function with a number of values, which follow from a base seed."""

    def work(value: T) -> None:
        note(f"MODEL_SEED={base}")
        body(value)

    test = settings(
        backend="independent",
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(given(drawn)(work))
    seed(base)(test)()


def test_the_rules_hold_with_a_simulated_exchange(wire: Wire) -> None:
    explore(lambda sequence: session.run(sequence, wire), sequences(), COUNT, BASE)


def test_the_rules_hold_in_the_core() -> None:
    explore(core.run, core.puzzles(), PUZZLES, BASE)
