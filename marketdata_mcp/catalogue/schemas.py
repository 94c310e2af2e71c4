"""Schemas of answers as clients get them."""

from __future__ import annotations

from typing import Any, TypeAlias

__all__ = ["outward", "whole"]

Content: TypeAlias = dict[str, Any]


def outward(schema: Any) -> Any:
    """Leave out what is not for clients: docstrings of Python, and that objects are closed.

    Clients keep schemas, and an answer may get further fields at any time.
    """
    match schema:
        case {"properties": dict(properties), **rest}:
            inner = {name: outward(one) for name, one in properties.items()}
            return {**outward(rest), "properties": inner}
        case dict():
            return {
                key: outward(value)
                for key, value in schema.items()
                if key not in ("additionalProperties", "description")
            }
        case list():
            return [outward(one) for one in schema]
    return schema


def whole(schema: Content) -> Content:
    """Put what a record's schema refers to in its place, without docstrings of Python."""
    kinds = schema.get("$defs", {})

    def inner(one: Any) -> Any:
        match one:
            case {"$ref": str(where), **rest}:
                kind = kinds[where.rpartition("/")[2]]
                return {**inner(kind | {"description": None}), **rest}
            case dict():
                return {
                    key: inner(value)
                    for key, value in one.items()
                    if key not in ("$defs", "additionalProperties") and value is not None
                }
            case list():
                return [*map(inner, one)]
        return one

    found: Content = inner(schema | {"description": None})
    return found
