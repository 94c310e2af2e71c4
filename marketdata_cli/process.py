"""The process of a command: its output, errors in one line, exit codes, the end."""

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
# The exit code that a shell shows after this signal.
PIPE_CLOSED = 141
TERMINATED = 143


def write(text: str) -> int:
    """Write to standard output and return the exit code."""
    # Characters that the terminal cannot show are replaced and are no error.
    return send([text.encode(sys.stdout.encoding, "replace")])


def write_paged(text: str) -> int:
    """Write like `write`, but through the user's pager if the terminal has too few lines."""
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
    # Keep colours, and do not clear the screen at the end.
    variables = {"LESS": "-FRX", **os.environ}
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # the pager handles Ctrl-C
    try:
        # The user chooses the program, as for git and man.
        subprocess.run(  # noqa: S603
            command, input=text.encode(sys.stdout.encoding, "replace"), env=variables, check=False
        )
    finally:
        signal.signal(signal.SIGINT, before)
    return 0


def send(parts: Iterable[bytes]) -> int:
    """Write bytes to standard output and return the exit code."""
    try:
        sys.stdout.flush()
        for part in parts:
            # With PYTHONUNBUFFERED, a write can write only a part without raising an error.
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
    # The interpreter flushes the buffer at its end, which would fail again.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def complain(line: str) -> None:
    """Write one line to standard error; errors of a closed one are ignored."""
    with contextlib.suppress(OSError):
        sys.stderr.write(" ".join(line.split()) + "\n")
        sys.stderr.flush()


def refuse(error: MarketDataError) -> int:
    """Write an error in one line and return its exit code."""
    complain(f"error: {error.code}: {error.message}")
    return WRONG_CALL if isinstance(error, InvalidRequestError) else FAILED


def prepare() -> None:
    """Prepare a process that runs one command."""
    # Garbage collection costs more than the memory it would free in such a short process.
    gc.disable()
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by who started us, or a program without a console
            # Opened for reading, it refuses output as a closed one does. It also takes the
            # number, which would otherwise go to the next file, for other code to write to.
            nothing = os.open(os.devnull, os.O_RDONLY)
            setattr(sys, name, os.fdopen(nothing, mode, encoding="utf-8"))


def leave(code: int) -> NoReturn:
    """End the process at once, without freeing what the operating system frees anyway.

    The answer is written, and connections close with the process. Stopping the background loop and
    freeing hundreds of modules would cost tens of milliseconds.
    """
    # After Ctrl-C, do not wait for a slow reader again.
    if code != INTERRUPTED:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
    os._exit(code)
