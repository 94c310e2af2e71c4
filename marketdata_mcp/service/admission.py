"""Admits the calls of a server through its gate, and reports them to observers such as logs."""

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
"""The key of the sender in an HTTP request's scope."""
AGAIN = "marketdata.again"
"""The key of the function in the scope that checks the sender again, for long streams."""
_AGAIN_SECONDS = 50.0
"""Seconds between two checks of a stream's key, even without events."""

_logger = logging.getLogger(__name__)
T = TypeVar("T")


class GatedAdmission(Admission):
    """Admits calls through a gate, or all calls without a gate."""

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
        """Report the result of a call inside the block to the observers."""
        return observed(self._observers, name)

    def caller(self, context: Context) -> Caller:
        """Return the caller; raises the error that prevents knowing it."""
        if self._gate is None:
            return super().caller(context)
        caller = _scope(context).get(CALLER)
        if not isinstance(caller, Caller):
            raise UnauthorizedError("The call came over a transport that does not check keys.")
        return caller

    @contextmanager
    def place(self, caller: Caller) -> Iterator[None]:
        """Count a stream inside the block; raises `MCPError` above the limit of streams."""
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

        Does not raise if accounts cannot be reached: an open stream admits nobody new.
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
        """Count a call and check its tier; return the client that answers it.

        For a call without an exchange, the client uses those of its tier. Failures of an exchange
        or of the server inside the block are not charged.
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
        """Return the name of the connection: the session of HTTP+SSE; stdio has only one."""
        return "" if context.request is None else connection(context.request)

    async def usage(self, caller: Caller) -> Usage:
        """Return the usage and the limits of a caller."""
        return await (super().usage(caller) if self._gate is None else self._gate.usage(caller))


class _Checked:
    """A session that sends nothing after its owner is no longer admitted."""

    def __init__(self, session: ServerSession, again: Callable[[], Awaitable[None]]) -> None:
        self._session = session
        self._again = again

    async def send_notification(self, *arguments: Any, **options: Any) -> None:
        """Send a notification; raises the errors of `again`."""
        await self._again()
        await self._session.send_notification(*arguments, **options)


def _scope(context: Context) -> dict[str, Any]:
    return {} if context.request is None else context.request.scope


def connection(request: Request) -> str:
    """Return the name of the connection of an HTTP+SSE message."""
    try:
        # The transport accepts the id in any of these forms.
        return UUID(hex=request.query_params.get("session_id", "")).hex
    except ValueError:
        return ""


def _is_callers_fault(error: Exception) -> bool:
    if isinstance(error, MCPError):  # errors of resources are converted to it
        return error.error.code == INVALID_PARAMS
    ours = isinstance(error, MarketDataError)
    return ours and not isinstance(error, UpstreamError | InternalError)
