"""Docstrings of the operations: parameters, result and errors, from annotations."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from marketdata._arguments.described import Described


def notes(method: Callable[..., Any], annotation: str) -> tuple[Any, ...]:
    """Return the description of a parameter in an annotated type, or in a union with None.

    The annotation is not evaluated, which would take longer than importing everything here.
    """
    annotated = method.__globals__.get(str(annotation).removesuffix(" | None"))
    return getattr(annotated, "__metadata__", ())


def documented(method: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> str:
    """Return a method's docstring with sections of its parameters, its result and its errors."""
    lines = [inspect.getdoc(method) or ""]
    for place, one in enumerate(parameters):
        if place == 0:
            lines += ["", "Parameters:"]
        said = notes(method, one.annotation)
        text = next((note.text for note in said if isinstance(note, Described)), "")
        lines += [f"    {one.name}: {text}".rstrip()]
        if one.default not in (one.empty, None):
            lines[-1] += f" Default: {one.default!r}."
    lines += ["", "Returns:", *_returned(str(method.__annotations__["return"]))]
    return "\n".join([*lines, "", "Raises:", f"    MarketDataError: {_RAISES}"])


_RAISES = "`code` says what went wrong, `retryable` whether the same call may succeed later."
_UNITS = "Prices are in quote currency, amounts in base currency."
_FIELDS = "Times are UTC datetimes; a field is None if its value is unknown or does not apply."


def _returned(annotation: str) -> list[str]:
    """Describe the result of a method from its annotation."""
    kind, _, of = annotation.replace("[Number]", "").removesuffix("]").partition("[")
    match kind:
        case "Records":
            said = f"`Records`: a list of `{of}`. Its `errors` lists requested pairs without data."
        case "AsyncWatch":
            said = (
                f"`AsyncWatch`, or `Watch` in blocking code: an iterator over `{of}`. Close it, or "
                "use it as a context manager."
            )
        case "AsyncClient":
            said = "`AsyncClient`, or `Client` in blocking code."
        case "Path":
            said = "The path of the file written."
        case _:
            said = f"`{kind}`."
    told = [said]
    if kind not in ("AsyncClient", "Path", "LiveChart"):
        told += [_UNITS] * ("[Number]" in annotation) + [_FIELDS]
    return [f"    {line}" for line in told]
