"""MCP over Streamable HTTP, stateless: any replica can answer any request but one about a watch."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import uvicorn
from mcp.server import Server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import ListenHandler
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import CONNECTION_CLOSED
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["listen", "serve", "url"]

PATH = "/mcp"

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_GRACE_SECONDS = 2.0


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to serve on, so that a taken address is known at once; raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.create_server((host, port), family=family, backlog=2048)
    # Connections inherit it. asyncio would set it only for sockets that name their protocol, and
    # without it an answer's body waits 40 ms for the client to acknowledge the header.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


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
    """Serve until SIGINT or SIGTERM; then requests under way get two seconds, or no more at a
    second signal. Streams of events end in order at once.

    Only requests addressed to the loopback or to one of `names` are served, as protection
    against web pages whose own name is made to point here.
    """
    requests = _Requests(application(server, names, ready))
    config = uvicorn.Config(
        requests,
        log_config=None,
        access_log=False,
        server_header=False,
        ws="none",
        timeout_graceful_shutdown=round(_GRACE_SECONDS) + 1,
    )
    web = _Web(config)
    loop = asyncio.get_running_loop()
    listening = server.get_request_handler("subscriptions/listen")

    def stop() -> None:
        if listening is not None and isinstance(listening.handler, ListenHandler):
            listening.handler.close()
        loop.call_later(0 if web.should_exit else _GRACE_SECONDS, requests.end)
        web.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    await web.serve(sockets=[listener])


class _Web(uvicorn.Server):
    """uvicorn without its signal handlers: through them sse-starlette, which the SDK uses, finds
    out and cuts every stream, also one whose answer is about to come.
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class _Requests:
    """Runs an application so that its requests can be ended with an answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._limits: set[asyncio.Timeout] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        # httptools, where installed, leaves blanks around values, which then fail to match.
        headers = [(name, value.strip()) for name, value in scope["headers"]]
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limits.add(limit)
                await self._app({**scope, "headers": headers}, receive, watched)
        except TimeoutError:
            if not limit.expired():
                raise
            if begun:
                await send({"type": "http.response.body", "body": b"", "more_body": False})
            else:
                await _closing()(scope, receive, send)
        finally:
            self._limits.discard(limit)

    def end(self) -> None:
        """End the requests under way."""
        for limit in self._limits:
            if limit.when() is None:
                limit.reschedule(0)


def _closing() -> JSONResponse:
    error = {"code": CONNECTION_CLOSED, "message": "The server is closing; send this again."}
    body = {"jsonrpc": "2.0", "id": None, "error": error}
    return JSONResponse(body, status_code=503, headers={"Retry-After": "1"})


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
