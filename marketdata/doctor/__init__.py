"""Checks of this machine, its settings and its connection to the exchanges.

Each check reports what it found and how to correct it. Checks change nothing and never show a
secret.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from marketdata.doctor import machine, upstream
from marketdata.doctor.found import Check, document, failed

if TYPE_CHECKING:
    from marketdata.settings import Settings

__all__ = ["Check", "document", "failed", "installed", "machine", "reachable", "run", "upstream"]


def run(
    *, exchange: str | None = None, sim: bool | None = None, offline: bool = False
) -> Iterator[Check]:
    """Run the checks that apply to every use of the library, quick ones first."""
    settings = machine.settings(exchange=exchange, sim=sim)
    yield from installed(settings)
    if not isinstance(settings, Check):
        yield from reachable(settings, offline=offline)


def installed(settings: Settings | Check, extras: Collection[str] = ()) -> Iterator[Check]:
    """Check installation and settings; ``extras`` are the optional dependencies that are needed."""
    yield machine.python()
    yield from machine.packages(set(extras))
    yield from machine.namesakes()
    yield from machine.variables()
    if isinstance(settings, Check):
        yield settings
    else:
        yield Check("ok", "variables", "all MARKETDATA_* values are valid")
        yield machine.home(settings.folder())
    yield from machine.open_files()


def reachable(settings: Settings, *, offline: bool = False) -> Iterator[Check]:
    """Check the network: Redis and, unless ``offline``, the exchanges."""
    if settings.redis:
        yield from upstream.redis(settings.redis.get_secret_value())
    if not offline:
        yield from upstream.way(settings)
        yield from upstream.exchanges(settings)
