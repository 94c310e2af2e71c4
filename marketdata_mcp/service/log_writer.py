"""Writes log lines to stderr in a thread, so that a slow reader of the log delays no request."""

from __future__ import annotations

import contextlib
import logging
import queue
import sys
import threading

__all__ = ["LogWriter"]

_LINES = 10_000
"""Maximum waiting lines; later ones are dropped and counted."""
_END_SECONDS = 1.0
"""Maximum seconds for the last lines when the process ends."""


class LogWriter(logging.Handler):
    """Writes to stderr from a separate thread.

    A pipe holds 64 KiB. If nobody reads it, a write blocks forever, and so would every caller that
    logs.
    """

    def __init__(self) -> None:
        super().__init__()
        # A signal can interrupt its `put`, and the handler that ends the process logs, too.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._dropped = 0
        self._thread = threading.Thread(target=self._write, name="log", daemon=True)
        self._thread.start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format a record here, where its request is known, and queue it."""
        if self._lines.qsize() >= _LINES:
            self._dropped += 1
            return
        try:
            line = self.format(record)
        except (TypeError, ValueError):  # the arguments do not match the text
            line = str(record.msg)
        self._lines.put(line)

    def close(self) -> None:
        """Write the waiting lines, as far as they are read in time."""
        self._lines.put(None)
        self._thread.join(_END_SECONDS)
        super().close()

    def _write(self) -> None:
        # If stderr is closed, the error cannot be reported.
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
