"""Output of a notebook cell that is replaced in place: live records and progress.

Nothing here imports Jupyter or marimo: inside a notebook, its modules are already loaded.
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
"""Takes a text that names the work, the amount done, and the total."""

_PATIENCE = 0.5
"""Seconds of work before progress is shown."""
_PAUSE = 0.2
"""Seconds between two updates of the progress."""
_TRADES = 15


class Cell:
    """A part of the running cell's output that can be replaced."""

    def __init__(self, show: Callable[[Page], object], clear: Callable[[], object]) -> None:
        self.show = show
        self.clear = clear


def cell() -> Cell | None:
    """Add a replaceable part to the running cell's output; None outside a notebook."""
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
    """Show the progress of long work, and remove it when the work ends.

    Yields None outside a notebook, where nobody would see it.
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
    """The newest records of a watch, drawn again in the same place after each update."""

    def __init__(self) -> None:
        place = cell()
        if place is None:
            raise DataUnavailableError(
                "display() works only in a notebook. In a terminal, use `marketdata watch`; in a "
                "program, iterate over the watch."
            )
        self._cell = place
        self._newest = Newest(_TRADES)

    def show(self, records: Iterable[Any], streams: Iterable[Stream]) -> None:
        """Add new records and draw all of them, with the errors of streams."""
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
