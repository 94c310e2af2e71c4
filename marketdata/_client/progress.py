"""Progress of long calls, which only notebooks show."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from marketdata.models._display.notebook import Tell
    from marketdata.models.stored import Progress

Callback: TypeAlias = Callable[["Progress"], Any]


@contextlib.contextmanager
def in_notebook() -> Iterator[Tell | None]:
    """Return a function that shows progress in a notebook cell; None outside notebooks."""
    if not {"IPython", "marimo"} & sys.modules.keys():
        yield None
        return
    from marketdata.models._display.notebook import progress

    with progress() as tell:
        yield tell


@contextlib.contextmanager
def shown(progress: Callback | None) -> Iterator[Callback | None]:
    """Return the receiver of a download's progress: the caller's function, a notebook, or None."""
    if progress is not None:
        yield progress
        return
    with in_notebook() as tell:
        yield None if tell is None else _through(tell)


def _through(tell: Tell) -> Callback:
    def told(one: Progress) -> None:
        tell(f"{one.exchange} {one.pair} {one.timeframe}", one.done, one.total)

    return told


@contextlib.contextmanager
def fetching(
    pair: str, timeframe: str, start: int | None, end: int | None
) -> Iterator[Callable[[int], None] | None]:
    """Return the receiver of the progress of a range (Unix ms); see `in_notebook`."""
    if start is None:
        yield None
        return
    with in_notebook() as tell:
        yield None if tell is None else _counting(tell, pair, timeframe, start, end)


def _counting(
    tell: Tell, pair: str, timeframe: str, start: int, end: int | None
) -> Callable[[int], None]:
    from marketdata._candles.calendar import expected

    now = round(time.time() * 1000)
    total = expected(timeframe).count(start, min(end or now, now))
    done = 0

    def told(more: int) -> None:
        nonlocal done
        done = min(done + more, total)
        tell(f"{pair} {timeframe} candles", done, total)

    return told
