"""Maximum sizes of arguments from untrusted callers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from marketdata._arguments.texts import whole
from marketdata.errors import InvalidParameterError

_LONGEST_TEXT = 1_000
"""Maximum characters of a string; the longest is a cursor of fifty pairs."""
_LONGEST_LIST = 200
"""Maximum elements of a list if its argument has no narrower bound."""
_MOST_ARGUMENTS = 50
_SHOWN = 60
"""Maximum characters of a value that an error repeats."""
_GO_ON = {
    "limit": " Use `next`, or another start or offset, for the rest.",
    "timeout": " Call again to wait longer.",
}
_ALL = ("all", "max", "maximum", "everything", "unlimited", "full", "complete", "inf", "infinity")


def bounded(given: Mapping[str, Any], most: Mapping[str, int]) -> tuple[dict[str, Any], str]:
    """Replace numbers above the bounds in ``most`` by the bounds, and words for "all" as well.

    Returns the arguments, and a note about the changes and how to get the rest, or an empty text.
    """
    changed, notes = dict(given), []
    for name in given.keys() & most.keys():
        value = whole(given[name])
        is_word = isinstance(value, str) and value.strip().lower() in _ALL
        if is_word or (type(value) is int and value > most[name]):
            changed[name] = most[name]
            notes.append(f"{name}: {most[name]} is the most.{_GO_ON.get(name, '')}")
    return changed, " ".join(sorted(notes))


def check_size(what: str, given: Mapping[str, Any], most: Mapping[str, int]) -> None:
    """Raise an error for arguments that are too large, before they are parsed.

    ``most`` has the maximum elements of lists with their own bound.
    """
    if len(given) > _MOST_ARGUMENTS:
        raise InvalidParameterError(
            f"{what} takes at most {_MOST_ARGUMENTS} arguments; {len(given)} were given."
        )
    for name, value in given.items():
        shown = name[:_SHOWN]
        count = most.get(name, _LONGEST_LIST)
        if isinstance(value, list | dict) and len(value) > count:
            said = f"takes at most {count} at once; was given {len(value)}"
        elif _is_too_long(value):
            said = f"has a text of more than {_LONGEST_TEXT:,} characters, or lists in lists"
        else:
            continue
        raise InvalidParameterError(f"{shown} {said}.", details={"parameter": shown})


def _is_too_long(value: object) -> bool:
    """Return whether a value, a scalar or a list of scalars, is too large for an argument."""
    if isinstance(value, str):
        return len(value) > _LONGEST_TEXT
    if isinstance(value, list | dict):
        inner = value.values() if isinstance(value, dict) else value
        return any(isinstance(one, list | dict) or _is_too_long(one) for one in inner)
    return False
