"""Accepts names of options from other programs, which no help page lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from marketdata.arguments import meant
from marketdata.errors import InvalidParameterError


def in_our_names(args: Sequence[str], parameters: Sequence[Any]) -> list[str]:
    """Replace options such as ``--symbol`` and ``--interval`` by our names.

    ``parameters`` are click's. An argument of a command can also be given as an option, and is
    moved to its position. Raises `InvalidParameterError` if an option is given with two names.
    """
    ours = {one.name: one for one in parameters}
    flags = {flag for one in parameters for flag in (*one.opts, *one.secondary_opts)} | {"--help"}
    places = [one for one in parameters if one.param_type_name == "argument"]
    rest, moved = [], {}
    left = list(args)
    while left:
        word = left.pop(0)
        if word == "--":
            rest += [word, *left]
            break
        flag, equals, value = word.partition("=")
        name = meant(flag[2:], ours) if flag[:2] == "--" and flag not in flags else None
        if name is None:
            rest.append(word)
            continue
        one = ours[name]
        own = next((opt for opt in one.opts if opt[:2] == "--"), "")
        if own and any(_is_there(opt, [*rest, *left]) for opt in one.opts):
            raise InvalidParameterError(
                f"'{own}' and '{flag}' are the same option: give one of them.",
                details={"parameter": name},
            )
        if own:
            rest.append(own + equals + value)
        elif equals or left:
            moved[name] = value if equals else left.pop(0)
        else:
            rest.append(word)
    first = [moved.pop(one.name) for one in places[:1] if one.name in moved]
    return [*first, *rest, *(moved[one.name] for one in places if one.name in moved)]


def _is_there(flag: str, words: Sequence[str]) -> bool:
    return any(word.partition("=")[0] == flag for word in words)
