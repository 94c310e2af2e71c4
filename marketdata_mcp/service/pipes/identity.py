"""Finds the id of an invalid request, so that its sender gets an answer."""

from __future__ import annotations

import json
import math
from typing import Any, TypeAlias

from mcp_types import INVALID_REQUEST, PARSE_ERROR

__all__ = ["Id", "is_unanswered", "refused", "request_id"]

Id: TypeAlias = str | int | float | None

_NO_MESSAGE = "Invalid request: not a JSON-RPC 2.0 message."
_NO_ID = "Invalid request: an id is a text or a whole number."
_HALF = "Invalid request: a text has half a character (a lone surrogate)."
_NO_JSON = "Parse error: a message is one line of JSON."


def request_id(line: bytes) -> Id:
    """Return the id of an invalid message; None if it has no readable id."""
    message = _read(line)
    found = message.get("id") if isinstance(message, dict) else None
    match found:
        case bool():
            return None
        case str():
            return found if _is_whole(found) else None
        case int():
            return found
        case float():
            return found if math.isfinite(found) else None
    return None


def is_unanswered(line: bytes) -> bool:
    """Return whether a request would look like a notification, because its id is invalid."""
    if b'"id"' not in line:
        return False
    message = _read(line)
    is_request = isinstance(message, dict) and "id" in message and "method" in message
    return is_request and not _is_sound(message["id"])


def refused(line: bytes) -> dict[str, Any]:
    """Return the answer to an invalid message."""
    message = _read(line)
    code, said = INVALID_REQUEST, _NO_MESSAGE
    if message is None:
        code, said = PARSE_ERROR, _NO_JSON
    elif is_unanswered(line):
        said = _NO_ID
    elif not _is_whole(json.dumps(message, ensure_ascii=False)):
        said = _HALF
    return {
        "jsonrpc": "2.0",
        "id": request_id(line),
        "error": {"code": code, "message": said},
    }


def _read(line: bytes) -> Any:
    """Parse JSON, including lone surrogates that a strict parser refuses; None if it is invalid."""
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_sound(given: object) -> bool:
    return isinstance(given, str | int) and not isinstance(given, bool)


def _is_whole(text: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in text)
