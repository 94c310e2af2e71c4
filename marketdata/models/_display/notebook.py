"""One place in a notebook's output whose content is replaced: live records, and progress.

Nothing here imports a notebook: where there is one, its modules are loaded already.
"""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from marketdata.errors import DataUnavailableError
from marketdata.models._display.elements import FAINT, WARNING, Line, Meter, Page
from marketdata.models._display.html import html
from marketdata.models._display.pages import page
from marketdata.models.lists import Records
from marketdata.models.newest import Newest

if TYPE_CHECKING:
    from marketdata.models import Stream

Tell: TypeAlias = Callable[[str, int, int], None]
"""Takes what is done, how much of it is, and of how much."""

_PATIENCE = 0.5
"""Seconds of work before progress is shown."""
_PAUSE = 0.2
"""Seconds between two pictures of progress."""
_TRADES = 15


class Cell:
    """A place in the output of the running cell."""

    def __init__(self, show: Callable[[Page], object], clear: Callable[[], object]) -> None:
        self.show = show
        self.clear = clear


def cell() -> Cell | None:
    """Make a place in the output of the running cell; None where there is no notebook."""
    marimo = sys.modules.get("marimo")
    if marimo is not None and marimo.running_in_notebook():
        return _marimo(marimo)
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return None if getattr(shell, "kernel", None) is None else _jupyter()


def _jupyter() -> Cell:
    from IPython import display

    ipython_display: Callable[..., Any] = display.display

    handle: Any = None

    def show(content: Page) -> None:
        nonlocal handle
        bundle = {"text/html": html(content), "text/plain": ""}
        if handle is None:
            handle = ipython_display(bundle, raw=True, display_id=True)
        else:
            handle.update(bundle, raw=True)

    def clear() -> None:
        if handle is not None:
            handle.update({"text/html": "", "text/plain": ""}, raw=True)

    return Cell(show, clear)


def _marimo(marimo: Any) -> Cell:
    return Cell(
        lambda content: marimo.output.replace(marimo.Html(html(content))), marimo.output.clear
    )


# ---------------------------------------------------------------------------- progress


@contextlib.contextmanager
def progress() -> Iterator[Tell | None]:
    """Show how far long work is, and nothing of it when it has ended.

    Gives None where there is no notebook: nobody looks at it then.
    """
    place = cell()
    if place is None:
        yield None
        return
    began = shown = time.monotonic()
    meters: dict[str, Meter] = {}

    def tell(what: str, done: int, total: int) -> None:
        nonlocal shown
        meters[what] = Meter(what, done, total)
        now = time.monotonic()
        if now - began > _PATIENCE and now - shown > _PAUSE:
            shown = now
            place.show([*meters.values()])

    try:
        yield tell
    finally:
        place.clear()


# ---------------------------------------------------------------------------- live records


class Live:
    """The newest records of a watch, in one place that is drawn anew."""

    def __init__(self) -> None:
        place = cell()
        if place is None:
            raise DataUnavailableError(
                "display() shows live records in a cell of a notebook, and this is none. In a "
                "terminal `marketdata watch` shows them; a program iterates over the watch."
            )
        self._cell = place
        self._newest = Newest(_TRADES)

    def show(self, records: Iterable[Any], streams: Iterable[Stream]) -> None:
        """Show what is known with what is new, and what is wrong with a stream."""
        self._newest.take(records)
        self._cell.show([*self._shown(), *_troubles(streams)])

    def _shown(self) -> Page:
        now = datetime.now(UTC)
        if trades := self._newest.trades(_TRADES):
            return page(Records(trades), now)
        known = [one.newest for one in self._newest.states]
        if len(known) > 1 and type(known[0]).__name__ in ("Ticker", "Quote"):
            return page(Records(known), now)
        return [element for one in known for element in page(one, now)]


def _troubles(streams: Iterable[Stream]) -> list[Line]:
    return [
        [(f"{one.exchange} {one.pair} {one.state}", WARNING), (f"  {one.error or ''}", FAINT)]
        for one in streams
        if one.state not in ("live", "connecting")
    ]
