"""What registries and clients can know of the server before they speak to it."""

from __future__ import annotations

from typing import Any

from marketdata import __version__
from marketdata_mcp.catalogue.identity import DESCRIPTION, ICON, TITLE

__all__ = ["card"]

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
