"""Logs our own faults that nobody would see otherwise."""

from __future__ import annotations

import traceback

from marketdata._requests.log import logger


def note(level: int, what: str, error: BaseException) -> None:
    """Log an exception with its source line, but without its text, which can contain a body."""
    if logger.isEnabledFor(level):
        where = "".join(traceback.format_tb(error.__traceback__))
        logger.log(level, "%s: %s\n%s", what, type(error).__name__, where)
