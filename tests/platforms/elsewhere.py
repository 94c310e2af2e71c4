"""Makes a process look like one on another system, before the library is imported.

Each line of its input is a program to run, in a fork of its own; each line of its output is the
exit status of one. What other packages and the standard library need of this system they have
imported by then; nothing of what is taken away was imported by the library.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import importlib
import json
import os
import pkgutil
import signal
import sys
from typing import Any, NoReturn

from tests.warm_process import Work, started

THEIRS = (
    *("aiohttp", "aiohttp.web", "anyio", "anyio._backends._asyncio", "ccxt", "ccxt.async_support"),
    *("ccxt.pro", "mcp.server", "mcp.server.stdio", "mcp.client", "mcp.shared.message"),
    *("orjson", "packaging.requirements", "platformdirs", "pydantic", "rich.console", "rich.live"),
    *("sse_starlette", "starlette.applications", "typer", "uvicorn", "prometheus_client", "redis"),
    *("deltalake", "pyarrow", "pyarrow.fs", "cryptography.x509", "opentelemetry.trace"),
)
TAKEN = {
    "win32": ("fcntl", "resource", "termios", "tty", "pty", "pwd", "grp", "syslog"),
    "darwin": ("spwd", "ossaudiodev"),
}
MISSING = {
    "win32": (
        *("fork", "forkpty", "register_at_fork", "getuid", "geteuid", "getgid", "getppid"),
        *("killpg", "setsid", "uname", "fchmod", "mkfifo", "statvfs", "sched_getaffinity"),
    ),
    "darwin": ("sched_getaffinity", "memfd_create", "eventfd", "splice"),
}
NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
SIGNALS = ("SIGTSTP", "SIGSTOP", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT", "SIGWINCH")


def pretend(platform: str) -> None:
    """Take away what the other system lacks."""
    if platform == "win32":
        for name in SIGNALS:
            delattr(signal, name)
        # As the loop of Windows has it.
        for name in ("add_signal_handler", "remove_signal_handler"):
            setattr(asyncio.SelectorEventLoop, name, _lacking)
        for name in ("connect_read_pipe", "connect_write_pipe"):
            setattr(asyncio.SelectorEventLoop, name, _lacking_soon)
        for name in ("add_reader", "add_writer"):
            setattr(asyncio.SelectorEventLoop, name, _lacking)
    for name in MISSING[platform]:
        if hasattr(os, name):
            delattr(os, name)
    for name in TAKEN[platform]:
        sys.modules[name] = None  # type: ignore[assignment]
    ours = [name for name in sys.modules if name.partition(".")[0].startswith("marketdata")]
    assert not ours, ours
    sys.platform = platform


def _import_what_is_not_ours() -> None:
    for name in THEIRS:
        with contextlib.suppress(ImportError):  # of an extra that is not installed
            importlib.import_module(name)
    for name in sorted(sys.stdlib_module_names - {"antigravity", "this", "idlelib", "turtle"}):
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    for package in (asyncio, concurrent.futures):
        for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
            with contextlib.suppress(Exception):
                importlib.import_module(module.name)


def _lacking(*_: Any) -> NoReturn:
    raise NotImplementedError


async def _lacking_soon(*_: Any) -> NoReturn:
    raise NotImplementedError


def main() -> Work | None:
    """Run one program after the other; gives the work of a program, in a process of its own."""
    _import_what_is_not_ours()
    for line in sys.stdin:
        request = json.loads(line)
        child = os.fork()
        if child == 0:
            streams = zip(request["streams"], (os.O_RDONLY, NEW, NEW), strict=True)
            work = started(request, [os.open(*stream) for stream in streams])
            pretend(request["platform"])
            return work
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


if __name__ == "__main__":
    if work := main():
        work()
