"""The web application around the protocol: two transports, access, health and metrics."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from mcp.server import Server
from mcp.server.sse import SseServerTransport
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import ListenHandler
from mcp.server.transport_security import TransportSecuritySettings
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketdata.errors import RateLimitExceededError
from marketdata_mcp.app import Service
from marketdata_mcp.callers import Caller
from marketdata_mcp.served import Served
from marketdata_mcp.service.access.accounts import AwayError
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.access.patience import within
from marketdata_mcp.service.access_control import AccessControl
from marketdata_mcp.service.admission import AGAIN, CALLER, connection
from marketdata_mcp.service.bounds import Ceilings, address
from marketdata_mcp.service.card import card
from marketdata_mcp.service.event_session import EventSession
from marketdata_mcp.service.hosts import Hosts
from marketdata_mcp.service.logs import quiet
from marketdata_mcp.service.metrics import Metrics
from marketdata_mcp.service.pipes import identity
from marketdata_mcp.service.refusals import refusal
from marketdata_mcp.service.shares import Shares

__all__ = ["PATH", "Web"]

PATH = "/mcp"

_EVENTS = "/sse"
_MESSAGES = "/messages/"
_METADATA = "/.well-known/oauth-protected-resource"
_CARD = "/server-card"
"""The path of the server card below the endpoint (SEP-2127)."""
_PUBLIC = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=3600"}
_READY_SECONDS = 0.15
"""Maximum seconds to check whether calls can be counted: a probe must be answered in 200 ms."""
_SESSIONS_OF_ONE = 100
"""Maximum sessions of the HTTP+SSE transport for one account."""


@dataclass
class Web:
    """The HTTP application with its access control."""

    service: Service
    names: Iterable[str] = ()
    """The host names of this server besides the loopback: a protection against web pages whose own
    name points here."""
    gate: Gate | None = None
    events: bool = False
    """Whether to serve the older HTTP+SSE transport, too."""
    metrics: Metrics | None = None
    ceilings: Ceilings = field(default_factory=Ceilings)
    ready: Callable[[], None] = lambda: None
    """Called when requests can be answered."""

    def __post_init__(self) -> None:
        self.is_stopping = False
        self._served: Served | None = None
        self._hosts = Hosts(self.names)
        self._open = Shares(self.ceilings.sessions)
        self._servers: list[Server[Served]] = []
        self._sessions: set[EventSession] = set()
        # Hosts are checked first, and once.
        self._unchecked = TransportSecuritySettings(enable_dns_rebinding_protection=False)

    def application(self) -> Starlette:
        """Return the ASGI application."""
        quiet()
        manager = StreamableHTTPSessionManager(
            self._server(sessions=False),
            stateless=True,
            # Calls with plain JSON responses could be neither cancelled nor report progress.
            json_response=False,
            security_settings=self._unchecked,
            max_request_body_size=self.ceilings.body,
        )

        @asynccontextmanager
        async def lifespan(_: Starlette) -> AsyncIterator[None]:
            async with self.service.lifespan() as self._served, manager.run():
                self.ready()
                yield

        # POST only: without sessions, GET has nothing to listen to, and the SDK would open a
        # stream for it that stays open as long as the client does.
        guarded = self._guarded(StreamableHTTPASGIApp(manager))
        routes: list[BaseRoute] = [
            Route(PATH, endpoint=guarded, methods=["POST"]),
            Route(PATH + _CARD, self._card),
            Route("/healthz", self._healthz),
            Route("/readyz", self._readyz),
        ]
        if self.metrics is not None:
            routes.append(Route("/metrics", self._metrics))
        if self.gate is not None and self.gate.policy.oauth is not None:
            # Clients look at the given URL, at the path of the endpoint, and at the root. Behind a
            # proxy, the first can differ from the second (RFC 9728).
            told = urlsplit(_metadata_url(self.gate.policy.oauth.audience)).path
            paths = dict.fromkeys((told, _METADATA + PATH, _METADATA))
            routes += [Route(path, self._metadata) for path in paths]
        if self.events:
            routes += self._event_routes()
        application = Starlette(routes=routes, lifespan=lifespan)
        # It would redirect clients to the host they name, and behind a proxy from TLS to no TLS.
        application.router.redirect_slashes = False
        return application

    def _server(self, *, sessions: bool) -> Server[Served]:
        server = self.service.server(sessions=sessions)
        self._servers.append(server)
        return server

    def stop(self) -> None:
        """Mark the server as not ready, and end the streams of events."""
        self.is_stopping = True
        for session in self._sessions:
            session.end()
        for server in self._servers:
            listening = server.get_request_handler("subscriptions/listen")
            if listening is not None and isinstance(listening.handler, ListenHandler):
                listening.handler.close()

    def _guarded(self, app: ASGIApp, *, sessions: bool = False) -> ASGIApp:
        """Admit requests that are addressed to this server and allowed."""
        inner: ASGIApp = app
        if self.gate is not None:
            oauth = self.gate.policy.oauth
            inner = AccessControl(
                app,
                self.gate,
                self.ceilings,
                sessions=sessions,
                metadata=None if oauth is None else _metadata_url(oauth.audience),
                metrics=self.metrics,
            )
        return _Guarded(inner, self._hosts)

    # ------------------------------------------------------------------ HTTP+SSE

    def _event_routes(self) -> list[BaseRoute]:
        transport = SseServerTransport(_MESSAGES, self._unchecked, self.ceilings.body)
        server = self._server(sessions=True)

        async def events(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["method"] == "HEAD":  # the router allows it together with GET
                await Response(status_code=405, headers={"Allow": "GET"})(scope, receive, send)
                return
            caller: Caller | None = scope.get(CALLER)
            owner = address(scope) if caller is None else caller.account
            with self._open.one(owner) as has_place:
                most = self.ceilings.sessions if caller is None else _SESSIONS_OF_ONE
                if not has_place or self._open.held(owner) > most:
                    await refusal(_crowded())(scope, receive, send)
                    return
                session = EventSession(scope.get(AGAIN), send)
                self._sessions.add(session)
                try:
                    async with transport.connect_sse(scope, receive, session.send) as (read, write):
                        async with session.running():
                            await server.run(read, write, server.create_initialization_options())
                        # This ends the transport properly; otherwise it would leave streams.
                        await write.aclose()
                finally:
                    self._sessions.discard(session)
                    if self._served is not None:
                        self._served.updates.disconnected(session.name)

        async def messages(scope: Scope, receive: Receive, send: Send) -> None:
            name = connection(Request(scope))
            mine = next((one for one in self._sessions if name and one.name == name), None)
            if mine is not None and AGAIN in scope:
                scope = {**scope, AGAIN: mine.again}
            await transport.handle_post_message(scope, receive, send)

        return [
            Route(_EVENTS, endpoint=self._guarded(_App(events), sessions=True), methods=["GET"]),
            Mount(_MESSAGES, app=self._guarded(messages, sessions=True)),
        ]

    # ------------------------------------------------------------------ operators

    async def _healthz(self, _: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def _readyz(self, _: Request) -> Response:
        problems = []
        if self.is_stopping:
            problems.append("stopping")
        if self.gate is not None:
            try:
                await within(_READY_SECONDS, self.gate.store.check())
            except (AwayError, TimeoutError):
                problems.append("accounts cannot be reached")
        if problems:
            return JSONResponse({"status": "unavailable", "problems": problems}, 503)
        return JSONResponse({"status": "ready"})

    async def _metrics(self, _: Request) -> Response:
        assert self.metrics is not None  # noqa: S101 - its route exists
        assert self._served is not None  # noqa: S101 - the lifespan has begun
        text = self.metrics.text(self._served)
        return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")

    async def _card(self, _: Request) -> Response:
        return JSONResponse(card(), headers=_PUBLIC, media_type="application/mcp-server-card+json")

    async def _metadata(self, _: Request) -> Response:
        assert self.gate is not None  # noqa: S101 - its route exists
        oauth = self.gate.policy.oauth
        assert oauth is not None  # noqa: S101 - its route exists
        return JSONResponse(
            {
                "resource": oauth.audience,
                "resource_name": "marketdata",
                "authorization_servers": [oauth.issuer],
                "scopes_supported": list(oauth.scopes),
                "bearer_methods_supported": ["header"],
            },
            headers=_PUBLIC,
        )


class _App:
    """An ASGI application that a route does not mistake for a request handler."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class _Guarded:
    """Admits requests that are addressed to this server."""

    def __init__(self, app: ASGIApp, hosts: Hosts) -> None:
        self._app = app
        self._hosts = hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refused = self._hosts.refuse(scope)
        if refused is not None:
            await PlainTextResponse(refused[1], refused[0])(scope, receive, send)
            return
        held: Message | None = None
        body: list[bytes] = []

        async def heard() -> Message:
            message = await receive()
            body.append(message.get("body", b""))
            return message

        async def plain(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and message["status"] in _ANSWERED:
                held = message
                return
            if held is not None:
                start, message = _in_our_words(held, message, b"".join(body))
                held = None
                await send(start)
            await send(message)

        await self._app(scope, heard, plain)


_ANSWERED = (202, 400)


def _in_our_words(start: Message, body: Message, asked: bytes) -> tuple[Message, Message]:
    """Answer an invalid message with its id, but without the text that the SDK would repeat."""
    told = body.get("body", b"")
    # 202 is for messages without a response, or with one on a stream.
    is_answered = start["status"] == 202 and not identity.is_unanswered(asked)
    if is_answered or (start["status"] == 400 and b'"id":null' not in told):
        return start, body
    said = json.dumps(identity.refused(asked)).encode()
    headers = [pair for pair in start["headers"] if pair[0] not in _OF_BODY]
    headers += [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))]
    return {**start, "status": 400, "headers": headers}, {**body, "body": said}


_OF_BODY = (b"content-length", b"content-type")


def _crowded() -> RateLimitExceededError:
    return RateLimitExceededError(
        "You have reached the limit of sessions. Close one, or use /mcp, which needs none.",
        retry_after=10.0,
    )


def _metadata_url(resource: str) -> str:
    scheme, _, rest = resource.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host}{_METADATA}{slash}{path}"
