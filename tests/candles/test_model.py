"""The rules of docs/candles.md hold in worlds that hypothesis makes up, over the wire.

``MODEL_SEQUENCES`` is how many (60), ``MODEL_SEED`` where they begin. A failure shows the rule, the
seed, and the smallest sequence that breaks it.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, note, seed, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS

from . import session
from .strategies import Sequence, sequences
from .wire import Wire

COUNT = int(os.environ.get("MODEL_SEQUENCES", "60"))
BASE = int(os.environ.get("MODEL_SEED", "1"))

# The backend of hypothesis under another name: by its own, five of six sequences would be small
# changes of the one before instead of new ones.
AVAILABLE_PROVIDERS["independent"] = AVAILABLE_PROVIDERS["hypothesis"]


def explore(body: Callable[[Sequence], None], count: int, base: int) -> None:
    """Run so many sequences, which follow from a base seed."""

    def work(sequence: Sequence) -> None:
        note(f"MODEL_SEED={base}")
        body(sequence)

    test = settings(
        backend="independent",
        max_examples=count,
        database=None,
        deadline=None,
        derandomize=False,
        phases=[Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )(given(sequences())(work))
    seed(base)(test)()


def test_the_rules_hold_over_the_wire(wire: Wire) -> None:
    explore(lambda sequence: session.run(sequence, wire), COUNT, BASE)
