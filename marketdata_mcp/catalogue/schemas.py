"""Schemas as clients get them: what every client, model and converter can use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

__all__ = ["advertised", "outward", "whole"]

Content: TypeAlias = dict[str, Any]

_OF_TYPE = ("type", "enum", "items", "maximum", "maxItems")
_UNSAID = ("title", "description", "examples", "exclusiveMinimum", "minimum", "minItems")


def advertised(schema: Content, described: Callable[[str], str]) -> Content:
    """Return the schema of arguments in the form that all clients can convert.

    `described` gives the description of an argument. An argument that may be left out may be null,
    because converters to strict schemas have every argument given. There are one type and null at
    most; a time is text. What is refused besides, such as an amount of 0, fewer rows than one or a
    name that is not known, an answer tells: several hosts take no schema that says so, and a model
    that asks for nothing has not read it.
    """
    required = schema.get("required", [])
    properties = {
        name: _argument(one, described(name), is_optional=name not in required)
        for name, one in schema["properties"].items()
    }
    return {
        "type": "object",
        "properties": properties,
        **({"required": required} if required else {}),
    }


def _argument(schema: Content, description: str, *, is_optional: bool) -> Content:
    kind = schema["type"] if isinstance(schema["type"], str) else "string"
    said = {key: value for key, value in schema.items() if key not in _UNSAID}
    if said.get("default") is False:
        del said["default"]
    if "items" in said:
        said["items"] = {
            key: value for key, value in said["items"].items() if key in ("type", "enum")
        }
    said["type"] = kind
    if is_optional:
        # Not a list of types: Anthropic's converter takes none.
        typed = {key: said.pop(key) for key in _OF_TYPE if key in said}
        said["anyOf"] = [typed, {"type": "null"}]
    return {**said, "description": description}


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
