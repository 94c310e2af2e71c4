"""The command ``marketdata record``: raw streams of exchanges, written to a file."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from marketdata.arguments import RecordingPath
from marketdata.operations import RECORD
from marketdata_cli import answer, binding, process
from marketdata_cli.commands.watch import LASTING, seconds
from marketdata_cli.options import QUIET, Common
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from marketdata.models import Recorded

_OUTPUT = binding.Parameter.of(
    inspect.Parameter("output", inspect.Parameter.KEYWORD_ONLY), RecordingPath
).as_keyword()


def command() -> Callable[..., Any]:
    """Make the function of the command."""
    own = (_OUTPUT, LASTING, QUIET)
    return binding.command(RECORD, _ask, *own, without=("path", "seconds"))


def _ask(
    _operation: Any,
    given: dict[str, Any],
    options: Common,
    *,
    output: str,
    lasting: str | None,
    quiet: bool,
) -> Callable[[], int]:
    length = None if lasting is None else seconds(lasting)
    form = options.form
    return functools.partial(
        _run, {**given, "path": output, "seconds": length}, options, form, quiet
    )


def _run(given: dict[str, Any], options: Common, form: Format | None, quiet: bool) -> int:
    gc.enable()
    board = _Board(drawn=not quiet)
    code = asyncio.run(_recorded(given, options, board))
    board.end()
    found = board.newest
    if found is None:
        return code
    form = answer.chosen(form)
    if code == 0 or form is Format.TABLE:
        code = process.write(answer.written(RECORD, found, options)) or code
    if not quiet and not (form is Format.TABLE and sys.stderr.isatty()):
        from marketdata.models._display.streams import total
        from marketdata_cli.live.watching import summary

        for stream in found.streams:
            process.complain(summary(stream))
        process.complain(f"{total(found)} in {found.path}")
    return code


async def _recorded(given: dict[str, Any], options: Common, board: _Board) -> int:
    """Record until the end or a signal, and return the exit code."""
    from marketdata.clients import AsyncClient
    from marketdata_cli.live.watching import GRACE, until_signalled

    over = until_signalled()
    client = AsyncClient(settings=answer.settings(options))
    recording = asyncio.create_task(client.record(**given, progress=board))
    either: set[asyncio.Future[Any]] = {recording, over}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not over.done():
        board(recording.result())
        return 0
    # The first signal ends the recording, the second ends its cleanup.
    for _ in range(2):
        recording.cancel()
        await asyncio.wait({recording}, timeout=GRACE)
    if recording.done() and not recording.cancelled():
        recording.result()  # raises if the last events could not be written
    return over.result()


class _Board:
    """The progress of a recording, in one line of standard error if it is a terminal."""

    def __init__(self, *, drawn: bool) -> None:
        dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown")
        self._drawn = drawn and sys.stderr.isatty() and not dumb
        self.newest: Recorded | None = None

    def __call__(self, newest: Recorded) -> None:
        """Show the newest progress."""
        self.newest = newest
        if self._drawn:
            from marketdata.models._display.streams import total

            rate = newest.frames / max(newest.seconds, 0.001)
            self._write(f"{total(newest)}, {rate:,.0f} frames/s. Ctrl-C ends.")

    def end(self) -> None:
        """Remove the line."""
        if self._drawn:
            self._write("")

    def _write(self, line: str) -> None:
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        # Three columns are kept for the ^C of the terminal, which would otherwise wrap the line.
        sys.stderr.write(f"\r{line[: width - 3]}\x1b[K")
        sys.stderr.flush()
