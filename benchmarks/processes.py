"""Measured processes on one core, and on another the exchange that they talk to."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Run:
    """What one process took, from its start to its end, and what it printed."""

    seconds: float
    mebibytes: float
    """The most that it held."""
    requests: int
    output: str
    cpu: float = 0.0
    """Seconds of computing, its own and the system's for it: what else runs does not count."""


@contextlib.contextmanager
def stand_in(module: str, *arguments: str) -> Iterator[str]:
    """Start an exchange and give its address; it gets a core, what is started later another."""
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True
    )
    try:
        _pin(process.pid, 0)
        _pin(0, 1)
        yield process.stdout.readline().split()[0]
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _pin(pid: int, core: int) -> None:
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0) | {0})
        with contextlib.suppress(OSError):
            os.sched_setaffinity(pid, {cores[core % len(cores)]})


def run(command: Sequence[str | Path], environment: Mapping[str, str], base: str) -> Run:
    """Run a command to its end; the program ends here where it fails."""
    with tempfile.TemporaryFile() as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=errors)
        output = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        process.stdout.close()
        if process.returncode:
            errors.seek(0)
            said = errors.read().decode()
            raise SystemExit(f"{command} ended with {process.returncode}:\n{said}")
    requests = ask(f"{base}/_requests")
    cpu = usage.ru_utime + usage.ru_stime
    return Run(seconds, usage.ru_maxrss / 1024, requests, output.decode(), cpu)


def ask(url: str) -> int:
    """Ask the exchange something that is not measured."""
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def own_environment(**variables: str) -> dict[str, str]:
    """Give the environment without settings of this library, and with these variables.

    Python may keep what it has compiled, as it does of installed packages: otherwise each process
    would compile this library anew, and nothing else.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETDATA_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **variables}
