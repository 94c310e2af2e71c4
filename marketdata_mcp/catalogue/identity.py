"""The server's name, description and icon."""

from __future__ import annotations

from urllib.parse import quote

from mcp_types import Icon

__all__ = ["DESCRIPTION", "ICON", "NAME", "TITLE"]

NAME = "marketdata"
TITLE = "Market data"
DESCRIPTION = "Prices, order books, trades, candles of the spot exchanges in ccxt; read-only."
_DRAWING = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"><g stroke-width="2">'
    '<path stroke="#26a69a" d="M6 6v14M18 3v14"/><path stroke="#ef5350" d="M12 7v14"/></g>'
    '<path fill="#26a69a" d="M4 9h4v8H4zM16 6h4v8h-4z"/><path fill="#ef5350" d="M10 10h4v8h-4z"/>'
    "</svg>"
)
"""Three candles."""
ICON = Icon(
    src=f"data:image/svg+xml,{quote(_DRAWING)}",
    mime_type="image/svg+xml",
    sizes=["any"],
)
