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

from marketdata._deadline import Call, Calls, running, work_for
from marketdata._tasks import begin, end

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

    def find(self, key: str, work: Work) -> Question:
        """Give the question that is under way; otherwise one whose answer ``work`` will find."""
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = Question(self._questions, key, work)
        else:
            self.shared += 1
        return question

    async def close(self, error: Exception) -> None:
        """End all of them with an error."""
        questions = list(self._questions.values())
        for question in questions:
            question.fail(error)
        await end(*[question.task for question in questions])


class Question(Calls):
    """A question that is under way, and those who wait for its answer.

    The work begins with the first, goes on as long as anybody waits, and may take as long as the
    last of them may.
    """

    def __init__(self, among: dict[str, Question], key: str, work: Work) -> None:
        self._among = among
        self._key = key
        self._work = work
        self._waiting: dict[asyncio.Future[Any], _Waiting] = {}
        self._is_begun = False
        self.task: asyncio.Task[None] | None = None

    def calls(self) -> Iterator[Call | Calls | None]:
        """Give the calls of those who wait."""
        return (call for _, call in self._waiting.values())

    async def wait(self, make: Callable[..., T]) -> T:
        """Give what ``make`` makes of the answer.

        That is one object for all whose ``make`` is the same function with the same values around
        it. Errors are one for each.
        """
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        call = running()
        self._waiting[answer] = make, call
        try:
            if not self._is_begun:
                self._is_begun = True
                self.task = begin(self._run(), copy_context())
            return await answer
        except BaseException as error:
            if self._waiting.pop(answer, None) is not None and not self._waiting:
                self.expired = call is not None and call.expired
                self._forget()
                if isinstance(error, asyncio.CancelledError):
                    await end(self.task)
                elif self.task is not None:
                    self.task.cancel()  # the caller is not awaited any more, nor may it await
            raise

    async def _run(self) -> None:
        work_for(self)
        try:
            await self._work(self)
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
