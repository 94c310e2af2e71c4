"""How a public name is deprecated: one warning, at the line of the caller's that uses the name."""

from __future__ import annotations

import sys
import warnings


def deprecated(name: str, instead: str, *, since: str) -> None:
    """Warn that a public name goes with the next major version.

    Parameters:
        name: What is deprecated, as a caller writes it.
        instead: What to use in its place.
        since: The version that deprecated it.
    """
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "")[:10] == "marketdata":
        level, frame = level + 1, frame.f_back
    warnings.warn(
        f"{name} is deprecated since version {since} and will be removed in the next major "
        f"version: use {instead}.",
        DeprecationWarning,
        stacklevel=level,
    )
