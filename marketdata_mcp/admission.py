"""What stands between a call and its answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from mcp.server import ServerRequestContext

from marketdata_mcp.callers import LOCAL, Caller, Usage

if TYPE_CHECKING:
    from marketdata import AsyncClient
    from marketdata.errors import MarketDataError

__all__ = ["Admission", "Call", "Context"]

Context: TypeAlias = ServerRequestContext[Any, Any]
T = TypeVar("T")


@dataclass
class Call:
    """A call that is over, or is about to be."""

    name: str
    """The tool, or ``resources/read``."""
    caller: Caller | None = None
    """None where it failed before anybody looked who makes it."""
    error: MarketDataError | None = None
    units: int = 0
    """What it was charged in the end."""


class Admission:
    """Lets everybody in, and takes note of nothing: a service puts its own in this place."""

    is_counted = False
    """Whether calls cost units."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    def caller(self, _context: Context) -> Caller:
        """Tell who makes a call; raises what kept that from being known."""
        return LOCAL

    def observed(self, name: str) -> AbstractContextManager[Call]:
        """Take note of what happens to a call inside the block."""
        return nullcontext(Call(name))

    @asynccontextmanager
    async def admit(
        self,
        _caller: Caller,
        _what: str,
        _arguments: Mapping[str, Any],
        _call: Call | None = None,
    ) -> AsyncIterator[AsyncClient]:
        """Return the client that answers a call; raises where it may not be made.

        That is one of a tool, or of a method of the protocol, with its arguments as read.
        """
        yield self.client

    def place(self, _caller: Caller) -> AbstractContextManager[None]:
        """Hold a place for a stream inside the block; raises `MCPError` where there is none."""
        return nullcontext()

    async def again(self, context: Context) -> None:
        """Raise where whoever sent a request would not be let in any more."""

    async def serve(self, context: Context, work: Callable[[Context], Awaitable[T]]) -> T:
        """Serve a stream for as long as whoever opened it would be let in."""
        return await work(context)

    def connection(self, _context: Context) -> str:
        """Name the connection that a message came by; empty where there is only one."""
        return ""

    async def usage(self, _caller: Caller) -> Usage:
        """Tell what a caller has used and may use."""
        return Usage(tier="unlimited")
