"""Things done side by side, of which the first that fails ends the others."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

T = TypeVar("T")


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
