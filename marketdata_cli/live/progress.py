"""The progress of downloads: always counted, and drawn on a terminal."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from marketdata.models._display.elements import FAINT, LABEL, UP
from marketdata.models._display.stored import name

if TYPE_CHECKING:
    from rich.progress import TaskID

    from marketdata import Progress

_ROOM_FOR_RATE = 68
_ROOM_FOR_TIME = 48


class Board:
    """One progress bar for each series, on standard error if it is a terminal.

    The library calls it with progress, from any thread.
    """

    def __init__(self, *, drawn: bool) -> None:
        self._first: dict[str, int] = {}
        self._done: dict[str, int] = {}
        self._tasks: dict[str, TaskID] = {}
        self._drawing = _drawing() if drawn and sys.stderr.isatty() else None

    @property
    def come(self) -> int:
        """The number of bars downloaded so far."""
        return sum(done - self._first[one] for one, done in self._done.items())

    def __enter__(self) -> Self:
        if self._drawing is not None:
            self._drawing.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._drawing is not None:
            self._drawing.stop()

    def __call__(self, progress: Progress) -> None:
        """Note the progress of one series."""
        one = name(progress)
        self._first.setdefault(one, progress.done)
        self._done[one] = progress.done
        if self._drawing is None:
            return
        if one not in self._tasks:
            self._make_room()
            self._tasks[one] = self._drawing.add_task(
                one, completed=progress.done, total=max(progress.total, 1)
            )
        elif progress.finished:
            self._drawing.update(self._tasks[one], completed=max(progress.total, 1))
        else:
            self._drawing.update(self._tasks[one], completed=progress.done)

    def _make_room(self) -> None:
        """Remove the progress bar that finished first if the terminal is full."""
        drawing = self._drawing
        if drawing is None or len(drawing.tasks) < drawing.console.height - 1:
            return
        finished = next((task for task in drawing.tasks if task.finished), None)
        if finished is not None:
            drawing.remove_task(finished.id)


def _drawing() -> Any:
    """Make the progress display, with the columns that fit into the terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        """Bars a second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:,.0f} candles/s", justify="right")

    class Left(ProgressColumn):
        """Time left."""

        def render(self, task: Task) -> Text:
            if task.finished or task.time_remaining is None:
                return Text("")
            minutes, seconds = divmod(int(task.time_remaining), 60)
            hours, minutes = divmod(minutes, 60)
            clock = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
            return Text(f"{clock} left", justify="right")

    console = Console(stderr=True, highlight=False)
    # Columns are kept for the ^C of the terminal, which would otherwise wrap the line.
    console.width -= len("^C") + 1
    columns: list[ProgressColumn] = [
        TextColumn("{task.description}", markup=False),
        BarColumn(None, style=FAINT, complete_style=LABEL, finished_style=UP),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
    ]
    if console.width >= _ROOM_FOR_RATE:
        columns.append(Rate(Column(width=len("123,456 candles/s"))))
    if console.width >= _ROOM_FOR_TIME:
        columns.append(Left(Column(width=len("12:34:56 left"))))
    return Progress(*columns, console=console, transient=True, expand=True)
