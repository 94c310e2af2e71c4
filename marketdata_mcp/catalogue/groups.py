"""Groups of tools: an operator can serve only some of them, which saves tokens."""

from __future__ import annotations

from collections.abc import Collection, Mapping

__all__ = ["GROUPS", "chosen", "group_of"]

GROUPS: Mapping[str, Collection[str]] = {
    "market": (
        *("list_exchanges", "list_pairs", "get_ticker", "get_tickers", "get_average_price"),
        *("get_quote", "get_orderbook", "get_status", "get_fees", "compare_exchanges"),
        *("get_consolidated_orderbook", "get_execution_cost"),
    ),
    "history": ("get_candles", "get_trades"),
    "watch": ("watch_start", "watch_read", "watch_stop", "watch_list"),
    "chart": ("get_chart",),
}
_EXTRA = frozenset({"chart"})
"""Groups that are served only on request."""


def group_of(tool: str) -> str | None:
    """Return the group of a tool; None if it is always served."""
    return next((name for name, tools in GROUPS.items() if tool in tools), None)


def chosen(named: Collection[str]) -> frozenset[str]:
    """Return the groups to serve: the named ones, with all usual ones if none of those is named."""
    usual = frozenset(GROUPS) - _EXTRA
    return frozenset(named) if usual.intersection(named) else usual.union(named)
