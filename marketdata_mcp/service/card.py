"""The server card: what registries and clients can know before they connect."""

from __future__ import annotations

from typing import Any

from marketdata import __version__
from marketdata_mcp.catalogue.identity import DESCRIPTION, ICON, TITLE

__all__ = ["card"]

_REGISTERED = "io.github.ccxt-marketdata/ccxt-marketdata"
"""The same name as in server.json for registries."""


def card() -> dict[str, Any]:
    """Return the server card of SEP-2127, which is experimental.

    It has no URL, because its reader has just used it.
    """
    return {
        "$schema": "https://static.modelcontextprotocol.io/schemas/v2/server-card.schema.json",
        "name": _REGISTERED,
        "version": __version__,
        "title": TITLE,
        "description": DESCRIPTION,
        "icons": [ICON.model_dump(by_alias=True, exclude_none=True)],
    }
