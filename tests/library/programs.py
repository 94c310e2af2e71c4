"""Runs whole programs, since what they leave behind shows only when they end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

# What the event loop's debug mode says of steps that took long on a busy machine.
_TIMING = re.compile(r"^Executing <.*> took [\d.]+ seconds\n", re.MULTILINE)


def run(program: str, folder: Path, **environment: str) -> str:
    """Run a program on the simulated exchange with warnings as errors; give what it printed.

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
    said = _TIMING.sub("", done.stderr)
    assert (done.returncode, said) == (0, "")
    return done.stdout
