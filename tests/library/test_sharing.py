"""Work that several callers wait for: its time, the record of each caller, and its end."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from contextlib import nullcontext
from typing import Any

import pytest
from inside.requests import patient, within

from marketdata._requests.coalescing import Question, Sharing
from marketdata._requests.deadline import rest, seconds_left, unhurried
from marketdata.errors import ExchangeUnavailableError

from .budgets import play


def test_shared_work_has_the_time_of_the_caller_with_most() -> None:
    left: list[float] = []

    async def work(question: Question) -> None:
        await asyncio.sleep(0)
        left.append(seconds_left(99))
        question.answer(1)

    async def main() -> None:
        for seconds, most in (((5.0, 50.0, 20.0), 50.0), ((5.0, None), 99.0)):
            sharing = Sharing()

            async def ask(time: float | None, sharing: Sharing = sharing) -> int:
                asked = sharing.ask("question", work, lambda one: one)
                return await (asked if time is None else within(time, "x", asked))

            assert await asyncio.gather(*map(ask, seconds)) == [1] * len(seconds)
            assert most - 1 < left.pop() <= most
        assert left == []

    asyncio.run(main())


EAGER: Any = getattr(asyncio, "eager_task_factory", None)
"""Makes tasks that run at once as far as they need not wait; None before Python 3.12."""


@pytest.mark.parametrize("tasks", [None] if EAGER is None else [None, EAGER])
def test_each_caller_makes_its_own_record_of_one_response(tasks: Any) -> None:
    made = 0

    async def work(question: Question) -> None:
        nonlocal made
        made += 1
        await asyncio.sleep(0)  # what is answered at once has nobody else waiting for it
        question.answer([1, 2, 3])

    def first(given: list[int], count: int = 1) -> list[int]:
        return given[:count]

    def twice(given: list[int], count: int = 2) -> list[int]:
        return given[:count]

    def some_of(places: list[int]) -> Any:
        return lambda given: [given[place] for place in places]

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_task_factory(tasks)
        sharing = Sharing()
        makers = (first, twice, first, some_of([2]), some_of([0]))
        found = await asyncio.gather(*[sharing.ask("question", work, make) for make in makers])
        assert found[0] is not found[2]
        assert sharing.shared == 4
        return found

    assert asyncio.run(main()) == [[1], [1, 2], [1], [3], [1]]
    assert made == 1


def ends(question: Question) -> list[float]:
    return [one.ends for one in question.deadline.waiting if one and one.ends]


@pytest.mark.parametrize("is_patient", [True, False])
def test_waiting_downloads_have_time_while_the_shared_work_waits(is_patient: bool) -> None:
    async def work(question: Question) -> None:
        await asyncio.sleep(0)
        before = ends(question)
        await rest(0.1)
        question.answer(before, ends(question))

    async def main() -> Any:
        sharing = Sharing()

        async def ask(seconds: float) -> Any:
            with patient() if is_patient else nullcontext():
                asked = sharing.ask("question", work, lambda before, after: (before, after))
                return await within(seconds, "x", asked)

        return (await asyncio.gather(ask(50.0), ask(30.0)))[0]

    before, after = asyncio.run(main())
    moved = [late - early for early, late in zip(before, after, strict=True)]
    assert len(moved) == 2
    assert min(moved) >= 0.09 if is_patient else moved == [0, 0]


def test_nobody_waits_for_a_finished_response() -> None:
    async def main() -> None:
        async def work(question: Question) -> None:
            question.answer(1)

        sharing = Sharing()
        assert await sharing.ask("question", work, lambda one: one) == 1
        assert not sharing.under_way("question")

    asyncio.run(main())


def test_the_work_does_not_keep_the_response() -> None:
    class Large:
        pass

    async def main() -> None:
        contexts, answers = [], []

        async def work(question: Question) -> None:
            contexts.append(contextvars.copy_context())  # as the timer of a connection does
            question.answer(Large())

        found = await Sharing().ask("question", work, lambda one: one)
        answers.append(weakref.ref(found))
        del found
        await asyncio.sleep(0)
        gc.collect()
        assert [answer() for answer in answers] == [None]
        assert len(contexts) == 1

    asyncio.run(main())


def test_work_that_waits_before_it_starts_notices_the_end() -> None:
    async def main() -> None:
        sharing, turn, ended = Sharing(), asyncio.Event(), asyncio.Event()

        async def work(question: Question) -> None:
            try:
                await turn.wait()
                question.answer("there")
            except asyncio.CancelledError:
                ended.set()
                raise

        call = asyncio.create_task(sharing.ask("question", work, str))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.wait([call])
        assert ended.is_set()
        call = asyncio.create_task(sharing.ask("question", work, str))
        await asyncio.sleep(0)
        turn.set()
        assert await call == "there"

    asyncio.run(main())


def test_each_call_ends_at_its_own_deadline_unless_its_time_is_paused() -> None:
    ended: list[str] = []

    async def main() -> None:
        async def call(name: str, seconds: float, work: Any) -> None:
            try:
                await within(seconds, name, work)
            except ExchangeUnavailableError as error:
                ended.append(error.details["exchange"])

        async def held() -> None:
            with unhurried():
                await asyncio.sleep(0.15)
            ended.append("held")

        await asyncio.gather(
            call("later", 0.1, asyncio.sleep(9)),
            call("sooner", 0.05, asyncio.sleep(9)),
            call("answered", 0.01, asyncio.sleep(0)),
            call("held", 0.05, held()),
        )

    play(main)
    assert ended == ["sooner", "later", "held"]


def test_a_call_cancelled_at_its_deadline_is_cancelled() -> None:
    async def main() -> None:
        async def work() -> None:
            try:
                await asyncio.sleep(9)
            except asyncio.CancelledError:
                call.cancel()
                raise

        call = asyncio.create_task(within(0.01, "x", work()))
        await asyncio.wait([call])
        assert call.cancelled()

    asyncio.run(main())
