"""HTTP responses to refused requests: JSON-RPC errors for programs."""

from __future__ import annotations

import json
import math
from typing import Any

from starlette.responses import Response

from marketdata.errors import ForbiddenError, MarketDataError, UnauthorizedError
from marketdata_mcp import answers

__all__ = ["refusal"]

_REFUSED = -32001
"""A code in the protocol's range for implementations; ``data.code`` has details."""


def refusal(
    error: MarketDataError, request_id: Any = None, metadata: str | None = None
) -> Response:
    """Return an error as an HTTP response: 401, 403 or 503.

    `metadata` is the URL at which clients find how to get a token (RFC 9728).
    """
    match error:
        case UnauthorizedError():
            status = 401
        case ForbiddenError():
            status = 403
        case _:
            status = 503
    headers = {}
    scopes = error.details.get("scopes")
    # For a missing scope, a client would ask for consent again, which does not end a suspension.
    if status == 401 or scopes:
        parts = [f'error="{"invalid_token" if status == 401 else "insufficient_scope"}"']
        parts.append(f'error_description="{_plain(error.message)}"')
        if scopes:
            parts.append(f'scope="{_plain(" ".join(scopes))}"')
        if metadata is not None:
            parts.append(f'resource_metadata="{metadata}"')
        headers["WWW-Authenticate"] = f"Bearer {', '.join(parts)}"
    if error.retry_after is not None:
        headers["Retry-After"] = str(math.ceil(error.retry_after))
    said = json.loads(answers.told(error))
    body = {
        "jsonrpc": "2.0",
        "id": request_id,
        "error": {"code": _REFUSED, "message": f"{error.code}: {error.message}", "data": said},
    }
    return Response(answers.compact(body).encode(), status, headers, media_type="application/json")


def _plain(text: str) -> str:
    """Remove characters that a quoted string of a header cannot have (RFC 6750)."""
    return "".join("'" if one in '"\\' else one for one in text if " " <= one <= "~")
