"""Checks of a server's setup: the library's (`marketdata.doctor`) and the server's own.

Checks change nothing, except that the file of accounts is created as the server would create it.
They never show a secret.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from marketdata import doctor
from marketdata.doctor import Check, machine, upstream
from marketdata_mcp.service.checks import service
from marketdata_mcp.service.checks.found import Setup

if TYPE_CHECKING:
    from marketdata.settings import Settings

__all__ = ["Check", "Setup", "run"]


def run(setup: Setup) -> Iterator[Check]:
    """Run the checks that apply to a setup, quick ones first."""
    settings = machine.settings(exchange=setup.exchange, sim=setup.sim, redis=setup.redis)
    yield from doctor.installed(settings, {"server"} if setup.address else ())
    if not isinstance(settings, Check):
        yield from machine.permissions(
            settings.folder(), setup.policy, setup.tls_cert, setup.tls_key
        )
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
    shared = list(doctor.reachable(settings, offline=True))
    yield from shared
    if setup.access and not doctor.failed(shared):
        yield service.accounts(settings)
    if not setup.offline:
        yield from upstream.way(settings)
        yield from upstream.exchanges(settings)
