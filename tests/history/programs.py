"""Programs that use the library, to be killed, interrupted and run at the same time."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager

from library.markets import DIALECTS
from library.programs import said


@contextmanager
def running(
    program: str, to: str, *arguments: str, **environment: str
) -> Iterator[subprocess.Popen[str]]:
    """Run a program whose exchanges are at an address; it does not outlive the block."""
    with subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments],
        env={
            **os.environ,
            "MARKETDATA_ENDPOINTS": json.dumps(dict.fromkeys(DIALECTS, to)),
            **environment,
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(program: str, to: str, *arguments: str, **environment: str) -> str:
    """Run a program to its end and return its output; it may not write to stderr."""
    with running(program, to, *arguments, **environment) as process:
        return ended(process)


def ended(process: subprocess.Popen[str]) -> str:
    """Wait for a program and return its output; it may not write to stderr."""
    printed, errors = process.communicate(timeout=60)
    assert (process.returncode, said(errors)) == (0, "")
    return printed
