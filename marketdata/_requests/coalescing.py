"""Identical calls share one request: later ones wait for the response to the first.

Responses are not cached, so a response is at most one request's time older than the call.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from marketdata._requests.request import SharedTimeLimit, begin, current
from marketdata._requests.tasks import begun, end

T = TypeVar("T")

Work = Callable[["Question"], Coroutine[Any, Any, None]]
"""Requests the answer and passes it to `Question.answer`, or raises."""


class Sharing:
    """The calls in flight."""

    def __init__(self) -> None:
        self._questions: dict[str, Question] = {}
        self.shared = 0
        """Number of calls that shared another call's request."""

    def under_way(self, key: str) -> bool:
        """Return whether a call waits for this answer."""
        return key in self._questions

    async def ask(self, key: str, work: Work, make: Callable[..., T]) -> T:
        """Return ``make`` of the response; only the first call requests it.

        Each call gets its own record or error. The request goes on as long as any call waits,
        within the longest of their timeouts.
        """
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = Question()
        else:
            self.shared += 1
        loop, mine = asyncio.get_running_loop(), current()
        answer: asyncio.Future[T] = loop.create_future()
        question.makers[answer] = make
        question.deadline.waiting.append(mine.deadline)
        if question.task is None:
            question.task = begun(self._find(key, question, work), loop)
        try:
            return await answer
        except asyncio.CancelledError:
            if [*question.makers] == [answer]:
                self._forget(key, question)
                await end(question.task)
            question.makers.pop(answer, None)
            question.deadline.waiting.remove(mine.deadline)
            raise

    async def _find(self, key: str, question: Question, work: Work) -> None:
        begin(current().within(question.deadline))
        try:
            await work(question)
        except Exception as error:  # noqa: BLE001 - the waiting calls raise it
            question.fail(error)
        finally:
            self._forget(key, question)
            for answer in question.makers:
                answer.cancel()  # the loop is ending

    def _forget(self, key: str, question: Question) -> None:
        if self._questions.get(key) is question:
            del self._questions[key]

    async def close(self, error: Exception) -> None:
        """End all of them with an error."""
        questions = list(self._questions.values())
        self._questions.clear()
        for question in questions:
            question.fail(error)
        await end(*[question.task for question in questions])


class Question:
    """A request in flight, and the calls that wait for it."""

    __slots__ = ("deadline", "makers", "task")

    def __init__(self) -> None:
        self.makers: dict[asyncio.Future[Any], Callable[..., Any]] = {}
        """The waiting calls, each with its own function for the response."""
        self.deadline = SharedTimeLimit()
        """The time limit of the waiting calls."""
        self.task: asyncio.Task[None] | None = None

    def answer(self, *given: Any) -> None:
        """Give each waiting call the record that it makes of the response.

        If some calls cannot use the answer, raises the first of their errors after the others have
        got theirs.
        """
        failure: Exception | None = None
        for answer, make in list(self.makers.items()):
            try:
                made = make(*given)
            except Exception as error:  # noqa: BLE001 - raised below
                failure = failure or error
            else:
                del self.makers[answer]
                if not answer.done():  # whoever waits may have been cancelled a moment ago
                    answer.set_result(made)
        if failure is not None:
            raise failure

    def fail(self, error: Exception) -> None:
        """Have all waiting calls raise their own copy of an error, because raising changes it."""
        answers = [answer for answer in self.makers if not answer.done()]
        self.makers.clear()
        for answer in answers[1:]:
            answer.set_exception(copy.deepcopy(error))
        for answer in answers[:1]:
            answer.set_exception(error)
