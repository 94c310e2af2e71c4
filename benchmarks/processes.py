"""Runs measured processes on one core, and their exchange on another."""

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
    """The time and memory of one process from start to end, and its output."""

    seconds: float
    mebibytes: float
    """Its maximum memory."""
    requests: int
    output: str
    cpu: float = 0.0
    """Seconds of CPU, of the process and of the system for it."""


@contextlib.contextmanager
def stand_in(module: str, *arguments: str) -> Iterator[str]:
    """Start an exchange and yield its address; it gets one core, later processes another."""
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
    """Run a command to its end; exit if it fails."""
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
    """Send the exchange a request that is not measured."""
    with urllib.request.urlopen(url) as response:
        return json.load(response)


def own_environment(**variables: str) -> dict[str, str]:
    """Return the environment without settings of this library, but with these variables.

    Python may write bytecode, as for installed packages. Otherwise each process would compile only
    this library again.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MARKETDATA_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    return {**kept, **variables}
