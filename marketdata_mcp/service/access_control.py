"""Identifies the sender of an HTTP request before the protocol sees it.

The reference service checks a call's arguments before its key. So a malformed call without a valid
key is passed on to get its error, and nothing else is. What is read of such requests is limited:
see docs/limits.md.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import Any

from mcp.server.auth.middleware.bearer_auth import AuthenticatedUser
from mcp.server.auth.provider import AccessToken
from pydantic_core import from_json
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from marketdata.errors import (
    InternalError,
    InvalidParameterError,
    MarketDataError,
    RateLimitExceededError,
)
from marketdata_mcp import app
from marketdata_mcp.callers import Caller
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.admission import AGAIN, CALLER
from marketdata_mcp.service.bounds import Ceilings, address
from marketdata_mcp.service.metrics import Metrics
from marketdata_mcp.service.rates import Rates
from marketdata_mcp.service.refusals import refusal
from marketdata_mcp.service.shares import Shares

__all__ = ["AccessControl", "malformed"]

_logger = logging.getLogger(__name__)


class AccessControl:
    """Admits requests whose sender the gate knows.

    `sessions` says whether the application has sessions, which then belong to their sender.
    """

    def __init__(
        self,
        app: ASGIApp,
        gate: Gate,
        ceilings: Ceilings,
        *,
        sessions: bool = False,
        metadata: str | None = None,
        metrics: Metrics | None = None,
    ) -> None:
        self._app = app
        self._gate = gate
        self._ceilings = ceilings
        self._sessions = sessions
        self._metadata = metadata
        self._metrics = metrics
        self._reading = Shares(ceilings.keyless)
        self._under_way = Shares(ceilings.requests)
        self._rates = Rates()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        identify = partial(self._identify, Headers(scope=scope).get("authorization"))
        try:
            caller = await identify()
            self._check_rate(caller)
        except MarketDataError as error:
            await self._refuse(error, scope, receive, send)
            return
        scope = {**scope, CALLER: caller, AGAIN: identify}
        if self._sessions:
            # The SDK's transport compares this to find the owner of a session.
            token = AccessToken(token="", client_id=caller.account, scopes=[])
            scope["user"] = AuthenticatedUser(token)
        with self._under_way.one(caller.account) as has_place:
            if has_place:
                await self._app(scope, receive, send)
            else:
                await self._answer(_crowded(), None, scope, receive, send)

    async def _identify(self, authorization: str | None) -> Caller:
        try:
            return await self._gate.identify(authorization)
        except MarketDataError:
            raise
        except Exception:
            _logger.exception("a key cannot be looked up")
            raise InternalError("The key cannot be looked up; the server's log says why.") from None

    def _check_rate(self, caller: Caller) -> None:
        calls = self._gate.calls_a_minute(caller)
        wait = 0.0 if calls is None else self._rates.wait(caller.account, messages_a_minute(calls))
        if wait:
            raise RateLimitExceededError(
                f"The account sends too many messages. Send this again in {wait:.3g} s.",
                retry_after=wait,
            )

    async def _refuse(
        self, error: MarketDataError, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await self._body(scope, receive)
        message = _parsed(body)
        if message.get("method") == "tools/call":
            params = message.get("params")
            params = params if isinstance(params, dict) else {}
            if malformed(params.get("name"), params.get("arguments")) is not None:
                # The tool reports the same error.
                await self._app(scope, _replayed(body, receive), send)
                return
        given = message.get("id")
        request_id = given if isinstance(given, str | int) and not isinstance(given, bool) else None
        await self._answer(error, request_id, scope, receive, send)

    async def _answer(
        self,
        error: MarketDataError,
        request_id: Any,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        if self._metrics is not None:
            self._metrics.refused(error.code)
        await refusal(error, request_id, self._metadata)(scope, receive, send)

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """Read a request without a key if it is short and quick, and few are read at the time."""
        length = Headers(scope=scope).get("content-length", "")
        most = self._ceilings.keyless_body
        if scope["method"] != "POST" or (length.isdecimal() and int(length[:20]) > most):
            return b""
        body: bytes = b""
        owner = address(scope)
        if self._rates.wait(owner, self._ceilings.keyless_a_minute):
            return b""
        with self._reading.one(owner) as has_place:
            if not has_place:
                return b""
            try:
                async with asyncio.timeout(self._ceilings.keyless_seconds):
                    while len(body) <= most:
                        message = await receive()
                        body += message.get("body", b"")
                        if not message.get("more_body"):
                            return body
            except TimeoutError:
                pass
        return b""


def malformed(name: object, arguments: object) -> MarketDataError | None:
    """Return the error of a call that fails before its sender is checked; None if it does not.

    A request that the protocol itself refuses is not a call.
    """
    if not isinstance(name, str) or not isinstance(arguments, dict | None):
        return None
    tool = app.ALL.get(name)
    if tool is None:
        return InvalidParameterError(app.unknown(name))
    try:
        tool.parse(arguments or {})
    except MarketDataError as error:
        return error
    return None


def messages_a_minute(calls: int) -> int:
    """Return the limit of messages for a limit of calls: each call can need several messages."""
    return 4 * calls


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        message = from_json(body)
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def _crowded() -> RateLimitExceededError:
    return RateLimitExceededError(
        "The account has reached its limit of concurrent requests. Send this again.",
        retry_after=1.0,
    )


def _replayed(body: bytes, receive: Receive) -> Receive:
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> Message:
        return waiting.pop() if waiting else await receive()

    return again
