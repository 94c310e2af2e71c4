"""The facts of a call for access control: its exchanges, and how far back it reaches."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from marketdata.arguments import window_length
from marketdata.live import BARS
from marketdata.pages import lookback
from marketdata_mcp.service.access.gate import Ask

__all__ = ["ask_of"]

_CURRENT = timedelta(days=1)
"""The age up to which data count as current: the span of a ticker."""
_FREE = ("get_usage", "completion/complete")
"""Free calls: usage must work after the quota is used up, and hosts complete while users type."""


def ask_of(what: str, arguments: Mapping[str, Any]) -> Ask:
    """Describe a call by its tool or method and its parsed arguments."""
    one = arguments.get("exchange")
    exchanges = (one,) if one is not None else tuple(arguments.get("exchanges") or ())
    return Ask(exchanges, _reach(what, arguments), free=what in _FREE)


def _reach(what: str, arguments: Mapping[str, Any]) -> timedelta:
    if what in ("get_candles", "get_chart"):
        return lookback(arguments)
    if "/" in what and arguments.get("kind") == "candles":  # a resource
        return lookback({**arguments, "start": None, "end": None, "limit": BARS})
    reach = timedelta()
    if arguments.get("from_id") is not None:
        return timedelta.max  # the time of a trade id is unknown
    if arguments.get("start") is not None:
        reach = datetime.now(UTC) - datetime.fromtimestamp(arguments["start"] / 1000, UTC)
    elif arguments.get("window") not in (None, "day"):
        reach = window_length(arguments["window"])
    return reach if reach > _CURRENT else timedelta()
