"""What the server says of itself: in the handshake, and on its card."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mcp_types import Icon

from marketdata import __version__

__all__ = ["DESCRIPTION", "ICON", "NAME", "TITLE", "card"]

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
_REGISTERED = "io.github.ccxt-marketdata/ccxt-marketdata"
"""As in server.json, by which registries know it."""


def card() -> dict[str, Any]:
    """Return the server card of SEP-2127, which is experimental: what a client can know beforehand.

    It has no address: whoever reads it has asked it at that address.
    """
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/v2/server-card.schema.json",
        "name": _REGISTERED,
        "version": __version__,
        "title": TITLE,
        "description": DESCRIPTION,
        "icons": [ICON.model_dump(by_alias=True, exclude_none=True)],
    }
