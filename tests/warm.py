"""Starts the project's own commands as processes that have imported what they need already.

A process of `marketdata` or `marketdata-mcp` spends most of its second on imports. `installed` lets
one process import them once; each command is a fork of it: a process of its own, with its own
streams, environment, folder, signals and exit code, and a child of whoever started it, as
`subprocess.Popen` and asyncio want it. What depends on how an interpreter starts is started as
ever: other programs, other options, variables that the interpreter reads, and everything in tests
that are marked ``cold``.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

WANTED = (
    *("ccxt.async_support", "aiohttp.web", "pydantic_settings", "sqlite3", "typer", "typer.core"),
    *("marketdata.sim", "marketdata._client.blocking", "marketdata._client.archive"),
    *("marketdata_cli.app", "marketdata_cli.answer", "marketdata_cli.process"),
    *("mcp.server", "mcp.server.stdio", "uvicorn", "starlette.applications"),
    *("marketdata_mcp.app", "marketdata_mcp.service.command.serve", "marketdata_mcp.service.http"),
)
"""What most commands import. Nothing that starts threads, which a fork would lose."""

PROGRAM = "# warm\n"
"""How a program for ``python -c`` begins that may be started warm."""

_MODULES = ("marketdata_cli", "marketdata_mcp")
_PROGRAMS = ("marketdata", "marketdata-mcp")
_READ_AT_START = ("PYTHON", "LC_", "LANG", "LD_", "SSL_", "OPENSSL_", "MALLOC_", "TZ")
_SPECIAL = ("pass_fds", "startupinfo", "creationflags", "shell", "gid", "gids", "uid")
_PIPES = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
_LIMITS = ("RLIMIT_NOFILE", "RLIMIT_FSIZE")
_LENGTH = struct.Struct("!I")
_SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: whose children's orphans become its own."""


class Warm:
    """The process that has imported everything."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd="/",
                # Ctrl-C is for the tests; they end it.
                start_new_session=True,
            )

    def start(self, request: dict[str, Any], streams: Sequence[int]) -> int:
        """Start a process with these three streams; give its id. It is a child of this process."""
        text = json.dumps(request).encode()
        with self._lock, _adopting():
            socket.send_fds(self._ours, [_LENGTH.pack(len(text))], streams)
            self._ours.sendall(text)
            return int(_LENGTH.unpack(_exactly(self._ours, _LENGTH.size))[0])

    def close(self) -> None:
        """End it; what it has started goes on."""
        self._ours.close()
        self._process.wait()


def take_terminal() -> None:
    """Make what stdin is the terminal of this process, which Ctrl-C is sent to: a `preexec_fn`."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


_allowed = [True]


def allow(now: bool) -> None:
    """Allow warm processes from now on, or forbid them."""
    _allowed[0] = now


def is_installed() -> bool:
    """Tell whether the project's commands are started warm, unless a test is marked ``cold``."""
    return subprocess.Popen._execute_child.__module__ == __name__


@contextlib.contextmanager
def installed() -> Iterator[None]:
    """Let `subprocess.Popen` start warm processes, unless that is not allowed."""
    import resource

    warm: list[Warm] = []
    cold = subprocess.Popen._execute_child
    names = inspect.signature(cold)
    at_start = _at_start(os.environ)

    def start(self: Any, *given: Any) -> None:
        how = names.bind(self, *given).arguments
        started = _started(how["args"])
        environment = _decoded(os.environ if how["env"] is None else how["env"])
        if (
            not _allowed[0]
            or started is None
            or how["executable"] not in (None, how["args"][0])
            or how["preexec_fn"] not in (None, take_terminal)
            or any(how[name] not in (None, 0, False, ()) for name in _SPECIAL)
            or (how["umask"], how["process_group"]) != (-1, -1)
            or _at_start(environment) != at_start
        ):
            cold(self, *given)
            return
        if not warm:
            warm.append(Warm())
        started |= {
            "env": environment,
            "cwd": str(Path.cwd() if how["cwd"] is None else os.fsdecode(how["cwd"])),
            "session": bool(how["start_new_session"]),
            "terminal": how["preexec_fn"] is take_terminal,
            "limits": [(name, resource.getrlimit(getattr(resource, name))) for name in _LIMITS],
        }
        pipes = [how[name] for name in _PIPES]
        streams = [how[name] for name in ("p2cread", "c2pwrite", "errwrite")]
        streams = [number if one < 0 else one for number, one in enumerate(streams)]
        self.pid = warm[0].start(started, streams)
        self._child_created = True
        self._close_pipe_fds(*pipes)

    subprocess.Popen._execute_child = start
    try:
        yield
    finally:
        subprocess.Popen._execute_child = cold
        for one in warm:
            one.close()


