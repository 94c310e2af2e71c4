"""Whether what was answered could have been answered by one thing at a time.

The search of Wing and Gong, with Lowe's memory of what was tried: an operation takes place at one
moment between its call and its answer. One whose answer was lost may take place at any later
moment, or never. No library for this is kept for Python (Porcupine is Go's, Knossos Clojure's).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

State = Hashable


@dataclass(frozen=True)
class Operation:
    """What somebody asked for, and what came of it."""

    name: str
    given: tuple[Any, ...]
    answer: Any
    """What came back; meaningless where it was lost."""
    called: int
    """A number that grows with time, at its call."""
    answered: int | None
    """At its answer; None where that was lost."""


Apply = Callable[[State, Operation], tuple[State, Any]]
"""Gives the next state and the answer of one operation that is alone."""


def is_linearizable(history: Sequence[Operation], begin: State, apply: Apply) -> bool:
    """Return whether an order explains all answers."""
    pending = sorted(history, key=lambda one: one.called)
    tried: set[tuple[frozenset[int], State]] = set()
    must = frozenset(n for n, one in enumerate(pending) if one.answered is not None)
    stack: list[tuple[frozenset[int], State]] = [(frozenset(), begin)]
    while stack:
        done, state = stack.pop()
        if must <= done:
            return True
        # Nobody may come after one that was answered before it was called.
        bound = min(
            one.answered
            for n, one in enumerate(pending)
            if n not in done and one.answered is not None
        )
        for n, one in enumerate(pending):
            if one.called > bound:
                break
            if n in done:
                continue
            after, answer = apply(state, one)
            if one.answered is not None and answer != one.answer:
                continue
            step = (done | {n}, after)
            if step not in tried:
                tried.add(step)
                stack.append(step)
    return False
