"""What all requests to one server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

    from marketdata import AsyncClient
    from marketdata_mcp.live import LiveWatch
    from marketdata_mcp.updates import Updates
    from marketdata_mcp.watches import Watches

__all__ = ["Served", "owner"]


@dataclass(frozen=True)
class Served:
    """What a server answers from, for as long as it runs."""

    client: AsyncClient
    watches: Watches
    updates: Updates

    @property
    def lives(self) -> list[LiveWatch]:
        """All that is watched, whosever it is."""
        return [*self.watches.lives, *self.updates.lives]


def owner(context: ServerRequestContext[Any, Any]) -> str:  # noqa: ARG001 - nobody has an account
    """Name the caller, to whom watches and subscriptions belong: never a session."""
    return "local"
