"""Errors about arguments."""

from __future__ import annotations

import functools
import re
from typing import Any

from marketdata.errors import InvalidParameterError, did_you_mean


def was(value: object) -> str:
    """Repeat the given value, at most 60 characters of it."""
    try:
        return f"was {repr(value)[:60]}"
    except ValueError:
        return "was a number with thousands of digits"  # Python converts at most 4,300 digits


def refused(said: str, value: object, *meanings: Any) -> InvalidParameterError:
    """Make the error of a value that was not understood, or that has several meanings.

    ``meanings`` are values to give instead, the likeliest first; details have them as ``closest``.
    """
    details = {"closest": list(meanings)} if meanings else {}
    asked = did_you_mean([str(one) for one in meanings])
    return InvalidParameterError(f"{said}; {was(value)}.{asked}", details=details)


class Pattern:
    """A regular expression that is compiled at its first use, to keep imports fast."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self._pattern, self._flags = pattern, flags

    @functools.cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self._pattern, self._flags)

    def fullmatch(self, text: str) -> re.Match[str] | None:
        """See `re.fullmatch`."""
        return self._compiled.fullmatch(text)

    def search(self, text: str) -> re.Match[str] | None:
        """See `re.search`."""
        return self._compiled.search(text)

    def split(self, text: str) -> list[str]:
        """See `re.split`; the pattern has no groups."""
        return self._compiled.split(text)


class Read(str):
    """A string that was parsed already; parsing it again does not change it."""
