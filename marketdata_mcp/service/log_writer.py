"""Writes log lines to stderr in a thread: a slow reader of the log holds up no request."""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading

__all__ = ["LogWriter"]

_LINES = 10_000
"""Lines that wait to be written; later ones are dropped, and counted."""
_END_SECONDS = 1.0
"""Seconds for the last lines when the process ends."""


class LogWriter(logging.Handler):
    """Writes to stderr from a thread of its own.

    A pipe holds 64 KiB. If nobody reads it, a write waits for ever, and with it whoever logs.
    """

    def __init__(self) -> None:
        super().__init__()
        # Its `put` may be interrupted by a signal whose handler ends the process, and logs.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record here, where its request is known, and have it written."""
        if self._lines.qsize() >= _LINES:
            self._dropped += 1
            return
        try:
            line = self.format(record)
        except (TypeError, ValueError):  # arguments that do not fit the text
            line = str(record.msg)
        self._lines.put(line)

    def close(self) -> None:
        """Write what waits, as far as somebody reads it soon."""
        self._lines.put(None)
        self._thread.join(_END_SECONDS)
        super().close()

    def _write(self) -> None:
        # Where stderr is closed there is nobody to tell.
        with contextlib.suppress(OSError, ValueError):
            while (line := self._lines.get()) is not None:
                sys.stderr.write(f"{line}\n")
                sys.stderr.flush()
                if self._dropped and self._lines.empty():
                    dropped, self._dropped = self._dropped, 0
                    sys.stderr.write(f"{self.format(_told(dropped))}\n")


def _told(dropped: int) -> logging.LogRecord:
    text = "%d lines of the log were dropped: they were not read in time"
    return logging.LogRecord(__name__, logging.WARNING, "", 0, text, (dropped,), None)
