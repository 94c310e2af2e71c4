"""Assembles a server from the options of its operator."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from marketdata_mcp.app import Service
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.access.oauth import TokenVerifier
from marketdata_mcp.service.access.places import policy_of, store_of
from marketdata_mcp.service.admission import GatedAdmission
from marketdata_mcp.service.logs import CallLog
from marketdata_mcp.service.metrics import Metrics
from marketdata_mcp.service.web import Web

if TYPE_CHECKING:
    from marketdata import AsyncClient
    from marketdata.settings import Settings

__all__ = ["web"]


def web(
    client: AsyncClient,
    *,
    names: Iterable[str],
    access: bool,
    policy: Path | None,
    events: bool,
    log_calls: bool,
    groups: Collection[str] = (),
) -> Web:
    """Make the HTTP application.

    Raises `InvalidParameterError` if the policy is invalid.
    """
    metrics = Metrics()
    observers = [metrics, CallLog()] if log_calls else [metrics]
    gate = _gate(client.settings, policy) if access else None
    admission = GatedAdmission(client, gate, *observers)
    service = Service(client, admission=admission, groups=groups)
    return Web(service, names, gate, events, metrics)


def _gate(settings: Settings, policy: Path | None) -> Gate:
    """Make the access control of a server."""
    chosen = policy_of(settings, policy)
    verifier = None if chosen.oauth is None else TokenVerifier(chosen.oauth)
    return Gate(chosen, store_of(settings), verifier)
