"""What the checks of a server are asked about."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Setup"]


@dataclass(frozen=True)
class Setup:
    """How the server is to be run."""

    address: tuple[str, int] | None = None
    """Where it listens; None: stdio."""
    allow_remote: tuple[str, ...] = ()
    access: bool = False
    policy: Path | None = None
    """The tiers; None: the file in MARKETDATA_HOME, if there is one."""
    redis: str | None = field(default=None, repr=False)
    tls_cert: Path | None = None
    tls_key: Path | None = None
    exchange: str | None = None
    sim: bool = False
    offline: bool = False
