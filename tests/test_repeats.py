"""CI repeats what failed for want of time, names it, and allows three of it."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import waiting

ROOT = Path(__file__).parents[1]
PROGRAM = """
import asyncio, subprocess, sys, threading
import pytest
from waiting import happened, joined, soon, taking_at_most, until

failed = set()

def once(request):
    before = request.node.name in failed
    failed.add(request.node.name)
    return before

async def in_a_group(happens):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(soon(lambda: happens, seconds=0))

def waits(kind, happens):
    if kind == "until":
        until(lambda: happens, seconds=0)
    elif kind == "group":
        asyncio.run(in_a_group(happens))
    elif kind == "event" and not happens:
        happened(threading.Event(), 0)
    elif kind == "thread" and not happens:
        held = threading.Event()
        thread = threading.Thread(target=held.wait)
        thread.start()
        try:
            joined(thread, 0)
        finally:
            held.set()
    elif kind == "slow" and not happens:
        with taking_at_most(0):
            pass
    elif kind == "process" and not happens:
        subprocess.run([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, timeout=0)

@pytest.mark.parametrize("kind", ["until", "group", "event", "thread", "slow", "process"])
def test_late(request, kind):
    waits(kind, once(request))

def test_wrong(request):
    assert once(request)

def test_both(request):
    if not once(request):
        raise ExceptionGroup("both", [TimeoutError(), ValueError()])
"""


def test_only_want_of_time_is_repeated(tmp_path: Path) -> None:
    told = re.search(r'PYTEST_ADDOPTS="(.*) \$\{', (ROOT / ".ci" / "run").read_text())
    assert told
    (tmp_path / "test_some.py").write_text(PROGRAM)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *("-p", "pytest_rerunfailures", "-p", "conftest", *shlex.split(told[1])),
        ],
        cwd=tmp_path,
        env={
            **os.environ,
            "PYTHONPATH": str(Path(waiting.__file__).parent),
            "PYTEST_ADDOPTS": "",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1, done.stdout
    lines = done.stdout.splitlines()
    repeated = re.findall(r"^RERUN \S+::test_late\[(\w+)\]", done.stdout, re.MULTILINE)
    assert sorted(repeated) == ["event", "group", "process", "slow", "thread", "until"], done.stdout
    assert re.match(r"2 failed, 6 passed, 6 rerun", lines[-1]), done.stdout
    assert "6 tests were repeated, 3 may be" in done.stdout
