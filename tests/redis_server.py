"""A real Redis on a free port, that can be stopped, killed, halted and started again.

Any test takes one with the fixture ``redis_server`` (``tests/conftest.py``); who needs several, or
one with a password, starts ``RedisServer`` itself.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import pytest
from servers import NEEDS_REDIS, REDIS

_PATIENCE = 30.0
"""Seconds that a busy machine may take to start it."""


class RedisServer:
    """One Redis, whose data outlives `stop` and `kill` until `close`.

    Nothing that it has answered is lost by `kill`: commands are in its file before their answers
    are out.
    """

    def __init__(self, *options: str, password: str | None = None) -> None:
        """Take options of the program, such as ``"--maxmemory", "10mb"``.

        The test that makes one is skipped where there is no Redis.
        """
        if REDIS is None:
            pytest.skip(NEEDS_REDIS)
        # Not below pytest's folder: the path of a Unix socket may have 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self.password = password
        self.port = 0
        self._options = [*options, *(("--requirepass", password) if password else ())]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find it; the same after it was started again."""
        return f"redis://{self._secret}127.0.0.1:{self.port}/0"

    @property
    def unix_url(self) -> str:
        """The same, through a Unix socket."""
        return f"unix://{self._secret}{self.folder / 'socket'}?db=0"

    @property
    def _secret(self) -> str:
        return f":{quote(self.password, safe='')}@" if self.password else ""

    def start(self) -> Self:
        """Start it, with the data that it had; return once it answers."""
        if self._process is not None:
            return self
        ends = time.monotonic() + _PATIENCE
        first = self.port == 0
        while True:
            if first:
                self.port = _free_port()
            self._process = self._run()
            while self._process.poll() is None and time.monotonic() < ends:
                if self._answers():
                    return self
                time.sleep(0.002)
            self.kill()
            # Somebody may have been quicker with the port.
            if time.monotonic() > ends:
                raise TimeoutError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop it in order, as an operator would."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Kill it."""
        self._end(signal.SIGKILL)

    def halt(self) -> None:
        """Let it hang: it takes connections and commands, and answers nothing until `go_on`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `halt`."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def client(self, **options: Any) -> Any:
        """Make a client of redis-py; whoever asks for it closes it, best by ``with``."""
        import redis

        return redis.Redis.from_url(self.url, **options)

    def close(self) -> None:
        """Kill it, and remove its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> subprocess.Popen[bytes]:
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.folder / "socket"),
            "dir": str(self.folder),
            "appendonly": "yes",
            "save": "",
            # How soon it sees a signal.
            "hz": "100",
            "daemonize": "no",
        }
        assert REDIS is not None
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [
                    REDIS,
                    *(part for name, value in options.items() for part in (f"--{name}", value)),
                    *self._options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C is for the tests; they stop it.
                start_new_session=True,
                env={**os.environ, "LC_ALL": "C"},
            )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                # It also says so while it reads its data; then it is not ready.
                return connection.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        except OSError:
            return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        if how is not signal.SIGKILL:
            process.send_signal(signal.SIGCONT)
        try:
            process.wait(_PATIENCE)
        finally:
            process.kill()
            process.wait()


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])
