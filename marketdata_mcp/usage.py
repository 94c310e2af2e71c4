"""The tool that tells an account what it has used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.ask import Ask
from marketdata_mcp.tools import ServerTool

if TYPE_CHECKING:
    from marketdata_mcp.ask import Caller
    from marketdata_mcp.served import Served

__all__ = ["USAGE_TOOL"]


class _UsageTool(ServerTool):
    def ask(self, _: Content) -> Ask:
        """Tell that it costs nothing: whoever has used up all must be able to find that out."""
        return Ask(free=True)


async def _usage(served: Served, caller: Caller, _: Content) -> Answer:
    content = await served.admission.usage(caller)
    return content, answers.compact(content)


_COUNT: Content = {"type": "integer"}
_TIME: Content = {"type": "string", "format": "date-time"}
_WINDOW: Content = {
    "type": "object",
    "properties": {"used": _COUNT, "limit": _COUNT, "remaining": _COUNT, "resetAt": _TIME},
}

USAGE_TOOL = _UsageTool(
    "get_usage",
    "Get your account's usage: tier, quota, limits, calls and units used, left or remaining.",
    {},
    {
        "tier": {"type": "string"},
        "minute": _WINDOW,
        "week": {
            **_WINDOW,
            "properties": {**_WINDOW["properties"], "percentUsed": _COUNT},
        },
        "historicalDays": _COUNT,
        "allowedExchanges": {"type": "array", "items": {"type": "string"}},
    },
    ("tier",),
    _usage,
)
