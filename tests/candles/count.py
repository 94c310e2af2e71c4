"""Counts how many sequences break which rule: ``python -m candles.count 300 1`` in ``tests``.

It goes on where a test would stop, so that engines can be compared, and faults planted in one.
"""

from __future__ import annotations

import sys
from collections import Counter

import pytest

from marketdata._exchanges.connector import Connector

from . import session
from .rules import RuleError
from .strategies import Sequence
from .test_model import explore
from .wire import Wire


def main(count: int, base: int, shown: str | None = None) -> None:
    rules, first, done, wire = Counter[str](), dict[str, int](), [0], Wire()

    async def throttle(self: object, cost: object = None) -> None:
        pass

    def body(sequence: Sequence) -> None:
        done[0] += 1
        try:
            session.run(sequence, wire)
        except RuleError as broken:
            rules[broken.rule] += 1
            first.setdefault(broken.rule, done[0])
            if shown is not None and broken.rule.startswith(shown):
                print(sequence, "\n ", str(broken)[:2_000], "\n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Connector, "throttle", throttle)
        explore(body, count, base)
    wire.close()
    print(f"{sum(rules.values())} of {done[0]} sequences break a rule (seed {base})")
    for rule, times in rules.most_common():
        print(f"{times:6}  first after {first.get(rule, 0):5}  {rule}")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:])
