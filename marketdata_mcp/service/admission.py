"""Lets the calls of one server through its gate, and tells those of them who keep logs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast
from uuid import UUID

from mcp import MCPError
from mcp_types import INVALID_PARAMS

from marketdata.errors import (
    InternalError,
    MarketDataError,
    RateLimitExceededError,
    UnauthorizedError,
    UpstreamError,
)
from marketdata_mcp.admission import Admission, Call, Context
from marketdata_mcp.callers import Caller, Usage
from marketdata_mcp.live.places import FULL_SECONDS
from marketdata_mcp.resources import refused
from marketdata_mcp.service.bounds import Ceilings
from marketdata_mcp.service.observe import Observer, observed
from marketdata_mcp.service.shares import Shares

if TYPE_CHECKING:
    from mcp.server.session import ServerSession
    from starlette.requests import Request

    from marketdata import AsyncClient
    from marketdata_mcp.service.access.gate import Gate

__all__ = ["AGAIN", "CALLER", "GatedAdmission", "connection"]

CALLER = "marketdata.caller"
"""Where an HTTP request's scope holds who sent it."""
AGAIN = "marketdata.again"
"""Where it holds what finds out anew who sent it, for streams that outlive their beginning."""
_AGAIN_SECONDS = 50.0
"""Seconds after which a stream's key is looked at again, also where there is nothing to tell."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


class GatedAdmission(Admission):
    """Lets calls through a gate, or all of them where there is none."""

    def __init__(
        self,
        client: AsyncClient,
        gate: Gate | None = None,
        *observers: Observer,
        ceilings: Ceilings | None = None,
    ) -> None:
        super().__init__(client)
        self._ceilings = ceilings or Ceilings()
        self._streams = Shares(self._ceilings.streams)
        self._gate = gate
        self._observers = observers
        self.is_counted = gate is not None

    def observed(self, name: str) -> AbstractContextManager[Call]:
        """Tell the observers of what happens inside the block."""
        return observed(self._observers, name)

    def caller(self, context: Context) -> Caller:
        """Tell who makes a call; raises what kept that from being known."""
        if self._gate is None:
            return super().caller(context)
        caller = _scope(context).get(CALLER)
        if not isinstance(caller, Caller):
            raise UnauthorizedError("The call came over a transport that does not check keys.")
        return caller

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """Hold a place for a stream inside the block; raises `MCPError` where there is none."""
        mine, most = self._streams.held(caller.account), self._ceilings.streams_a_caller
        with self._streams.one(caller.account) as has_place:
            if mine >= most or not has_place:
                error = RateLimitExceededError(
                    f"You have {mine} streams of events, and cannot have more now. End one, or "
                    "try again later.",
                    retry_after=FULL_SECONDS,
                    details={"limit": most},
                )
                raise refused(error)
            yield

    async def again(self, context: Context) -> None:
        """Raise if the sender of a request would no longer be admitted.

        Not where that cannot be found out just now: a stream lets nobody in who was not before.
        """
        again: Callable[[], Awaitable[object]] | None = _scope(context).get(AGAIN)
        if self._gate is None or again is None:
            return
        try:
            await again()
        except InternalError as error:
            _logger.warning("a stream's key cannot be looked at: %s", error.code)

    @asynccontextmanager
    async def admit(
        self,
        caller: Caller,
        what: str,
        arguments: Mapping[str, Any],
        call: Call | None = None,
    ) -> AsyncIterator[AsyncClient]:
        """Have a call counted and its tier looked at; return the client that answers it.

        Where it names no exchange, that is one which asks those that its tier has. What the call
        raises inside because an exchange or the server failed is not charged.
        """
        if self._gate is None:
            yield self.client
            return
        from marketdata_mcp.service.costs import ask_of

        ask = ask_of(what, arguments)
        charge = await self._gate.charge(caller, ask)
        if call is not None:
            call.units = charge.units
        self._gate.check_tier(caller, ask)
        try:
            yield self._client_of(caller, self._gate)
        except Exception as error:
            if not _is_callers_fault(error):
                await self._gate.give_back(caller, charge)
                if call is not None:
                    call.units = 0
            raise

    def _client_of(self, caller: Caller, gate: Gate) -> AsyncClient:
        preferred = self.client.settings.exchange
        allowed, among = gate.exchanges(caller, preferred), gate.allowed(caller)
        if allowed == preferred and among is None:
            return self.client
        return self.client.preferring(*allowed, among=among)

    async def serve(self, context: Context, work: Callable[[Context], Awaitable[T]]) -> T:
        """Serve a stream while its owner would still be admitted."""
        if self._gate is None:
            return await work(context)
        again = partial(self.again, context)
        session = cast("ServerSession", _Checked(context.session, again))
        serving = asyncio.ensure_future(work(replace(context, session=session)))
        try:
            while not serving.done():
                await asyncio.wait([serving], timeout=_AGAIN_SECONDS)
                await again()
            return serving.result()
        except MarketDataError as error:
            raise refused(error) from None
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    def connection(self, context: Context) -> str:
        """Name the connection: on HTTP+SSE its session, on stdio there is only one."""
        return "" if context.request is None else connection(context.request)

    async def usage(self, caller: Caller) -> Usage:
        """Tell what a caller has used and may use."""
        return await (super().usage(caller) if self._gate is None else self._gate.usage(caller))


class _Checked:
    """A session that tells nothing to whom is not let in any more."""

    def __init__(self, session: ServerSession, again: Callable[[], Awaitable[None]]) -> None:
        self._session = session
        self._again = again

    async def send_notification(self, *arguments: Any, **options: Any) -> None:
        """Tell of something; raises what `again` raises."""
        await self._again()
        await self._session.send_notification(*arguments, **options)


def _scope(context: Context) -> dict[str, Any]:
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
