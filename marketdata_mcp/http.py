"""MCP over Streamable HTTP, stateless: any replica can answer any request."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.routing import Route

__all__ = ["listen", "serve", "url"]

PATH = "/mcp"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_GRACE_SECONDS = 2


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to serve on, so that a taken address is known at once; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def url(listener: socket.socket) -> str:
    """Give the address that a client on this machine takes."""
    host, port = listener.getsockname()[:2]
    return f"http://{_bracketed(host)}:{port}{PATH}"


async def serve(
    server: Server[Any],
    listener: socket.socket,
    names: Iterable[str],
    ready: Callable[[], None],
) -> None:
    """Serve until SIGINT or SIGTERM; calls under way get two seconds to end.

    Only requests addressed to the loopback or to one of `names` are served, as protection
    against web pages whose own name is made to point here. The signal that ended the serving is
    raised again for whoever had a handler before.
    """
    config = uvicorn.Config(
        application(server, names, ready),
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
    await uvicorn.Server(config).serve(sockets=[listener])


def application(
    server: Server[Any], names: Iterable[str], ready: Callable[[], None] = lambda: None
) -> Starlette:
    """Give the ASGI application; `ready` is called when the server's lifespan has begun."""
    manager = StreamableHTTPSessionManager(
        server, stateless=True, json_response=False, security_settings=_security(names)
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            ready()
            yield

    # POST only: without sessions there is nothing to listen to with GET, and the stream that the
    # SDK would open for it stays open for as long as the client.
    route = Route(PATH, endpoint=StreamableHTTPASGIApp(manager), methods=["POST"])
    return Starlette(routes=[route], lifespan=lifespan)


def _security(names: Iterable[str]) -> TransportSecuritySettings:
    hosts = [_bracketed(name) for name in dict.fromkeys([*_LOOPBACK, *names])]
    with_port = [allowed for host in hosts for allowed in (host, f"{host}:*")]
    return TransportSecuritySettings(
        allowed_hosts=with_port,
        allowed_origins=[
            f"{scheme}://{host}" for host in with_port for scheme in ("http", "https")
        ],
    )


def _bracketed(host: str) -> str:
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
