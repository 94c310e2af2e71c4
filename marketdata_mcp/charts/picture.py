"""The tool that gives a chart of candles as a picture, for hosts that show images."""

from __future__ import annotations

import asyncio
import base64
import io
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mcp_types import CallToolResult, ImageContent

from marketdata.arguments import Described
from marketdata.errors import DataUnavailableError
from marketdata.models import Candles
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.ask import Ask
from marketdata_mcp.tools import TOOLS, ServerTool

if TYPE_CHECKING:
    from marketdata_mcp.ask import Caller
    from marketdata_mcp.served import Served

__all__ = ["CHART_TOOL", "MAX_BYTES"]

MAX_BYTES = 60_000
"""Of a picture: hosts and models take no large ones."""
_RESOLUTIONS = (110, 90, 70, 50)
"""Dots per inch, of which the first that fits is taken."""
_COLOURS = 64
_PICTURE = "picture"
_STYLES = {"light": "default", "dark": "dark_background"}


class _ChartTool(ServerTool):
    def ask(self, arguments: Content) -> Ask:
        """Tell what the candles cost that it draws."""
        return TOOLS["get_candles"].ask(arguments)

    def result(self, content: Content, text: str) -> CallToolResult:
        """Return the picture beside the text, and not in it."""
        told = {name: value for name, value in content.items() if name != _PICTURE}
        given = super().result(told, text)
        image = ImageContent(type="image", data=content[_PICTURE], mime_type="image/png")
        return given.model_copy(update={"content": [*given.content, image]})


async def _chart(served: Served, _caller: Caller, asked: Content) -> Answer:
    from marketdata_mcp import candles

    theme, log = asked.pop("theme"), asked.pop("log")
    found, _ = await candles.ask(served.client, {**asked, "fill": None, "columns": answers.CANDLE})
    del found["columns"]
    more: Content = {name: found.pop(name) for name in ("note", "next") if name in found}
    record = Candles.model_validate(found)
    picture = await asyncio.to_thread(_drawn, record, _STYLES[theme], log)
    told: Content = {
        "exchange": record.exchange,
        "pair": record.pair,
        "timeframe": record.timeframe,
        **({"simulated": True} if record.simulated else {}),
        "drawn": len(record),
        **_ends(found),
        **more,
    }
    return {**told, _PICTURE: picture}, answers.compact(told)


def _ends(found: Content) -> Content:
    rows = found["candles"]
    return {"first": rows[0], "last": rows[-1]} if rows else {}


def _drawn(record: Candles, style: str, log: bool) -> str:
    """Draw a PNG of few colours, in base64; raises where no resolution makes it small enough."""
    figure = record.plot(figsize=(8, 4.5), style=style, log=log)
    from PIL import Image

    for dots in _RESOLUTIONS:
        whole, small = io.BytesIO(), io.BytesIO()
        figure.savefig(whole, format="png", dpi=dots)
        with Image.open(whole) as image:
            image.convert("RGB").quantize(_COLOURS).save(small, "PNG", optimize=True)
        if small.tell() <= MAX_BYTES:
            return base64.b64encode(small.getvalue()).decode("ascii")
    raise DataUnavailableError(f"The chart does not fit into {MAX_BYTES:,} bytes.")


def _fields() -> dict[str, Any]:
    own = TOOLS["get_candles"].arguments.model_fields
    wanted = ("pair", "timeframe", "exchange", "start", "end", "limit")
    return {
        **{name: (own[name].annotation, own[name]) for name in wanted},
        "theme": (
            Annotated[Literal["light", "dark"], Described("Colours of the chart.")],
            "light",
        ),
        "log": (Annotated[bool, Described("Logarithmic scale of prices.")], False),
    }


_ROW: Content = {"type": "array", "items": {"type": ["number", "string", "null"]}}

CHART_TOOL = _ChartTool(
    "get_chart",
    "Draw a chart of candles with volume as a picture (PNG image) for a person to see. The "
    "numbers: get_candles.",
    _fields(),
    {
        "exchange": {"type": "string"},
        "pair": {"type": "string"},
        "timeframe": {"type": "string"},
        "simulated": {"type": "boolean", "const": True},
        "drawn": {"type": "integer"},
        "first": _ROW,
        "last": _ROW,
        "note": {"type": "string"},
        "next": {"type": "object"},
    },
    ("exchange", "pair", "timeframe", "drawn"),
    _chart,
)
