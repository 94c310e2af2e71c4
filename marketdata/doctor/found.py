"""The result of a check."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["Check", "State", "document", "failed"]

State: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Check:
    """The result of one check, with advice if something is wrong."""

    state: State
    name: str
    said: str
    advice: str | None = None

    @property
    def line(self) -> str:
        """The check as a line of text."""
        advice = f"; {self.advice}" if self.advice else ""
        return f"{self.state:4}  {self.name:12}  {self.said}{advice}"


def failed(found: Iterable[Check]) -> bool:
    """Return whether a check failed; warnings do not count."""
    return any(check.state == "fail" for check in found)


def document(found: list[Check]) -> dict[str, object]:
    """Return the checks as JSON values."""
    return {
        "ok": not failed(found),
        "checks": [
            {"state": one.state, "check": one.name, "said": one.said, "advice": one.advice}
            for one in found
        ],
    }
