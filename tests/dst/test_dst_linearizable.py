"""The checker itself: what it lets pass, and what it does not."""

from itertools import permutations
from random import Random
from typing import Any

import pytest

from .linearizable import Operation, is_linearizable


def _register(state: Any, one: Operation) -> tuple[Any, Any]:
    return (one.given[0], None) if one.name == "write" else (state, state)


def _write(value: int, called: int, answered: int | None) -> Operation:
    return Operation("write", (value,), None, called, answered)


def _read(value: int, called: int, answered: int | None) -> Operation:
    return Operation("read", (), value, called, answered)


@pytest.mark.parametrize(
    ("history", "is_fine"),
    [
        ([_write(1, 0, 1), _read(1, 2, 3)], True),
        ([_write(1, 0, 1), _read(0, 2, 3)], False),  # a stale read
        ([_write(1, 0, 3), _read(0, 1, 2)], True),
        ([_write(1, 0, 5), _read(1, 1, 2), _read(0, 3, 4)], False),  # back in time
        ([_write(1, 0, None), _read(0, 1, 2), _read(1, 3, 4)], True),  # lost, and there later
        ([_write(1, 0, None), _read(0, 1, 2), _read(0, 3, 4)], True),  # lost for good
        ([_write(1, 0, None), _read(1, 1, 2), _read(0, 3, 4)], False),
        ([_read(1, 0, 1)], False),  # from nowhere
    ],
)
def test_a_register(history: list[Operation], is_fine: bool) -> None:
    assert is_linearizable(history, 0, _register) is is_fine


def test_it_agrees_with_trying_every_order() -> None:
    random = Random(7)
    found = set()
    for _ in range(400):
        history = []
        for _ in range(random.randint(1, 5)):
            called = random.randint(0, 8)
            times = (called, called + random.randint(1, 5))
            value = random.randint(0, 1)
            history.append((_write if random.random() < 0.5 else _read)(value, *times))
        found.add(expected := _by_brute_force(history))
        assert is_linearizable(history, 0, _register) is expected
    assert found == {True, False}


def _by_brute_force(history: list[Operation]) -> bool:
    for order in permutations(history):
        state: Any = 0
        for n, one in enumerate(order):
            state, answer = _register(state, one)
            if answer != one.answer or any((x.answered or 0) < one.called for x in order[n + 1 :]):
                break
        else:
            return True
    return False
