"""Schemas as clients get them: what every client, model and converter can use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

__all__ = ["advertised", "expected", "outward"]

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


def expected(schema: Content) -> str:
    """Say what an argument takes, in a few words that end a sentence."""
    if "enum" in schema:
        return f"one of {', '.join(map(str, schema['enum']))}"
    match schema["type"]:
        case "integer" | "number" as kind:
            number = "a whole number" if kind == "integer" else "a number"
            return number + _bounds(schema)
        case "boolean":
            return "true or false"
        case "array":
            least, most = schema.get("minItems", 0), schema.get("maxItems")
            many = f"{least} to {most} " if most is not None else ""
            return f"a list of {many}texts"
        case "string":
            return "text"
        case _:
            return "a time: ISO-8601 text, Unix milliseconds or an age such as -7d"


def _bounds(schema: Mapping[str, Any]) -> str:
    if "exclusiveMinimum" in schema:
        return f" above {schema['exclusiveMinimum']}"
    least, most = schema.get("minimum"), schema.get("maximum")
    said = "" if least is None else f" from {least}"
    return said if most is None else f"{said} to {most}"


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
