"""Lets the calls of one server through its gate, or all of them where there is none."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

from mcp import MCPError
from mcp_types import INVALID_PARAMS

from marketdata.errors import InternalError, MarketDataError, UnauthorizedError, UpstreamError
from marketdata_mcp.ask import LOCAL, Ask, Caller, Gate

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext
    from starlette.requests import Request

    from marketdata import AsyncClient
    from marketdata_mcp.observe import Call

__all__ = ["AGAIN", "CALLER", "REFUSAL", "Admission", "connection"]

CALLER = "marketdata.caller"
"""Where an HTTP request's scope holds who sent it."""
REFUSAL = "marketdata.refusal"
"""Where it holds the error of a call that failed before anybody knew who made it."""
AGAIN = "marketdata.again"
"""Where it holds what finds out anew who sent it, for streams that outlive their beginning."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Admission:
    """What stands between a call and its answer."""

    client: AsyncClient
    gate: Gate | None = None

    def caller(self, context: ServerRequestContext[Any, Any]) -> Caller:
        """Tell who makes a call; raises what kept that from being known."""
        if self.gate is None:
            return LOCAL
        caller = _scope(context).get(CALLER)
        if not isinstance(caller, Caller):
            raise UnauthorizedError("The call came by a way on which nobody asks for keys.")
        return caller

    def check(self, context: ServerRequestContext[Any, Any]) -> None:
        """Raise what was found wrong with a call on its way here."""
        refusal = _scope(context).get(REFUSAL)
        if isinstance(refusal, MarketDataError):
            raise refusal

    async def again(self, context: ServerRequestContext[Any, Any]) -> None:
        """Raise where whoever sent a request would not be let in any more.

        Not where that cannot be found out just now: a stream lets nobody in who was not before.
        """
        again: Callable[[], Awaitable[object]] | None = _scope(context).get(AGAIN)
        if self.gate is None or again is None:
            return
        try:
            await again()
        except InternalError as error:
            _logger.warning("a stream's key cannot be looked at: %s", error.code)

    @asynccontextmanager
    async def admit(
        self, caller: Caller, ask: Ask, call: Call | None = None
    ) -> AsyncIterator[AsyncClient]:
        """Have a call counted and its tier looked at; return the client that answers it.

        Where it names no exchange, that is one which asks those that its tier has. What the call
        raises inside because an exchange or the server failed is not charged.
        """
        if self.gate is None:
            yield self.client
            return
        charge = await self.gate.charge(caller, ask)
        if call is not None:
            call.units = charge.units
        self.gate.check_tier(caller, ask)
        try:
            yield self._client_of(caller, self.gate)
        except Exception as error:
            if not _is_callers_fault(error):
                await self.gate.give_back(caller, charge)
                if call is not None:
                    call.units = 0
            raise

    def _client_of(self, caller: Caller, gate: Gate) -> AsyncClient:
        preferred = self.client.settings.exchange
        allowed, among = gate.exchanges(caller, preferred), gate.allowed(caller)
        if allowed == preferred and among is None:
            return self.client
        return self.client.preferring(*allowed, among=among)

    async def usage(self, caller: Caller) -> dict[str, Any]:
        """Tell what a caller has used and may use."""
        return {"tier": "unlimited"} if self.gate is None else await self.gate.usage(caller)


def _scope(context: ServerRequestContext[Any, Any]) -> dict[str, Any]:
    return {} if context.request is None else context.request.scope


def connection(request: Request) -> str:
    """Name the connection that a message of the HTTP+SSE transport belongs to."""
    try:
        # The transport takes it in any form that this does.
        return UUID(hex=request.query_params.get("session_id", "")).hex
    except ValueError:
        return ""


def _is_callers_fault(error: Exception) -> bool:
    if isinstance(error, MCPError):  # what a resource's error is made to
        return error.error.code == INVALID_PARAMS
    ours = isinstance(error, MarketDataError)
    return ours and not isinstance(error, UpstreamError | InternalError)
