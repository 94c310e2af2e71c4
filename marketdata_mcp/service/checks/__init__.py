"""What can be wrong with a setup: each check tells what it found, and what to do about it.

Checks change nothing, but that the accounts' file is made as a server would make it, and never
tell what a secret is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketdata_mcp.service.checks import machine, service, upstream
from marketdata_mcp.service.checks.found import Check, Setup

if TYPE_CHECKING:
    from marketdata.settings import Settings

__all__ = ["Check", "Setup", "run"]


def run(setup: Setup) -> Iterator[Check]:
    """Make the checks that apply to a setup, quick ones first."""
    settings = machine.settings(setup)
    yield machine.python()
    yield from machine.packages({"server"} if setup.address else set())
    yield from machine.variables()
    if isinstance(settings, Check):
        yield settings
    else:
        yield Check("ok", "variables", "every MARKETDATA_* value can be used")
        yield machine.home(settings.folder())
        yield from machine.others(settings.folder(), setup.policy, setup.tls_cert, setup.tls_key)
    yield from machine.open_files()
    if setup.tls_cert is not None or setup.tls_key is not None:
        yield service.tls(setup.tls_cert, setup.tls_key)
    if setup.address is not None:
        yield service.port(*setup.address)
        yield service.exposure(setup, setup.address[0])
    if not isinstance(settings, Check):
        yield from _elsewhere(setup, settings)


def _elsewhere(setup: Setup, settings: Settings) -> Iterator[Check]:
    if setup.access:
        yield service.policy(settings, setup.policy)
    shared = list(upstream.redis(settings.redis.get_secret_value()) if settings.redis else ())
    yield from shared
    if setup.access and not any(check.state == "fail" for check in shared):
        yield service.accounts(settings)
    if not setup.offline:
        yield from upstream.exchanges(settings)
