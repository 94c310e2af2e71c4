"""The MCP server itself, whatever it is reached over."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TypeAlias, get_args

from mcp import MCPError
from mcp.server import CacheHint, Server, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    EmptyResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    ReadResourceRequestParams,
    ReadResourceResult,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequestParams,
)

from marketdata import AsyncClient, __version__
from marketdata.errors import Code, InternalError, MarketDataError, closest, did_you_mean
from marketdata_mcp import answers, resources
from marketdata_mcp.answers import MAX_CHARACTERS, Content
from marketdata_mcp.served import Served, owner
from marketdata_mcp.tools import TOOLS, Tool
from marketdata_mcp.updates import Listening, Updates
from marketdata_mcp.watch_tools import WATCH_TOOLS
from marketdata_mcp.watches import Limits, Watches

__all__ = ["ERROR_KEY", "build"]

ERROR_KEY = "io.github.marketdata-sdk/error"
"""Where a failed call's result holds the error under ``_meta``, for programs."""

_logger = logging.getLogger(__name__)

_HINT = CacheHint(ttl_ms=3_600_000, scope="public")
_PAGE = 200
"""Resources that are listed at once."""

_ALL: Mapping[str, Tool] = {**TOOLS, **WATCH_TOOLS}

Context: TypeAlias = ServerRequestContext[Served]


def build(
    client: AsyncClient, *, sessions: bool = True, limits: Limits | None = None
) -> Server[Served]:
    """Make a server that answers through a client, and closes it in the end.

    `sessions` tells whether a connection outlives its requests: only then can clients of
    revisions before 2026-07-28 be told of something.
    """
    limits = limits or Limits()
    bus = InMemorySubscriptionBus()

    @asynccontextmanager
    async def lifespan(_: Server[Served]) -> AsyncIterator[Served]:
        async with client:
            updates = Updates(client, limits, bus)
            watches = Watches(client, limits, updates.changed)
            try:
                yield Served(client, watches, updates)
            finally:
                await updates.close()
                await watches.close()

    server = Server(
        "marketdata",
        title="Market data",
        version=__version__,
        instructions=_instructions(client.settings.exchange),
        cache_hints={
            "tools/list": _HINT,
            "resources/templates/list": _HINT,
            "server/discover": _HINT,
        },
        lifespan=lifespan,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
        on_list_resources=_list_resources,
        on_list_resource_templates=_list_templates,
        on_read_resource=_read_resource,
        on_subscribe_resource=_subscribe if sessions else None,
        on_unsubscribe_resource=_unsubscribe if sessions else None,
        on_subscriptions_listen=Listening(bus),
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
- Live: watch_start, then watch_read with wait=true as often as you like; it goes on behind the \
last answer, or behind `cursor`. A watch that is not read for 10 minutes stops.
- Resources market://EXCHANGE/BASE-QUOTE/ticker, quote, orderbook, trades, candles/TIMEFRAME hold \
the current state; subscribe to hear of updates.
- Errors are {{code, message, retryable, retryAfter?, details?}}; branch on code, and call again \
unchanged only where retryable is true. Codes: {", ".join(get_args(Code))}.
"""


async def _list_tools(_: Context, __: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[tool.definition for tool in _ALL.values()])


def _input_schema(name: str) -> Content | None:
    tool = _ALL.get(name)
    return None if tool is None else tool.definition.input_schema


async def _call_tool(context: Context, params: CallToolRequestParams) -> CallToolResult:
    tool = _ALL.get(params.name)
    if tool is None:
        near = did_you_mean(closest(params.name, _ALL))
        raise MCPError(INVALID_PARAMS, f"Unknown tool: {params.name[:60]}.{near}")
    try:
        arguments = tool.parse(params.arguments or {})
        content, text = await tool.answer(context.lifespan_context, owner(context), arguments)
        return CallToolResult(
            content=[TextContent(type="text", text=text)], structured_content=content
        )
    except Exception as error:  # noqa: BLE001 - nobody above knows which call it was
        return _failure(_ours(error, tool.name))


def _ours(error: Exception, what: str) -> MarketDataError:
    """Give an error of the library's; of a bug the log is told, because the SDK tells nobody."""
    if not isinstance(error, MarketDataError) or isinstance(error, InternalError):
        _logger.error("%s failed", what, exc_info=error)
    if isinstance(error, MarketDataError):
        return error
    return InternalError(f"{what} failed inside the server; its log says why.")


def _failure(error: MarketDataError) -> CallToolResult:
    """Give an error as a result without structured content.

    Clients hold structured content against the tool's output schema, and some then lose the
    error; some show a model only the text, so the text has all of it.
    """
    text = answers.told(error)
    return CallToolResult(
        content=[TextContent(type="text", text=text)],
        is_error=True,
        _meta={ERROR_KEY: json.loads(text)},
    )


# ---------------------------------------------------------------------------- resources


async def _list_templates(
    _: Context, __: PaginatedRequestParams | None
) -> ListResourceTemplatesResult:
    return ListResourceTemplatesResult(resource_templates=resources.TEMPLATES)


async def _list_resources(
    context: Context, params: PaginatedRequestParams | None
) -> ListResourcesResult:
    served, caller = context.lifespan_context, owner(context)
    cursor = (params.cursor if params else None) or "0"
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise MCPError(INVALID_PARAMS, "cursor is the nextCursor of the page before.")
    mine = [held.live for held in served.watches.of(caller)] + served.updates.of(caller)
    listed, start = resources.listed(mine), int(cursor)
    behind = start + _PAGE
    return ListResourcesResult(
        resources=listed[start:behind],
        next_cursor=str(behind) if behind < len(listed) else None,
    )


async def _read_resource(context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    served = context.lifespan_context
    try:
        address = resources.Address.parse(params.uri)
        text = await resources.read(served.client, served.lives, address)
    except Exception as error:  # noqa: BLE001 - as for a tool
        raise resources.refused(_ours(error, "resources/read"), params.uri) from None
    content = TextResourceContents(uri=params.uri, mime_type=resources.JSON, text=text)
    return ReadResourceResult(contents=[content])


async def _subscribe(context: Context, params: SubscribeRequestParams) -> EmptyResult:
    updates = context.lifespan_context.updates
    await updates.subscribe(owner(context), params.uri, context.session)
    return EmptyResult()


async def _unsubscribe(context: Context, params: UnsubscribeRequestParams) -> EmptyResult:
    context.lifespan_context.updates.unsubscribe(owner(context), params.uri)
    return EmptyResult()
