"""A command's process: output that may fail, errors in one line, exit codes, the end."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
from collections.abc import Iterable
from typing import NoReturn

from marketdata.errors import InternalError, InvalidRequestError, MarketDataError

WRONG_CALL = 2
FAILED = 1
INTERRUPTED = 130
# What a shell shows for a program that this signal ended.
PIPE_CLOSED = 141
TERMINATED = 143


def write(text: str) -> int:
    """Write to standard output and give the exit code that follows from it."""
    # A frame that the terminal has no signs for is no reason to show nothing.
    return send([text.encode(sys.stdout.encoding, "replace")])


def write_paged(text: str) -> int:
    """Write as `write` does, through the user's pager where a terminal has too few lines."""
    import shlex
    import shutil
    import signal
    import subprocess

    pager = os.environ.get("PAGER", "less")
    is_seen = sys.stdin.isatty() and sys.stdout.isatty() and os.environ.get("TERM") != "dumb"
    if not (is_seen and pager and text.count("\n") >= shutil.get_terminal_size().lines):
        return write(text)
    command = shlex.split(pager)
    if not command or shutil.which(command[0]) is None:
        return write(text)
    # Colours as they are, and nothing is cleared away at the end.
    variables = {"LESS": "-FRX", **os.environ}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the pager's
    try:
        # The user's own choice of a program, as git and man take it.
        subprocess.run(  # noqa: S603
            command, input=text.encode(sys.stdout.encoding, "replace"), env=variables, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return 0


def send(parts: Iterable[bytes]) -> int:
    """Write bytes to standard output and give the exit code that follows from it."""
    try:
        sys.stdout.flush()
        for part in parts:
            # Unbuffered (PYTHONUNBUFFERED), a write may take only a part and does not say so
            # itself.
            left = memoryview(part)
            while left:
                left = left[sys.stdout.buffer.write(left) :]
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return PIPE_CLOSED
    except OSError as error:
        return refuse_output(error)
    return 0


def refuse_output(error: OSError) -> int:
    """Say that standard output failed, or a file, and give the exit code of that."""
    _drop_output()
    what = error.filename or "The output"
    return refuse(InternalError(f"{what} could not be written: {error.strerror}."))


def _drop_output() -> None:
    # The interpreter flushes what is left in the buffer when it ends, which would fail again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def complain(line: str) -> None:
    """Write one line to standard error; a closed one is nobody's loss."""
    with contextlib.suppress(OSError):
        sys.stderr.write(" ".join(line.split()) + "\n")
        sys.stderr.flush()


def refuse(error: MarketDataError) -> int:
    """Say an error in one line and give its exit code."""
    complain(f"error: {error.code}: {error.message}")
    return WRONG_CALL if isinstance(error, InvalidRequestError) else FAILED


def prepare() -> None:
    """Prepare a process that answers one question."""
    # Collecting garbage costs more than the memory it would free before the end.
    gc.disable()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us, or a program without a console
            # Opened for reading, it refuses output as a closed one does. It also takes the
            # number, which would otherwise go to the next file, for other code to write to.
            nothing = os.open(os.devnull, os.O_RDONLY)
            setattr(sys, name, os.fdopen(nothing, mode, encoding="utf-8"))


def leave(code: int) -> NoReturn:
    """End the process at once, without taking apart what the end of the process frees anyway.

    Connections close with the process; the answer has been written. Taking down the background
    loop and some hundred modules costs tens of milliseconds that nobody gains from.
    """
    # Who interrupts a program that waits for its reader does not want it to wait again.
    if code != INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    os._exit(code)
