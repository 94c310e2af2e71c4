"""Notifications of updated resources, and the streams for them.

A stream runs while its resource has a subscriber. Clients of revision 2026-07-28 listen and get
events from the bus. Earlier ones subscribe and are notified on their open connection.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import anyio
from mcp.server.subscriptions import (
    ListenHandler,
    ResourcesListChanged,
    ResourceUpdated,
    SubscriptionBus,
)
from mcp_types import SubscriptionsListenRequestParams, SubscriptionsListenResult

from marketdata import AsyncClient
from marketdata.errors import MarketDataError
from marketdata.live import BARS, Following, LiveWatch
from marketdata_mcp.admission import Context
from marketdata_mcp.callers import Caller
from marketdata_mcp.live.places import check_place
from marketdata_mcp.live.watches import Limits
from marketdata_mcp.resources import Address, refused

if TYPE_CHECKING:
    from mcp.server.session import ServerSession

__all__ = ["Connection", "Listening", "Updates", "admitted", "caller_of"]


class Connection:
    """A connection of an earlier revision that gets notifications."""

    def __init__(
        self, owner: str, session: ServerSession, again: Callable[[], Awaitable[None]]
    ) -> None:
        """`again` raises if its owner would no longer be admitted."""
        self.owner = owner
        self._session = session
        self._again = again
        self._telling: asyncio.Task[None] | None = None

    def tell(self, uri: str) -> None:
        """Send a notification, unless the client has not read the last one yet."""
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell(uri))

    async def _tell(self, uri: str) -> None:
        with contextlib.suppress(
            anyio.BrokenResourceError, anyio.ClosedResourceError, MarketDataError
        ):
            await self._again()
            await self._session.send_resource_updated(uri)

    def end(self) -> None:
        """Send no more notifications."""
        if self._telling is not None:
            self._telling.cancel()


class _Followed:
    """A resource with subscribers."""

    def __init__(self, uri: str, stream: Following) -> None:
        self.uri = uri
        self.stream = stream
        self.owners: Counter[str] = Counter()
        self.sessions: dict[str, Connection] = {}
        """The subscribers of earlier revisions, by connection."""


class Updates:
    """All subscriptions to resources of one server."""

    def __init__(self, client: AsyncClient, limits: Limits, bus: SubscriptionBus) -> None:
        self._client = client
        self._limits = limits
        self._bus = bus
        self._followed: dict[str, _Followed] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def lives(self) -> list[LiveWatch]:
        """The streams of all resources with subscribers."""
        streams = (one.stream.live for one in self._followed.values())
        return [live for live in streams if live is not None]

    def of(self, owner: str) -> list[LiveWatch]:
        """Return the streams of a caller's resources."""
        mine = (one.stream.live for one in self._followed.values() if owner in one.owners)
        return [live for live in mine if live is not None]

    async def changed(self) -> None:
        """Notify clients that the list of watched streams has changed."""
        await self._bus.publish(ResourcesListChanged())

    # ------------------------------------------------------------------ subscribers

    @asynccontextmanager
    async def followed(self, owner: str, uris: Iterable[str]) -> AsyncIterator[None]:
        """Follow resources inside the block; raises `MCPError` for one that cannot be followed."""
        joined: list[str] = []
        try:
            for uri in dict.fromkeys(uris):
                await self._join(owner, uri)
                joined.append(uri)
            if joined:
                await self.changed()
            yield
        finally:
            for uri in joined:
                self._leave(owner, uri)

    async def subscribe(self, connection: str, uri: str, session: Connection) -> None:
        """Subscribe a connection; raises `MCPError` if the resource cannot be followed."""
        known = self._followed.get(uri)
        if known is not None and connection in known.sessions:
            return
        await self._join(session.owner, uri)
        followed = self._followed[uri]
        if connection in followed.sessions:  # a later request has already subscribed
            self._leave(session.owner, uri)
        else:
            followed.sessions[connection] = session

    def unsubscribe(self, connection: str, uri: str) -> None:
        """Unsubscribe a connection from a resource."""
        known = self._followed.get(uri)
        if known is not None and connection in known.sessions:
            session = known.sessions.pop(connection)
            session.end()
            self._leave(session.owner, uri)

    def disconnected(self, connection: str) -> None:
        """Unsubscribe a closed connection from everything."""
        for uri in list(self._followed):
            self.unsubscribe(connection, uri)

    async def _join(self, owner: str, uri: str) -> None:
        try:
            followed = self._followed.get(uri)
            if followed is None or owner not in followed.owners:
                self._admit(owner)
            if followed is None:
                followed = self._followed[uri] = _Followed(uri, self._stream(uri))
            followed.owners[owner] += 1
            try:
                await followed.stream.opened()
            except BaseException:
                self._leave(owner, uri)
                raise
        except MarketDataError as error:
            raise refused(error, uri) from None

    def _admit(self, owner: str) -> None:
        mine = sum(owner in one.owners for one in self._followed.values())
        check_place(
            mine,
            self._limits.subscriptions,
            f"You are subscribed to {mine} resources, and cannot be to more.",
            len(self._followed),
            self._limits.subscriptions_in_all,
            "The server follows as many resources as it can for you. Unsubscribe from one, or try "
            "again later.",
        )

    def _leave(self, owner: str, uri: str) -> None:
        """Stop following a resource without subscribers, in a separate task."""
        followed = self._followed.get(uri)
        if followed is None:  # it was closed meanwhile
            return
        followed.owners[owner] -= 1
        followed.owners += Counter()  # removes the owners with a count of zero
        if not followed.owners:
            del self._followed[uri]
            self._end(followed)

    def _end(self, followed: _Followed) -> None:
        closing = asyncio.create_task(self._close(followed))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Stop following all resources."""
        while self._followed:
            self._end(self._followed.popitem()[1])
        if self._closing:
            await asyncio.wait(self._closing)

    # ------------------------------------------------------------------ one resource

    def _stream(self, uri: str) -> Following:
        address = Address.parse(uri)
        watch = partial(
            LiveWatch,
            self._client,
            address.kind,
            [address.pair],
            exchange=address.exchange,
            timeframe=address.timeframe or "1m",
            kept=BARS,
        )
        tell = partial(self._publish, uri)
        return Following(watch, tell, pause=self._limits.pause, again=self._limits.again)

    async def _close(self, followed: _Followed) -> None:
        for session in followed.sessions.values():
            session.end()
        await followed.stream.close()
        await self.changed()

    async def _publish(self, uri: str) -> None:
        await self._bus.publish(ResourceUpdated(uri))
        followed = self._followed.get(uri)
        for session in () if followed is None else followed.sessions.values():
            session.tell(uri)


def caller_of(context: Context) -> Caller:
    """Return the sender of a request; raises `MCPError`."""
    try:
        caller: Caller = context.lifespan_context.admission.caller(context)
        return caller
    except MarketDataError as error:
        raise refused(error) from None


@asynccontextmanager
async def admitted(context: Context, uris: Iterable[str]) -> AsyncIterator[Caller]:
    """Admit a caller to resources, each counted as a call; raises `MCPError` otherwise.

    A request without resources is a call as well. Failures of an exchange inside the block are not
    charged.
    """
    caller, admission = caller_of(context), context.lifespan_context.admission
    async with AsyncExitStack() as stack:
        for uri in dict.fromkeys(uris) or ("",):
            try:
                about = Address.parse(uri)._asdict() if uri else {}
                admit = admission.admit(caller, "subscriptions/listen", about)
                await stack.enter_async_context(admit)
            except MarketDataError as error:
                raise refused(error, uri or None) from None
        yield caller


class Listening(ListenHandler):
    """Serves ``subscriptions/listen``: resources are followed while a client listens."""

    async def __call__(
        self, ctx: Context, params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """Serve one stream of events."""
        served = ctx.lifespan_context
        uris = params.notifications.resource_subscriptions or ()
        async with AsyncExitStack() as stack:
            async with admitted(ctx, uris) as caller:
                stack.enter_context(served.admission.place(caller))
                await stack.enter_async_context(served.updates.followed(caller.account, uris))
            work = partial(super().__call__, params=params)
            result: SubscriptionsListenResult = await served.admission.serve(ctx, work)
            return result
