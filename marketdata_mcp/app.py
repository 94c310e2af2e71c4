"""The MCP server itself, whatever it is reached over."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

from mcp import MCPError
from mcp.server import CacheHint, Server, ServerRequestContext
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)

from marketdata import AsyncClient, __version__
from marketdata.errors import Code, InternalError, MarketDataError, closest, did_you_mean
from marketdata_mcp.answers import MAX_CHARACTERS, Content, compact
from marketdata_mcp.tools import TOOLS

__all__ = ["ERROR_KEY", "build"]

ERROR_KEY = "io.github.marketdata-sdk/error"
"""Where a failed call's result holds the error under ``_meta``, for programs."""

_logger = logging.getLogger(__name__)

_HINT = CacheHint(ttl_ms=3_600_000, scope="public")


def build(client: AsyncClient) -> Server[AsyncClient]:
    """Make a server that answers through a client, and closes it in the end."""

    @asynccontextmanager
    async def lifespan(_: Server[AsyncClient]) -> AsyncIterator[AsyncClient]:
        async with client:
            yield client

    server = Server(
        "marketdata",
        title="Market data",
        version=__version__,
        instructions=_instructions(client.settings.exchange),
        cache_hints={"tools/list": _HINT, "server/discover": _HINT},
        lifespan=lifespan,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )
    # An argument only from mcp 2.3 on; without it the tools are listed anew for each HTTP call.
    server.get_tool_input_schema = _input_schema
    return server


def _instructions(exchanges: tuple[str, ...]) -> str:
    return f"""\
Read-only market data of spot crypto exchanges, through ccxt. Nothing else than spot is served.

- pair: BASE/QUOTE, such as BTC/USDT; btc-usdt and BTCUSDT are understood.
- exchange: optional. Without it the first of {", ".join(exchanges)} that can be reached answers; \
`exchange` in the answer says which. list_exchanges has the ids.
- Times are UTC: ISO-8601 in answers, Unix milliseconds in candle rows. Arguments take ISO-8601, \
Unix milliseconds or an age such as -7d; `start` is inside, `end` outside.
- A value that the exchange did not give is absent. Sizes and volumes are in the base currency, \
`percentage` is in percent, fees are fractions. `simulated` marks data that are not real.
- Fields that all rows share stand beside the list instead of in each row.
- Answers are bounded: 100 candles (500 of a range), 20 levels a side (100), 50 tickers, 200 \
pairs, 50 trades (200), {MAX_CHARACTERS} characters. `next` holds the arguments to change in the \
same call for what comes behind.
- Errors are {{code, message, retryable, retryAfter?, details?}}; branch on code, and call again \
unchanged only where retryable is true. Codes: {", ".join(get_args(Code))}.
"""


async def _list_tools(
    _: ServerRequestContext[AsyncClient], __: PaginatedRequestParams | None
) -> ListToolsResult:
    return ListToolsResult(tools=[tool.definition for tool in TOOLS.values()])


def _input_schema(name: str) -> Content | None:
    tool = TOOLS.get(name)
    return None if tool is None else tool.definition.input_schema


async def _call_tool(
    context: ServerRequestContext[AsyncClient], params: CallToolRequestParams
) -> CallToolResult:
    tool = TOOLS.get(params.name)
    if tool is None:
        near = did_you_mean(closest(params.name, TOOLS))
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:60]}.{near}")
    try:
        arguments = tool.parse(params.arguments or {})
        content, text = await tool.answer(context.lifespan_context, arguments)
        return CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content=content
        )
    except MarketDataError as error:
        if isinstance(error, InternalError):
            _logger.exception("%s failed", tool.name)
        return _failure(error)
    except Exception:
        # Nobody above knows which call it was, and the SDK would tell the client less.
        _logger.exception("%s failed", tool.name)
        return _failure(InternalError(f"{tool.name} failed inside the server; its log says why."))


def _failure(error: MarketDataError) -> CallToolResult:
    """Give an error as a result without structured content.

    Clients hold structured content against the tool's output schema, and some then lose the
    error; some show a model only the text, so the text has all of it.
    """
    said = error.to_dict()
    text = compact(said)
    if len(text) > MAX_CHARACTERS:
        text = compact({**said, "message": error.message[:1000], "details": {}})
    # What a caller sent may be in here, and need not be encodable.
    text = text.encode("utf-8", "replace").decode()
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        is_error=True,
        _meta={ERROR_KEY: json.loads(text)},
    )
