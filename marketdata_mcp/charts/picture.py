"""The tool for a picture of candles, for hosts that show images."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any, Literal

from annotated_types import Le
from pydantic import WithJsonSchema

from marketdata.arguments import (
    BarLimit,
    Described,
    End,
    ExchangeId,
    PairName,
    Start,
    TimeframeName,
)
from marketdata.models import Record
from marketdata.pages import page
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.served import Served
from marketdata_mcp.tools import server_tool

__all__ = ["MAX_BYTES", "get_chart"]

MAX_BYTES = 60_000
"""Maximum bytes of a picture, because hosts and models accept no large ones."""
_STYLES = {"light": "default", "dark": "dark_background"}


_Row = Annotated[
    list[Any], WithJsonSchema({"type": "array", "items": {"type": ["number", "string", "null"]}})
]


class _Chart(Record):
    exchange: str
    pair: str
    timeframe: str
    simulated: Literal[True] | None = None
    drawn: int
    first: _Row | None = None
    last: _Row | None = None
    note: str | None = None
    next: Content | None = None


@server_tool(_Chart)
async def get_chart(
    served: Served,
    pair: PairName,
    timeframe: TimeframeName | None = None,
    exchange: ExchangeId | None = None,
    start: Start | None = None,
    end: End | None = None,
    limit: Annotated[BarLimit, Le(500)] | None = None,
    theme: Annotated[Literal["light", "dark"], Described("Colours of the chart.")] = "light",
    log: Annotated[bool, Described("Logarithmic scale of prices.")] = False,
) -> Answer:
    """Draw a chart of candles with volume as a picture (PNG image) for a person to see. The
    numbers: get_candles.
    """
    from marketdata.models.plots import small_picture

    asked = {"pair": pair, "timeframe": timeframe, "exchange": exchange, "start": start}
    found = await page(served.client, {**asked, "end": end, "limit": limit})
    whole = answers.candles(found, answers.CANDLE).content
    record, rows = found.candles[: len(whole["candles"])], whole["candles"]
    told = _Chart(
        exchange=record.exchange,
        pair=record.pair,
        timeframe=record.timeframe,
        simulated=record.simulated,
        drawn=len(record),
        first=rows[0] if rows else None,
        last=rows[-1] if rows else None,
        note=whole.get("note"),
        next=whole.get("next"),
    )
    picture = await asyncio.to_thread(small_picture, record, _STYLES[theme], log, MAX_BYTES)
    return answers.record(told)._replace(picture=base64.b64encode(picture).decode("ascii"))
