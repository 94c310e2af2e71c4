"""Things done side by side: the first that fails ends the others; what is ended is over."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator, Iterable
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


_LONGEST_END = 1.0
"""Seconds that something cancelled is waited for."""


async def end(*tasks: asyncio.Future[Any] | None) -> None:
    """Cancel what is under way, and wait until it is over."""
    ending = {one for one in tasks if one is not None and one is not asyncio.current_task()}
    for task in ending:
        task.cancel()
    if ending:
        await asyncio.wait(ending, timeout=_LONGEST_END)


async def all_of(work: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Give the results of all, in order; where one fails, end the others and raise its error."""
    caller = asyncio.current_task()
    requests = 0 if caller is None else caller.cancelling()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except ExceptionGroup as failures:
        failure = failures.exceptions[0]
        # Python 3.11 leaves its own request to end the waiting behind.
        while caller is not None and caller.cancelling() > requests:
            caller.uncancel()
    else:
        return [task.result() for task in tasks]
    # Raised out here, the error does not have the group that holds it as its context: whatever
    # follows contexts, as a cluster that sends errors does, would never come to an end.
    raise failure


def begin(work: Coroutine[Any, Any, T], context: Context) -> asyncio.Task[T] | None:
    """Do work up to where it waits, and give the task that goes on with it; None: it is done.

    Work that need not wait needs no task, which takes longer than most of a call. Until it has
    waited once, by ``asyncio.sleep(0)`` for example, its task is the caller's, and is not to be
    asked for.
    """
    try:
        waits_for = context.run(work.send, None)
    except StopIteration:
        return None
    if waits_for is not None:
        work = _Begun(work, waits_for)
    return asyncio.get_running_loop().create_task(work, context=context)


class _Begun(Coroutine[Any, Any, T]):
    """Work that waits for something already, which its task has still to hear of."""

    def __init__(self, work: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._work = work
        self._waits_for = waits_for

    def send(self, value: Any) -> Any:
        waits_for, self._waits_for = self._waits_for, None
        return self._work.send(value) if waits_for is None else waits_for

    def throw(self, *error: Any) -> Any:
        self._waits_for = None
        return self._work.throw(*error)

    def close(self) -> None:
        self._work.close()

    def __await__(self) -> Generator[Any, Any, T]:
        return self._work.__await__()
