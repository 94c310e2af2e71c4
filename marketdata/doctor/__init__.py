"""What can be wrong with a machine, its settings and its way to the exchanges.

Each check tells what it found, and what to do about it. Checks change nothing, and never tell what
a secret is.
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
    """Make the checks that are of use wherever the library is used, quick ones first."""
    settings = machine.settings(exchange=exchange, sim=sim)
    yield from installed(settings)
    if not isinstance(settings, Check):
        yield from reachable(settings, offline=offline)


def installed(settings: Settings | Check, extras: Collection[str] = ()) -> Iterator[Check]:
    """Check what is installed and set up here; ``extras`` are those that are needed."""
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
    """Check what is asked over the network: Redis, and without ``offline`` the exchanges."""
    if settings.redis:
        yield from upstream.redis(settings.redis.get_secret_value())
    if not offline:
        yield from upstream.way(settings)
        yield from upstream.exchanges(settings)
