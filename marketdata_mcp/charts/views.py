"""The chart page for answers of tools, in hosts with MCP Apps (``io.modelcontextprotocol/ui``).

One page shows the answers of all these tools. It reads their structured content and sends requests
only to the host. Hosts without the extension get the same answers as without the page.
"""

from __future__ import annotations

from functools import cache

from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID, ResourceCsp
from mcp_types import ReadResourceResult, Resource, TextResourceContents
from mcp_types import Tool as Definition

from marketdata._charts.page import is_built, page

__all__ = ["EXTENSIONS", "URI", "contents", "listed", "with_view"]

URI = "ui://marketdata/chart.html"
EXTENSIONS: dict[str, dict[str, object]] = {EXTENSION_ID: {}}
"""The declared capability of the server."""
_VIEWED = (
    *("get_candles", "get_orderbook", "get_consolidated_orderbook", "compare_exchanges"),
    "watch_read",
)
_META = {
    "ui": {
        # The page may not connect to or load anything.
        "csp": ResourceCsp().model_dump(by_alias=True, exclude_none=True),
        "prefersBorder": True,
    }
}


def with_view(definition: Definition) -> Definition:
    """Return a tool's definition, with the chart page if its answers have one."""
    if definition.name not in _VIEWED or not is_built():
        return definition
    return definition.model_copy(update={"meta": {"ui": {"resourceUri": URI}}})


def listed() -> list[Resource]:
    """Return the page for resources/list; empty if it was not built."""
    if not is_built():
        return []
    return [
        Resource(
            uri=URI,
            name="chart",
            title="Chart",
            description="Candles, order books and comparisons as an interactive chart.",
            mime_type=APP_MIME_TYPE,
            _meta=_META,
        )
    ]


@cache
def contents() -> ReadResourceResult:
    """Return the page; raises `DataUnavailableError` if it was not built."""
    text = TextResourceContents(uri=URI, mime_type=APP_MIME_TYPE, text=page(), _meta=_META)
    return ReadResourceResult(contents=[text])
