"""Admits calls before they are answered."""

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
    """A call, finished or in progress."""

    name: str
    """The tool, or ``resources/read``."""
    caller: Caller | None = None
    """The caller; None if the call failed before the caller was known."""
    error: MarketDataError | None = None
    units: int = 0
    """The units that it was finally charged."""


class Admission:
    """Admits every call and notes nothing; a service replaces it with its own."""

    is_counted = False
    """Whether calls cost units."""

    def __init__(self, client: AsyncClient) -> None:
        self.client = client

    def caller(self, _context: Context) -> Caller:
        """Return the caller; raises the error that prevents knowing it."""
        return LOCAL

    def observed(self, name: str) -> AbstractContextManager[Call]:
        """Note the result of a call inside the block."""
        return nullcontext(Call(name))

    @asynccontextmanager
    async def admit(
        self,
        _caller: Caller,
        _what: str,
        _arguments: Mapping[str, Any],
        _call: Call | None = None,
    ) -> AsyncIterator[AsyncClient]:
        """Return the client that answers a call; raises if the call is not allowed.

        The call is one of a tool, or of a method of the protocol, with parsed arguments.
        """
        yield self.client

    def place(self, _caller: Caller) -> AbstractContextManager[None]:
        """Count a stream inside the block; raises `MCPError` above the limit of streams."""
        return nullcontext()

    async def again(self, context: Context) -> None:
        """Raise if the sender of a request would no longer be admitted."""

    async def serve(self, context: Context, work: Callable[[Context], Awaitable[T]]) -> T:
        """Serve a stream while its owner would still be admitted."""
        return await work(context)

    def connection(self, _context: Context) -> str:
        """Return the name of a message's connection; empty if there is only one."""
        return ""

    async def usage(self, _caller: Caller) -> Usage:
        """Return the usage and the limits of a caller."""
        return Usage(tier="unlimited")
