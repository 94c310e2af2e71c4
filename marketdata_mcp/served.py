"""What all requests to one server share."""

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
    """What a server answers from, for as long as it runs."""

    client: AsyncClient
    watches: Watches
    updates: Updates
    admission: Admission
    caller: Caller = LOCAL
    """Whose call is answered."""

    @property
    def lives(self) -> list[LiveWatch]:
        """All that is watched, whosever it is."""
        return [*self.watches.lives, *self.updates.lives]

    def to(self, caller: Caller, client: AsyncClient) -> Served:
        """Return the same for a call, with the client that answers it."""
        return replace(self, caller=caller, client=client)
