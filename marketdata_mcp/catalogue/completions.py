"""What a host can offer while somebody fills in the address of a resource."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mcp_types import CompleteRequestParams, CompleteResult, Completion, ResourceTemplateReference

from marketdata.errors import MarketDataError
from marketdata_mcp.ask import Ask
from marketdata_mcp.resources import TEMPLATES

if TYPE_CHECKING:
    from mcp.server import ServerRequestContext

    from marketdata import AsyncClient
    from marketdata_mcp.served import Served

__all__ = ["complete"]

_MOST = 100
"""Values that the protocol allows in an answer."""


async def complete(
    context: ServerRequestContext[Served, Any], params: CompleteRequestParams
) -> CompleteResult:
    """Offer exchanges, currencies and timeframes that begin like what is there, the best first.

    Nothing where there is nothing to offer, for whatever reason: a host completes as it goes.
    """
    known = (params.context and params.context.arguments) or {}
    offered: list[str] = []
    if isinstance(params.ref, ResourceTemplateReference) and params.ref.uri in _ADDRESSES:
        try:
            admission = context.lifespan_context.admission
            caller = admission.caller(context)
            named = (known["exchange"],) if "exchange" in known else ()
            ask = Ask(named, free=True)
            async with admission.admit(caller, ask) as client:
                offered = await _values(client, params.argument.name, known)
        except MarketDataError:
            offered = []
    begun = params.argument.value.lower()
    fitting = [one for one in offered if one.lower().startswith(begun)]
    values = fitting[:_MOST]
    return CompleteResult(
        completion=Completion(
            values=values, total=len(fitting), has_more=len(values) < len(fitting)
        )
    )


_ADDRESSES = {template.uri_template for template in TEMPLATES}


async def _values(client: AsyncClient, name: str, known: Mapping[str, str]) -> list[str]:
    if name in ("exchange", "timeframe"):
        exchanges = await client.exchanges()
        if name == "exchange":
            preferred = client.settings.exchange
            ids = [one.id for one in exchanges]
            return sorted(ids, key=lambda one: (one not in preferred, one))
        own = next((one for one in exchanges if one.id == known.get("exchange")), None)
        return [] if own is None else list(own.timeframes)
    if name in ("base", "quote"):
        other = "quote" if name == "base" else "base"
        fitting: dict[str, Any] = {other: known.get(other)}
        pairs = await client.pairs(exchange=known.get("exchange"), **fitting)
        return sorted({getattr(pair, name) for pair in pairs})
    return []
