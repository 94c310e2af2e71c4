"""Who sends an HTTP request: found out before the protocol sees it.

The reference service looks at a call's arguments before its key, so a malformed call is let
through to be told so, and nothing else without a key that is in force.
"""

from __future__ import annotations

from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketdata.errors import MarketDataError
from marketdata_mcp.admission import CALLER, REFUSAL
from marketdata_mcp.app import is_malformed
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.metrics import Metrics
from marketdata_mcp.service.refusals import refusal

__all__ = ["AccessControl"]


class AccessControl:
    """Lets those requests through whose sender a gate knows.

    `sessions` tells whether the application has any, which then belong to their sender.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        *,
        max_body: int,
        sessions: bool = False,
        metadata: str | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._max_body = max_body
        self._sessions = sessions
        self._metadata = metadata
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        try:
            caller = await self._gate.identify(Headers(scope=scope).get("authorization"))
        except MarketDataError as error:
            await self._refuse(error, scope, receive, send)
            return
        scope = {**scope, CALLER: caller}
        if self._sessions:
            # By this the SDK's transport tells whose a session is.
            token = AccessToken(token="", client_id=caller.account, scopes=[])
            scope["user"] = AuthenticatedUser(token)
        await self._app(scope, receive, send)

    async def _refuse(
        self, error: MarketDataError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await self._body(receive) if scope["method"] == "POST" else b""
        message = _parsed(body)
        if message.get("method") == "tools/call":
            params = message.get("params")
            params = params if isinstance(params, dict) else {}
            if is_malformed(params.get("name"), params.get("arguments")):
                await self._app({**scope, REFUSAL: error}, _replayed(body, receive), send)
                return
        if self._metrics is not None:
            self._metrics.refused(error.code)
        given = message.get("id")
        request_id = given if isinstance(given, str | int) and not isinstance(given, bool) else None
        await refusal(error, request_id, self._metadata)(scope, receive, send)

    async def _body(self, receive: Receive) -> bytes:
        """Read a body as far as one may be long."""
        body = b""
        while len(body) <= self._max_body:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        return body


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = from_json(body)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
