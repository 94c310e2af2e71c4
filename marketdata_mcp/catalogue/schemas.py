"""The schemas of answers for clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["outward"]


def outward(schema: Any, kinds: Mapping[str, Any] | None = None) -> Any:
    """Remove docstrings, and allow additional fields.

    Clients keep schemas, and answers can get new fields at any time. With `kinds`, references to
    them are replaced by their schemas.
    """
    match schema:
        case {"$ref": str(where), **rest} if kinds is not None:
            return {**outward(kinds[where.rpartition("/")[2]], kinds), **rest}
        case {"properties": dict(properties), **rest}:
            inner = {name: outward(one, kinds) for name, one in properties.items()}
            return {**outward(rest, kinds), "properties": inner}
        case dict():
            return {
                key: outward(value, kinds)
                for key, value in schema.items()
                if key not in ("additionalProperties", "description")
            }
        case list():
            return [outward(one, kinds) for one in schema]
    return schema
