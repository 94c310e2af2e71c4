"""Completions for the URI of a resource."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_types import (
    CompleteRequestParams,
    CompleteResult,
    Completion,
    PromptReference,
    ResourceTemplateReference,
)

from marketdata.errors import MarketDataError
from marketdata_mcp.catalogue.prompts import PROMPTS
from marketdata_mcp.resources import TEMPLATES

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

    from marketdata import AsyncClient
    from marketdata_mcp.served import Served

__all__ = ["complete"]

_MOST = 100
"""Maximum number of values that the protocol allows in an answer."""


async def complete(
    context: ServerRequestContext[Served, Any], params: CompleteRequestParams
) -> CompleteResult:
    """Return exchanges, currencies or timeframes with a prefix, the best first.

    Empty on any failure, because a host completes while the user types.
    """
    known = (params.context and params.context.arguments) or {}
    offered: list[str] = []
    if _is_ours(params.ref):
        with contextlib.suppress(MarketDataError):
            admission = context.lifespan_context.admission
            caller = admission.caller(context)
            about = {"exchange": known.get("exchange") or None}
            async with admission.admit(caller, "completion/complete", about) as client:
                offered = await _values(client, params.argument.name, known)
    # Complete the last one of several exchanges.
    before, comma, begun = params.argument.value.lower().rpartition(",")
    if comma:
        offered = [f"{before},{one}" for one in offered]
    begun = before + comma + begun
    fitting = [one for one in offered if one.lower().startswith(begun)]
    total = len(fitting)
    completion = Completion(values=fitting[:_MOST], total=total, has_more=total > _MOST)
    return CompleteResult(completion=completion)


_ADDRESSES = {template.uri_template for template in TEMPLATES}
_OFFERED = {"start": ["-7d", "-30d", "-1y"], "percent": ["1", "2", "5"], "amount": ["1", "10"]}


def _is_ours(ref: ResourceTemplateReference | PromptReference) -> bool:
    if isinstance(ref, PromptReference):
        return ref.name in PROMPTS
    return ref.uri in _ADDRESSES


async def _values(client: AsyncClient, name: str, known: Mapping[str, str]) -> list[str]:
    if name in _OFFERED:
        return _OFFERED[name]
    if name in ("exchange", "exchanges", "timeframe"):
        exchanges = await client.exchanges()
        if name != "timeframe":
            preferred = client.settings.exchange
            ids = [one.id for one in exchanges]
            return sorted(ids, key=lambda one: (one not in preferred, one))
        own = next((one for one in exchanges if one.id == known.get("exchange")), None)
        return [] if own is None else list(own.timeframes)
    if name == "pair":
        named = known.get("exchange") or None
        return [one.pair for one in await client.pairs(exchange=named)]
    if name in ("base", "quote"):
        other = "quote" if name == "base" else "base"
        fitting: dict[str, Any] = {other: known.get(other)}
        pairs = await client.pairs(exchange=known.get("exchange"), **fitting)
        return sorted({getattr(pair, name) for pair in pairs})
    return []
