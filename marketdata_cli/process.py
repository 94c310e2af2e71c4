"""A command's process: output that may fail, errors in one line, exit codes, the end."""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

from marketdata.errors import InternalError, InvalidRequestError, MarketDataError

WRONG_CALL = 2
FAILED = 1
INTERRUPTED = 130
PIPE_CLOSED = 141
"""What a shell shows for a program that the closed pipe's signal ended."""


def write(text: str) -> int:
    """Write to standard output and give the exit code that follows from it."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:
        _drop_output()
        return refuse(InternalError(f"The output could not be written: {error.strerror}."))
    return 0


def _drop_output() -> None:
    # The interpreter flushes what is left in the buffer when it ends, which would fail again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def complain(line: str) -> None:
    """Write one line to standard error; a closed one is nobody's loss."""
    try:
        sys.stderr.write(" ".join(line.split()) + "\n")
        sys.stderr.flush()
    except OSError:
        pass


def refuse(error: MarketDataError) -> int:
    """Say an error in one line and give its exit code."""
    complain(f"error: {error.code}: {error.message}")
    return WRONG_CALL if isinstance(error, InvalidRequestError) else FAILED


def hurry() -> None:
    """Prepare a process that answers one question.

    Collecting garbage in between costs more than the memory it would free before the end.
    """
    gc.disable()


def leave(code: int) -> NoReturn:
    """End the process at once, without taking apart what the end of the process frees anyway.

    Connections close with the process; the answer has been written. Taking down the background
    loop and some hundred modules costs tens of milliseconds that nobody gains from.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or FAILED
    os._exit(code)
