"""The process that `warm.py` has imported everything in, and that is forked.

Started as ``python warm_process.py KIND CHANNEL DOOR``: two sockets by their numbers. What comes
from the channel becomes a child of the process at its other end; what comes by the door stays a
child of this process, for a stand-in that waits for it (`warm_command.py`).
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = (
    *("ccxt.async_support", "aiohttp.web", "pydantic_settings", "sqlite3", "typer", "typer.core"),
    *("marketdata.sim", "marketdata._client.blocking", "marketdata._client.archive"),
    *("marketdata_cli.app", "marketdata_cli.answer", "marketdata_cli.process"),
    *("mcp.server", "mcp.server.stdio", "uvicorn", "starlette.applications"),
    *("marketdata_mcp.app", "marketdata_mcp.service.command.serve", "marketdata_mcp.service.http"),
)
"""What most commands import. Nothing that starts threads, which a fork would lose."""

THEIRS = (
    *("aiohttp", "aiohttp.web", "requests", "orjson", "platformdirs", "pydantic", "sqlite3"),
    *("typer", "rich.console", "rich.live", "mcp.client.stdio", "mcp.server", "mcp.server.stdio"),
    *("uvicorn", "starlette.applications", "pandas", "jsonschema"),
)
"""What most programs import of others. All of ours each imports anew, and so names it itself; of
ccxt it loads what it needs. Delta Lake's library is none that may be forked."""

IMPORTED = {"commands": OURS, "programs": THEIRS}

LENGTH = struct.Struct("!I")
"""How the length of a request is sent, and each answer."""

Work = Callable[[], None]


def take_terminal() -> None:
    """Make what stdin is the terminal of this process, which Ctrl-C is sent to: a `preexec_fn`."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def exactly(channel: socket.socket, length: int) -> bytes:
    """Read so many bytes."""
    read = b""
    while len(read) < length:
        part = channel.recv(length - len(read))
        if not part:
            raise EOFError("the other process is gone")
        read += part
    return read


def _received(channel: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    """Read a request and its three streams; None: no more will come."""
    header, streams, *_ = socket.recv_fds(channel, LENGTH.size, 3)
    if not header:
        return None
    header += exactly(channel, LENGTH.size - len(header))
    return json.loads(exactly(channel, LENGTH.unpack(header)[0])), streams


def _serve(channel: socket.socket, door: socket.socket) -> Work | None:
    """Fork whenever that is wanted; a fork gives what it has to do."""
    while True:
        ready, _, _ = select.select([channel, door], [], [])
        if door in ready:
            caller, _ = door.accept()
            with caller:
                if os.fork() == 0:
                    for one in (channel, door):
                        one.close()
                    return _attend(caller)
        if channel in ready:
            received = _received(channel)
            if received is None:
                return None
            if work := _hand_over(channel, *received):
                door.close()
                return work
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass


def _hand_over(channel: socket.socket, request: dict[str, Any], streams: list[int]) -> Work | None:
    """Make a child of the process at the other end of the channel; only in it gives its work."""
    wait, go = os.pipe()
    hear, tell = os.pipe()
    between = os.fork()
    if between == 0:
        # An orphan belongs to the tests' process as soon as this one is gone.
        child = os.fork()
        if child:
            os.write(tell, LENGTH.pack(child))
            os._exit(0)
        os.read(wait, 1)
        for one in (wait, go, hear, tell):
            os.close(one)
        channel.close()
        return started(request, streams)
    child = LENGTH.unpack(os.read(hear, LENGTH.size))[0]
    os.waitpid(between, 0)
    channel.sendall(LENGTH.pack(child))
    os.write(go, b"!")
    for one in (wait, go, hear, tell, *streams):
        os.close(one)
    return None


def _attend(caller: socket.socket) -> Work:
    """Start what somebody asks for, hand on signals to it and its end to them.

    When they are gone before, it is killed, as their child would be with them.
    """
    received = _received(caller)
    if received is None:
        os._exit(0)
    request, streams = received
    child = os.fork()
    if child == 0:
        caller.close()
        return started(request, streams)
    for one in streams:
        os.close(one)
    ended = os.pidfd_open(child)
    while ended not in select.select([ended, caller], [], [])[0]:
        number = caller.recv(1)
        os.kill(child, number[0] if number else signal.SIGKILL)
        if not number:
            break
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(OSError):
        caller.sendall(LENGTH.pack(status))
    os._exit(0)


def started(request: dict[str, Any], streams: list[int]) -> Work:
    """Set the streams, environment, limits and folder of a fork; return its work."""
    if request.get("session"):
        os.setsid()
    for number, one in enumerate(streams):
        os.dup2(one, number)
        os.close(one)
    if limits := request.get("limits"):
        import resource

        for name, both in limits:
            resource.setrlimit(getattr(resource, name), tuple(both))
    if request.get("terminal"):
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
    return lambda: _run(request)


def _run(request: dict[str, Any]) -> None:
    """Run code, a module or a file as the interpreter does that is started with it."""
    sys.argv = request["argv"]
    if "module" in request:
        sys.path[0] = request["cwd"]
        runpy.run_module(request["module"], run_name="__main__", alter_sys=True)
        return
    main = sys.modules["__main__"] = ModuleType("__main__")
    if "code" in request:
        sys.path[0], text, name = "", request["code"], "<string>"
    else:
        name = main.__file__ = request["script"]
        sys.path[0], text = str(Path(name).parent), Path(name).read_text(encoding="utf-8")
    exec(compile(text, name, "exec", dont_inherit=True), main.__dict__)


def main() -> None:
    """Import everything, and be forked until the tests are over."""
    _, kind, channel, door = sys.argv
    # jsonschema would compile 39 grammars for a format that no schema here has.
    sys.modules.setdefault("rfc3987_syntax", None)
    for name in IMPORTED[kind]:
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)
    assert len(os.listdir("/proc/self/task")) == 1, "a fork would lose threads"  # noqa: PTH208
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(channel)) as one, socket.socket(fileno=int(door)) as other:
        work = _serve(one, other)
    if work is not None:
        work()


if __name__ == "__main__":
    main()
