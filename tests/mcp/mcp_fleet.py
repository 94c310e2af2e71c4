"""nginx with `deploy/nginx.conf` in front of two real replicas."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.request import urlopen

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_admin import command
from mcp_doors import COMMAND, PATIENCE, environment
from mcp_operated import certificate
from servers import NEEDS_NGINX, NGINX

DEPLOY = Path(__file__).parents[2] / "deploy"


@dataclass
class Fleet:
    """Two replicas behind nginx."""

    url: str
    trusted: ssl.SSLContext
    keys: list[str]
    replicas: list[tuple[str, subprocess.Popen[str]]]
    nginx: subprocess.Popen[str]

    def http(self, key: str | None = None) -> httpx2.AsyncClient:
        """Return a plain client that trusts the proxy."""
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        return httpx2.AsyncClient(
            base_url=self.url, headers=headers, verify=self.trusted, timeout=PATIENCE
        )

    @asynccontextmanager
    async def client(self, key: str, era: str = "auto") -> AsyncIterator[Client]:
        """Connect the SDK's client."""
        async with self.http(key) as http:
            door = streamable_http_client(f"{self.url}/mcp", http_client=http)
            async with Client(door, mode=era) as client:
                yield client

    def metric(self, number: int, name: str) -> float:
        """Read a metric of a replica."""
        base = self.replicas[number][0].removesuffix("/mcp")
        with urlopen(f"{base}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        values = re.findall(rf"^{name}(?:{{.*}})? (\S+)$", text, re.MULTILINE)
        return sum(map(float, values))


def _configured(folder: Path, port: int, replicas: list[str]) -> Path:
    """Write the configuration for this machine; only paths and addresses are changed."""
    text = (DEPLOY / "nginx.conf").read_text()
    ours = {
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "marketdata-1:8000": replicas[0].split("/")[2],
        "marketdata-2:8000": replicas[1].split("/")[2],
        "/tmp/": f"{folder}/",
        "/etc/nginx/tls": str(folder),
        "/dev/stdout": f"{folder}/access.log",
        "worker_processes auto": "worker_processes 1",
    }
    for theirs, here in ours.items():
        assert theirs in text
        text = text.replace(theirs, here)
    if os.geteuid() == 0:  # its processes would become somebody who cannot enter the folder
        text = f"user root;\n{text}"
    file = folder / "nginx.conf"
    file.write_text(text)
    return file


def free_port() -> int:
    """Return an unused port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def _started(folder: Path, replicas: list[str]) -> tuple[subprocess.Popen[str], int]:
    """Start nginx, with another port if the port was taken meanwhile."""
    ends = time.monotonic() + PATIENCE
    while True:
        port = free_port()
        file = _configured(folder, port, replicas)
        line = [str(NGINX), "-c", str(file), "-p", str(folder), "-g", "daemon off;"]
        nginx = subprocess.Popen(line, stderr=subprocess.PIPE, text=True)
        while nginx.poll() is None and time.monotonic() < ends:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                return nginx, port
            time.sleep(0.01)
        nginx.terminate()
        said = nginx.communicate()[1]
        assert "Address already in use" in said, said


def replica(home: Path, stack: ExitStack) -> tuple[str, subprocess.Popen[str]]:
    """Start a server that requires keys, until the stack ends; return its URL."""
    process = stack.enter_context(
        subprocess.Popen(
            [COMMAND, "--http", "127.0.0.1:0", "--sim", "--access", "--sse"],
            env=environment(home),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
    )
    stack.callback(process.kill)
    assert process.stderr is not None
    found = re.fullmatch(r"marketdata-mcp: serving (\S+)\n", process.stderr.readline())
    assert found
    return found[1], process


@contextmanager
def fleet(folder: Path) -> Iterator[Fleet]:
    """Start two replicas with shared accounts and the proxy before them; skips without nginx."""
    if NGINX is None:
        pytest.skip(NEEDS_NGINX)
    for file, name in zip(certificate(folder), ("fullchain.pem", "privkey.pem"), strict=True):
        file.rename(folder / name)
    home = folder / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKETDATA_HOME", str(home))
        assert command("access", "account", "add", "acme", "--tier", "hero")[0] == 0
        keys = [command("access", "key", "add", "acme")[1].strip() for _ in range(6)]
    with ExitStack() as stack:
        replicas = [replica(home, stack) for _ in range(2)]
        nginx, port = _started(folder, [url for url, _ in replicas])
        stack.enter_context(nginx)
        stack.callback(nginx.terminate)
        trusted = ssl.create_default_context(cafile=str(folder / "fullchain.pem"))
        yield Fleet(f"https://127.0.0.1:{port}", trusted, keys, replicas, nginx)
