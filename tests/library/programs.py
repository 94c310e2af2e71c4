"""Runs whole programs, because some errors show only when a program ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

_TIMING = re.compile(r"^Executing <.*> took [\d.]+ seconds\n", re.MULTILINE)


def said(stderr: str) -> str:
    """Remove the messages of the event loop's debug mode about slow steps."""
    return _TIMING.sub("", stderr)


def run(program: str, folder: Path, **environment: str) -> str:
    """Run a program on the simulated exchange with warnings as errors; return its output.

    Fails when the program does, and when it says anything on stderr.
    """
    file = folder / "program.py"
    file.write_text(textwrap.dedent(program))
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", str(file)],
        env={**os.environ, "MARKETDATA_SIM": "1", **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, said(done.stderr)) == (0, "")
    return done.stdout
