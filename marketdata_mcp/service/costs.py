"""What access control has to know of a call: which exchanges it names, how far back it reaches."""

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
"""How far back data are current: what every ticker covers."""
_FREE = ("get_usage", "completion/complete")
"""Whoever has used up all must be able to find that out, and a host completes as it goes."""


def ask_of(what: str, arguments: Mapping[str, Any]) -> Ask:
    """Describe a call by its tool or method, and by its arguments as they were read."""
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
        return timedelta.max  # nobody can tell when a trade of that number was
    if arguments.get("start") is not None:
        reach = datetime.now(UTC) - datetime.fromtimestamp(arguments["start"] / 1000, UTC)
    elif arguments.get("window") not in (None, "day"):
        reach = window_length(arguments["window"])
    return reach if reach > _CURRENT else timedelta()
