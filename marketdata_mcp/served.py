"""The state that all requests to one server share."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from marketdata_mcp.callers import LOCAL

if TYPE_CHECKING:
    from marketdata import AsyncClient
    from marketdata.live import LiveWatch
    from marketdata_mcp.admission import Admission
    from marketdata_mcp.callers import Caller
    from marketdata_mcp.live.watches import Watches
    from marketdata_mcp.updates import Updates

__all__ = ["Served"]


@dataclass(frozen=True)
class Served:
    """The state of a server while it runs."""

    client: AsyncClient
    watches: Watches
    updates: Updates
    admission: Admission
    caller: Caller = LOCAL
    """The caller of the call that is answered."""

    @property
    def lives(self) -> list[LiveWatch]:
        """All watched streams of all callers."""
        return [*self.watches.lives, *self.updates.lives]

    def to(self, caller: Caller, client: AsyncClient) -> Served:
        """Return this state for one call, with the client that answers it."""
        return replace(self, caller=caller, client=client)
