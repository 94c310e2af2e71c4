"""The setup that the checks of a server get."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Setup"]


@dataclass(frozen=True)
class Setup:
    """The options of the server."""

    address: tuple[str, int] | None = None
    """The address to listen on; None: stdio."""
    allow_remote: tuple[str, ...] = ()
    access: bool = False
    policy: Path | None = None
    """The file of tiers; None: the one in MARKETDATA_HOME, if it exists."""
    redis: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    exchange: str | None = None
    sim: bool = False
    offline: bool = False
