"""Faults of our own, written to the log where they would otherwise be seen by nobody."""

from __future__ import annotations

import traceback

from marketdata._requests.log import logger


def note(level: int, what: str, error: BaseException) -> None:
    """Log an exception with where it came from, and without its text: that may be a body's."""
    if logger.isEnabledFor(level):
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.log(level, "%s: %s\n%s", what, type(error).__name__, where)