def _started(args: Any) -> dict[str, Any] | None:
    """Tell what a command line starts, if that is one of the project's own commands."""
    if isinstance(args, (str, bytes, os.PathLike)):
        return None
    line = [os.fsdecode(one) for one in args]
    first = Path(line[0])
    if first.name in _PROGRAMS and first.parent == Path(sys.executable).parent and first.exists():
        return {"script": line[0], "argv": line}
    if line[0] == sys.executable and line[1:2] == ["-c"] and line[2].startswith(PROGRAM):
        return {"code": line[2], "argv": ["-c", *line[3:]]}
    if line[0] == sys.executable and line[1:2] == ["-m"] and line[2] in _MODULES:
        return {"module": line[2], "argv": [line[0], *line[3:]]}
    return None


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


def _exactly(channel: socket.socket, length: int) -> bytes:
    read = b""
    while len(read) < length:
        part = channel.recv(length - len(read))
        if not part:
            raise EOFError("the warm process is gone")
        read += part
    return read


# ---------------------------------------------------------------------------- the process itself


def _serve(channel: socket.socket) -> Callable[[], None] | None:
    """Fork whenever that is wanted; a fork gives what it has to do."""
    while True:
        header, streams, *_ = socket.recv_fds(channel, _LENGTH.size, 3)
        if not header:
            return None
        header += _exactly(channel, _LENGTH.size - len(header))
        request = json.loads(_exactly(channel, _LENGTH.unpack(header)[0]))
        wait, go = os.pipe()
        hear, tell = os.pipe()
        between = os.fork()
        if between == 0:
            # An orphan belongs to the tests' process as soon as this one is gone.
            child = os.fork()
            if child:
                os.write(tell, _LENGTH.pack(child))
                os._exit(0)
            os.read(wait, 1)
            for one in (wait, go, hear, tell):
                os.close(one)
            channel.close()
            _dress(request, streams)
            return lambda: _run(request)
        child = _LENGTH.unpack(os.read(hear, _LENGTH.size))[0]
        os.waitpid(between, 0)
        channel.sendall(_LENGTH.pack(child))
        os.write(go, b"!")
        for one in (wait, go, hear, tell, *streams):
            os.close(one)


def _dress(request: dict[str, Any], streams: list[int]) -> None:
    """Give a fork the streams, environment, limits and folder of its own."""
    import resource

    if request["session"]:
        os.setsid()
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    for name, limits in request["limits"]:
        resource.setrlimit(getattr(resource, name), tuple(limits))
    if request["terminal"]:
        take_terminal()
    os.environ.clear()
    os.environ.update(request["env"])
    time.tzset()
    os.chdir(request["cwd"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        was = getattr(sys, name)
        with contextlib.suppress(OSError):
            stream = open(  # noqa: SIM115 - it is the process's own stream
                number, mode, encoding=was.encoding, errors=was.errors, newline="\n", closefd=False
            )
            if name == "stderr":
                stream.reconfigure(line_buffering=True)
            if os.environ.get("PYTHONUNBUFFERED") and mode == "w":
                stream.reconfigure(write_through=True)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _run(request: dict[str, Any]) -> None:
    sys.argv = request["argv"]
    if "code" in request:
        sys.path[0] = ""
        exec(compile(request["code"], "<string>", "exec"), {"__name__": "__main__"})
    elif "module" in request:
        sys.path[0] = request["cwd"]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
    else:
        sys.path[0] = str(Path(request["script"]).parent)
        runpy.run_path(request["script"], run_name="__main__")


def main() -> None:
    """Import everything, and be forked until the tests are over."""
    for name in WANTED:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()
    work = _serve(socket.socket(fileno=int(sys.argv[1])))
    if work is not None:
        work()


if __name__ == "__main__":
    main()
