"""Questions that come while the same one is under way wait for its answer.

Nothing is kept once the answer is there, so that nobody gets one older than the question by more
than the time that one request takes.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Coroutine, Hashable, Iterator
from contextvars import copy_context
from types import FunctionType
from typing import Any, TypeVar

from marketdata._requests.deadline import Call, Calls, running, work_for
from marketdata._requests.tasks import begin, end

T = TypeVar("T")

Work = Callable[["Question"], Coroutine[Any, Any, None]]
"""Finds the answer to a question and hands it to `Question.answer`, or raises."""


class Sharing:
    """The questions that are under way."""

    def __init__(self) -> None:
        self._questions: dict[str, Question] = {}
        self.shared = 0
        """How many found the same one under way."""

    def under_way(self, key: str) -> bool:
        """Tell whether somebody waits for this answer."""
        return key in self._questions

    async def ask(self, key: str, work: Work, make: Callable[..., T]) -> T:
        """Give what ``make`` makes of the answer; only the first to ask has it looked for.

        It is one object for all whose ``make`` is the same function with the same values around
        it. Errors are one for each. The work goes on as long as anybody waits, and may take as
        long as the last of them may.
        """
        question = self._questions.get(key)
        is_new = question is None
        if question is None:
            question = self._questions[key] = Question(self._questions, key)
        else:
            self.shared += 1
        answer = question.join(make)
        try:
            if is_new:
                question.task = begin(question.run(work), copy_context())
            return await answer
        except BaseException as error:
            if question.leave(answer) and isinstance(error, asyncio.CancelledError):
                await end(question.task)
            raise

    async def close(self, error: Exception) -> None:
        """End all of them with an error."""
        questions = list(self._questions.values())
        for question in questions:
            question.fail(error)
        await end(*[question.task for question in questions])


class Question(Calls):
    """A question that is under way, and those who wait for its answer."""

    def __init__(self, among: dict[str, Question], key: str) -> None:
        self._among = among
        self._key = key
        self._waiting: dict[asyncio.Future[Any], _Waiting] = {}
        self.task: asyncio.Task[None] | None = None

    def calls(self) -> Iterator[Call | Calls | None]:
        """Give the calls of those who wait."""
        return (call for _, call in self._waiting.values())

    def join(self, make: Callable[..., T]) -> asyncio.Future[T]:
        """Let the running call wait for what ``make`` makes of the answer."""
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._waiting[answer] = make, running()
        return answer

    def leave(self, answer: asyncio.Future[Any]) -> bool:
        """Let somebody wait no longer; tell whether nobody does any more, which ends the work."""
        waiting = self._waiting.pop(answer, None)
        if waiting is None or self._waiting:
            return False
        self.expired = waiting[1] is not None and waiting[1].expired
        self._forget()
        if self.task is not None:
            self.task.cancel()
        return True

    async def run(self, work: Work) -> None:
        """Look for the answer, or for what is in its way."""
        work_for(self)
        try:
            await work(self)
        except Exception as error:  # noqa: BLE001 - those who wait raise it
            self.fail(error)
        finally:
            self._forget()
            for answer in self._waiting:
                answer.cancel()  # the loop is ending

    def _forget(self) -> None:
        if self._among.get(self._key) is self:
            del self._among[self._key]

    def answer(self, *given: Any) -> None:
        """Give those who wait what they make of the answer; each form is made once.

        Raises what making one of them has raised once all others have theirs: then somebody still
        waits.
        """
        if len(self._waiting) == 1:
            [(answer, (make, _))] = self._waiting.items()
            made = make(*given)
            self._waiting.clear()
            _tell(answer, made)
            return
        forms: dict[Hashable, Any] = {}
        failed: dict[Hashable, Exception] = {}
        for answer, (make, _) in list(self._waiting.items()):
            form = _form(make)
            if form not in forms and form not in failed:
                try:
                    forms[form] = make(*given)
                except Exception as error:  # noqa: BLE001 - raised below
                    failed[form] = error
            if form in forms:
                del self._waiting[answer]
                _tell(answer, forms[form])
        if failed:
            raise next(iter(failed.values()))

    def fail(self, error: Exception) -> None:
        """Have all who wait raise an error, each its own: errors grow where they are raised."""
        answers = [answer for answer in self._waiting if not answer.done()]
        self._waiting.clear()
        for answer in answers[1:]:
            answer.set_exception(copy.deepcopy(error))
        for answer in answers[:1]:
            answer.set_exception(error)


_Waiting = tuple[Callable[..., Any], Call | Calls | None]
"""What makes the answer that somebody waits for, and whose time it takes."""


def _tell(answer: asyncio.Future[T], made: T) -> None:
    if not answer.done():  # whoever waits may have been cancelled a moment ago
        answer.set_result(made)


def _form(make: Callable[..., Any]) -> Hashable:
    """Tell apart what is made of answers: by the function, and by the values around it."""
    if not isinstance(make, FunctionType):
        return make
    return make.__code__, tuple([cell.cell_contents for cell in make.__closure__ or ()])
