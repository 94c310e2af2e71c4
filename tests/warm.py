"""Starts processes of tests that have imported what they need already.

A process of `marketdata` or `marketdata-mcp` spends most of its second on imports, and a program
that uses the library as much on packages of others. `installed` lets one process import them once
(`warm_process.py`); each command is a fork of it: a process of its own, with its own streams,
environment, folder, signals and exit code, and a child of whoever started it, as
`subprocess.Popen` and asyncio want it. What depends on how an interpreter starts is started as
ever: other programs, other options, variables that the interpreter reads, and everything in tests
that are marked ``cold``.
"""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import warm_process
from warm_process import LENGTH, exactly, take_terminal

__all__ = ["DEVELOPMENT", "PROGRAM", "allow", "commands", "installed", "is_installed"]
__all__ += ["take_terminal"]

PROGRAM = "# warm\n"
"""How a program for ``python -c`` begins that may be started warm, with the library imported."""

DEVELOPMENT = ("-X", "dev", "-W", "error")
"""Options of programs that are started with the packages of others imported, and none of ours."""

_WITHOUT_THREADS = {
    "OPENBLAS_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}
"""What keeps numpy and pyarrow from starting threads when they are imported."""

_OPTIONS = {"commands": (), "programs": DEVELOPMENT}
_MODULES = ("marketdata_cli", "marketdata_mcp")
_COMMANDS = ("marketdata", "marketdata-mcp")
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "SSL_", "OPENSSL_", "MALLOC_", "TZ")
_SPECIAL = ("pass_fds", "startupinfo", "creationflags", "shell", "gid", "gids", "uid")
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_LIMITS = ("RLIMIT_NOFILE", "RLIMIT_FSIZE")
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: whose children's orphans become its own."""


class _Warm:
    """A process that has imported everything for one kind of processes."""

    def __init__(self, kind: str) -> None:
        self._lock = threading.Lock()
        self._folder = TemporaryDirectory()
        self.place = str(Path(self._folder.name) / "commands")
        self._ours, theirs = socket.socketpair()
        with theirs, socket.socket(socket.AF_UNIX) as door:
            door.bind(self.place)
            door.listen(100)
            fds = [theirs.fileno(), door.fileno()]
            self._process = subprocess.Popen(
                [sys.executable, *_OPTIONS[kind], warm_process.__file__, kind, *map(str, fds)],
                stdin=subprocess.DEVNULL,
                pass_fds=fds,
                cwd="/",
                env={**os.environ, **_WITHOUT_THREADS},
                # Ctrl-C is for the tests; they end it.
                start_new_session=True,
            )

    def start(self, request: dict[str, Any], streams: Sequence[int]) -> int:
        """Start a process with these three streams; give its id. It is a child of this process."""
        text = json.dumps(request).encode()
        with self._lock, _adopting():
            socket.send_fds(self._ours, [LENGTH.pack(len(text))], streams)
            self._ours.sendall(text)
            return int(LENGTH.unpack(exactly(self._ours, LENGTH.size))[0])

    def close(self) -> None:
        """End it; what it has started goes on."""
        self._ours.close()
        self._process.wait()
        self._folder.cleanup()


_allowed = [True]
_running: dict[str, _Warm] = {}
_beginning = threading.Lock()


def allow(now: bool) -> None:
    """Allow warm processes from now on, or forbid them."""
    _allowed[0] = now


def is_installed() -> bool:
    """Return whether the project's commands are started warm, unless a test is marked ``cold``."""
    return subprocess.Popen._execute_child.__module__ == __name__


def _warm(kind: str) -> _Warm:
    with _beginning:
        if kind not in _running:
            _running[kind] = _Warm(kind)
        return _running[kind]


def commands(folder: Path) -> str:
    """Return what PATH has to begin with in shells that use the project's commands.

    That is a folder of warm commands, or of those that pip has installed.
    """
    if not is_installed():
        return str(Path(sys.executable).parent)
    for name in _COMMANDS:
        command = folder / name
        command.write_text(
            f"#!{sys.executable} -IS\n"
            "import sys\n"
            f"sys.path.append({str(Path(__file__).parent)!r})\n"
            "from warm_command import main\n"
            f"main({_warm('commands').place!r}, {str(Path(sys.executable).with_name(name))!r})\n"
        )
        command.chmod(0o700)
    return f"{folder}{os.pathsep}{Path(sys.executable).parent}"


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let `subprocess.Popen` start warm processes, unless that is not allowed."""
    import resource

    cold = subprocess.Popen._execute_child
    names = inspect.signature(cold)
    at_start = _at_start(os.environ)

    def start(self: Any, *given: Any) -> None:
        how = names.bind(self, *given).arguments
        kind, started = _started(how["args"])
        environment = _decoded(os.environ if how["env"] is None else how["env"])
        if (
            not _allowed[0]
            or not started
            or how["executable"] not in (None, how["args"][0])
            or how["preexec_fn"] not in (None, take_terminal)
            or any(how[name] not in (None, 0, False, ()) for name in _SPECIAL)
            or (how["umask"], how["process_group"]) != (-1, -1)
            or _at_start(environment) != at_start
        ):
            cold(self, *given)
            return
        request = started | {
            "env": environment,
            "cwd": str(Path.cwd() if how["cwd"] is None else os.fsdecode(how["cwd"])),
            "session": bool(how["start_new_session"]),
            "terminal": how["preexec_fn"] is take_terminal,
            "limits": [(name, resource.getrlimit(getattr(resource, name))) for name in _LIMITS],
        }
        pipes = [how[name] for name in _PIPES]
        streams = [how[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if one < 0 else one for number, one in enumerate(streams)]
        self.pid = _warm(kind).start(request, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)

    subprocess.Popen._execute_child = start
    try:
        yield
    finally:
        subprocess.Popen._execute_child = cold
        for one in _running.values():
            one.close()
        _running.clear()


def _started(args: Any) -> tuple[str, dict[str, Any]]:
    """Return what a command line starts, if that can be a fork of a warm process, and of which."""
    if isinstance(args, (str, bytes, os.PathLike)):
        return "", {}
    line = [os.fsdecode(one) for one in args]
    first = Path(line[0])
    if first.name in _COMMANDS and first.parent == Path(sys.executable).parent and first.exists():
        return "commands", {"script": line[0], "argv": line}
    if line[0] != sys.executable:
        return "", {}
    if line[1:2] == ["-c"] and line[2].startswith(PROGRAM):
        return "commands", {"code": line[2], "argv": ["-c", *line[3:]]}
    if line[1:2] == ["-m"] and line[2] in _MODULES:
        return "commands", {"module": line[2], "argv": [line[0], *line[3:]]}
    if tuple(line[1:5]) != DEVELOPMENT or len(line) < 6:
        return "", {}
    what, *arguments = line[5:]
    if what == "-c":
        return "programs", {"code": arguments[0], "argv": ["-c", *arguments[1:]]}
    if what == "-m":
        return "programs", {"module": arguments[0], "argv": [line[0], *arguments[1:]]}
    return ("", {}) if what[:1] == "-" else ("programs", {"script": what, "argv": line[5:]})


def _decoded(variables: Mapping[Any, Any]) -> dict[str, str]:
    return {os.fsdecode(name): os.fsdecode(value) for name, value in variables.items()}


def _at_start(variables: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in variables.items() if name.startswith(_READ_AT_START)}


@contextlib.contextmanager
def _adopting() -> Iterator[None]:
    """Make this process the parent of what its children leave behind."""
    import ctypes

    control = ctypes.CDLL(None).prctl
    control(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        control(_SUBREAPER, 0, 0, 0, 0)
