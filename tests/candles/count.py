"""Counts how many sequences break which rule: ``python -m candles.count wire 300 1`` in ``tests``.

It goes on where a test would stop, so that engines can be compared, and faults planted in one.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from inside import unpaced

from . import core, session
from .rules import RuleError
from .strategies import sequences
from .test_model import explore
from .wire import Wire


def main(door: str, count: int, base: int, shown: str | None = None) -> None:
    rules, first, done = Counter[str](), dict[str, int](), 0

    def counting(run: Callable[[Any], None]) -> Callable[[Any], None]:
        def body(drawn: Any) -> None:
            nonlocal done
            done += 1
            try:
                run(drawn)
            except RuleError as broken:
                rules[broken.rule] += 1
                first.setdefault(broken.rule, done)
                if shown is not None and broken.rule.startswith(shown):
                    print(drawn, "\n ", str(broken)[:2_000], "\n")

        return body

    if door == "core":
        explore(counting(core.run), core.puzzles(), count, base)
    else:
        wire = Wire()
        with pytest.MonkeyPatch.context() as patch:
            unpaced.requests(patch)
            explore(counting(lambda drawn: session.run(drawn, wire)), sequences(), count, base)
        wire.close()
    print(f"{sum(rules.values())} of {done} sequences break a rule (seed {base})")
    for rule, times in rules.most_common():
        print(f"{times:6}  first after {first[rule]:5}  {rule}")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])
