"""The HTTP process: its socket, TLS, signals, and an orderly shutdown."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import uvicorn

from marketdata.errors import InvalidParameterError
from marketdata.machine import on_signal
from marketdata_mcp.service.bounds import Bounded
from marketdata_mcp.service.guard import protocol
from marketdata_mcp.service.hosts import bracketed
from marketdata_mcp.service.listening import listen
from marketdata_mcp.service.memory import keep_small
from marketdata_mcp.service.web import PATH, Web

__all__ = ["check", "listen", "serve", "url"]

_GRACE_SECONDS = 2.0
_OTHER_FILES = 100
"""Open files besides the clients' connections: accounts, candles, connections to exchanges."""


def url(listener: socket.socket, *, tls: bool = False) -> str:
    """Return the URL for a client on this machine."""
    host, port = listener.getsockname()[:2]
    return f"{'https' if tls else 'http'}://{bracketed(host)}:{port}{PATH}"


def check(certificate: Path, key: Path) -> None:
    """Raise `InvalidParameterError` if certificate and key cannot be used."""
    try:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        # Pass a password, because otherwise OpenSSL would ask for it on the terminal and wait.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError:
        raise InvalidParameterError(
            f"{certificate} and {key} are not a certificate and its key without a password."
        ) from None
    except OSError as error:
        raise InvalidParameterError(
            f"{certificate} or {key} cannot be read: {error.strerror}."
        ) from None


async def serve(
    web: Web, listener: socket.socket, certificate: tuple[Path, Path] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM.

    After a signal, requests in flight have two seconds, or none after a second signal. Streams of
    events end properly at once.

    With a certificate and its key, it serves over TLS.
    """
    most = min(web.ceilings.connections, max(2, _take_descriptors() - _OTHER_FILES))
    ceilings = replace(web.ceilings, connections=most)
    requests = Bounded(web.application(), ceilings)
    if web.metrics is not None:
        web.metrics.count_requests(lambda: requests.under_way)
    config = uvicorn.Config(
        requests,
        http=protocol(ceilings),
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        ws="none",
        timeout_keep_alive=ceilings.idle_seconds,
        timeout_graceful_shutdown=round(_GRACE_SECONDS) + 1,
        ssl_certfile=None if certificate is None else certificate[0],
        ssl_keyfile=None if certificate is None else certificate[1],
    )
    server = _Server(config)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        web.stop()
        loop.call_later(0 if server.should_exit else _GRACE_SECONDS, requests.end)
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, stop)
    keeping = asyncio.create_task(keep_small(lambda: requests.under_way))
    try:
        await server.serve(sockets=[listener])
    finally:
        keeping.cancel()


def _take_descriptors() -> int:
    """Raise the limit of open files to the maximum, and return it."""
    if sys.platform != "win32":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return sys.maxsize if allowed == resource.RLIM_INFINITY else allowed
    else:  # noqa: RET505 - mypy would call what follows unreachable on Windows
        return sys.maxsize


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers.

    sse-starlette, which the SDK uses, hooks into them. It would cut every stream at the shutdown,
    even one that is about to get its response.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # A closed asyncio.Server makes no connection of a socket that it has just accepted, which
        # takes three turns of the loop, and leaves it open.
        loop = asyncio.get_running_loop()
        for listener in sockets or ():
            with contextlib.suppress(NotImplementedError):  # loops that do not watch sockets
                loop.remove_reader(listener.fileno())
        for _ in range(3):
            await asyncio.sleep(0)
        await super().shutdown(sockets)
