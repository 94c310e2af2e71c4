"""The MCP server, independent of its transport."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TypeAlias, get_args

from mcp import MCPError
from mcp.server import CacheHint, Server, ServerRequestContext
from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    CallToolResult,
    ContentBlock,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    ImageContent,
    ListPromptsResult,
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
from mcp_types import Tool as Definition

from marketdata import AsyncClient, __version__
from marketdata.errors import (
    Code,
    InternalError,
    MarketDataError,
    closest,
    did_you_mean,
)
from marketdata.live import current
from marketdata_mcp import answers, resources
from marketdata_mcp.admission import Admission
from marketdata_mcp.answers import MAX_CHARACTERS, Answer, Content
from marketdata_mcp.catalogue import prompts
from marketdata_mcp.catalogue.completions import complete
from marketdata_mcp.catalogue.groups import chosen, group_of
from marketdata_mcp.catalogue.identity import DESCRIPTION, ICON, NAME, TITLE
from marketdata_mcp.charts import views
from marketdata_mcp.charts.picture import get_chart
from marketdata_mcp.live.watches import Limits, Watches
from marketdata_mcp.served import Served
from marketdata_mcp.tools import TOOLS, Tool
from marketdata_mcp.updates import Connection, Listening, Updates, admitted, caller_of
from marketdata_mcp.usage import get_usage
from marketdata_mcp.watch_tools import WATCH_TOOLS

__all__ = ["ALL", "ERROR_KEY", "Service", "tools", "unknown"]

ERROR_KEY = "io.github.marketdata-sdk/error"
"""The key of the error in ``_meta`` of a failed call's result, for programs."""

_logger = logging.getLogger(__name__)

_HINT = CacheHint(ttl_ms=3_600_000, scope="public")
_LONGEST_NAME = 60
"""Maximum characters of a name to suggest similar ones for: the cost grows with their square."""
_PAGE = 200
"""Resources per page of the list."""

ALL: Mapping[str, Tool] = {
    **TOOLS,
    **WATCH_TOOLS,
    **{tool.name: tool for tool in (get_usage, get_chart)},
}

Context: TypeAlias = ServerRequestContext[Served]


class Service:
    """The service of one process, for any number of connections."""

    def __init__(
        self,
        client: AsyncClient,
        *,
        admission: Admission | None = None,
        limits: Limits | None = None,
        groups: Collection[str] = (),
    ) -> None:
        """Answer with a client, which is closed at the end.

        Every call passes `admission`; without it, no key is required. `groups` are the groups of
        `GROUPS` to serve; the default is the usual ones.
        """
        self._tools = {tool.name: ALL[tool.name] for tool in tools(groups)}
        self._admission = admission or Admission(client)
        self._client = client
        self._limits = limits or Limits()
        self._bus = InMemorySubscriptionBus()
        self._users = 0
        self._served: Served | None = None
        self._stack = AsyncExitStack()
        self._beginning = asyncio.Lock()

    @asynccontextmanager
    async def lifespan(self, _: object = None) -> AsyncIterator[Served]:
        """Yield the shared state; the first connection creates it, the last one closes it."""
        self._users += 1
        try:
            async with self._beginning:
                if self._served is None:
                    self._served = await self._begin()
            yield self._served
        finally:
            self._users -= 1
            if not self._users:
                self._served = None
                await self._stack.aclose()

    async def _begin(self) -> Served:
        await self._stack.enter_async_context(self._client)
        updates = Updates(self._client, self._limits, self._bus)
        watches = Watches(self._limits, updates.changed)
        self._stack.push_async_callback(watches.close)
        self._stack.push_async_callback(updates.close)
        return Served(self._client, watches, updates, self._admission)

    def server(self, *, sessions: bool = True) -> Server[Served]:
        """Make a server of the protocol.

        `sessions` says whether a connection outlives its requests. Only then can clients of
        revisions before 2026-07-28 be notified.
        """
        server = Server(
            NAME,
            title=TITLE,
            description=DESCRIPTION,
            icons=[ICON],
            version=__version__,
            instructions=_instructions(self._client.settings.exchange, self._admission.is_counted),
            cache_hints={
                "tools/list": _HINT,
                "prompts/list": _HINT,
                "resources/templates/list": _HINT,
                "server/discover": _HINT,
            },
            lifespan=self.lifespan,
            on_list_tools=partial(_list_tools, self._tools.values()),
            on_call_tool=partial(_call_tool, self._tools),
            on_list_resources=_list_resources,
            on_list_resource_templates=_list_templates,
            on_read_resource=_read_resource,
            on_subscribe_resource=_subscribe if sessions else None,
            on_unsubscribe_resource=_unsubscribe if sessions else None,
            on_subscriptions_listen=Listening(self._bus),
            on_list_prompts=_list_prompts,
            on_get_prompt=_get_prompt,
            on_completion=complete,
        )
        server.extensions.update(views.EXTENSIONS)
        # This is an argument only since mcp 2.3. Without it, each HTTP call lists the tools again.
        server.get_tool_input_schema = _input_schema
        return server


def _instructions(exchanges: tuple[str, ...], counted: bool) -> str:
    units = (
        "- A call costs a unit, candles that begin before the current bar more; get_usage returns "
        "what is left, and costs nothing.\n"
    )
    return f"""\
Read-only market data of spot crypto exchanges, through ccxt. Only spot is served.

- pair: BASE/QUOTE, such as BTC/USDT; btc-usdt and BTCUSDT are understood.
- exchange: optional. Without it the first of {", ".join(exchanges)} that can be reached answers; \
`exchange` in the answer says which. list_exchanges has the ids.
- Times are UTC: ISO-8601 in answers, Unix milliseconds in candle rows. Arguments take ISO-8601, \
Unix milliseconds or an age such as -7d; `start` is inclusive, `end` exclusive.
- A value that the exchange did not send is absent. Sizes and volumes are in the base currency, \
`percentage` is in percent, fees are fractions. `simulated` marks data that are not real.
- Fields that all rows share are next to the list instead of in each row.
- Answers are bounded: 100 candles (500 of a range), 20 levels a side (100), 50 tickers, 200 \
pairs, 50 trades (200), {MAX_CHARACTERS} characters. `next` holds the arguments to change in the \
same call for the next page.
- Live: watch_start, then watch_read with wait=true as often as you like; it continues after the \
last answer, or after `cursor`. A watch that is not read for 10 minutes stops.
- Resources market://EXCHANGE/BASE-QUOTE/ticker, quote, orderbook, trades, candles/TIMEFRAME hold \
the current state; subscribe to hear of updates.
{units if counted else ""}\
- Errors are {{code, message, retryable, retryAfter?, details?}}; branch on code, and call again \
unchanged only if retryable is true. Codes: {", ".join(get_args(Code))}.
"""


async def _list_tools(
    served: Iterable[Tool], _: Context, __: PaginatedRequestParams | None
) -> ListToolsResult:
    return ListToolsResult(tools=[views.with_view(tool.definition) for tool in served])


def tools(groups: Collection[str] = ()) -> list[Definition]:
    """Return the listed definitions of the tools of some groups, or of the usual ones."""
    served = {None, *chosen(groups)}
    return [
        views.with_view(tool.definition) for tool in ALL.values() if group_of(tool.name) in served
    ]


async def _list_prompts(_: Context, __: PaginatedRequestParams | None) -> ListPromptsResult:
    return ListPromptsResult(prompts=prompts.listed())


async def _get_prompt(_: Context, params: GetPromptRequestParams) -> GetPromptResult:
    return prompts.written(params.name, params.arguments or {})


def _input_schema(name: str) -> Content | None:
    tool = ALL.get(name)
    return None if tool is None else tool.definition.input_schema


async def _call_tool(
    tools: Mapping[str, Tool], context: Context, params: CallToolRequestParams
) -> CallToolResult:
    tool = tools.get(params.name)
    if tool is None and params.name in ALL:
        raise MCPError(
            INVALID_PARAMS,
            f"{params.name} is of the group '{group_of(params.name)}', which this "
            "server does not serve (--tools).",
        )
    if tool is None:
        raise MCPError(INVALID_PARAMS, unknown(params.name))
    served = context.lifespan_context
    with served.admission.observed(tool.name) as call:
        try:
            arguments, said = tool.reader.read(params.arguments or {})
            call.caller = caller = served.admission.caller(context)
            async with served.admission.admit(caller, tool.name, arguments, call) as client:
                answer = await tool.answer(served.to(caller, client), arguments)
                return _result(answers.noted(answer, said))
        except Exception as error:  # noqa: BLE001 - only here the call is known
            call.error = tool.reader.located(_ours(error, tool.name), params.arguments or {})
            return _failure(call.error)


def _result(answer: Answer) -> CallToolResult:
    blocks: list[ContentBlock] = [TextContent(type="text", text=answer.text)]
    if answer.picture is not None:
        blocks.append(ImageContent(type="image", data=answer.picture, mime_type="image/png"))
    return CallToolResult(content=blocks, structured_content=answer.content)


def unknown(name: str) -> str:
    """Return the error for an unknown tool, with similar names."""
    near = did_you_mean(closest(name, ALL)) if len(name) <= _LONGEST_NAME else ""
    return f"Unknown tool: {name[:_LONGEST_NAME]}.{near}"


def _ours(error: Exception, what: str) -> MarketDataError:
    """Return the library's error for an exception; a bug is logged, because the SDK does not."""
    # A temporary internal error is no bug: accounts cannot be reached, or the server is closing.
    if not isinstance(error, MarketDataError) or (
        isinstance(error, InternalError) and not error.retryable
    ):
        _logger.error("%s failed", what, exc_info=error)
    if isinstance(error, MarketDataError):
        return error
    return InternalError(f"{what} failed inside the server; its log says why.")


def _failure(error: MarketDataError) -> CallToolResult:
    """Return an error as a result without structured content.

    Clients validate structured content with the tool's output schema, and some then lose the
    error. Some show a model only the text, so the text has the whole error.
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
    served = context.lifespan_context
    caller = caller_of(context).account
    cursor = (params.cursor if params else None) or "0"
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 10):
        raise MCPError(INVALID_PARAMS, "cursor is the nextCursor of the page before.")
    mine = [held.live for held in served.watches.of(caller)] + served.updates.of(caller)
    listed, start = [*resources.listed(mine), *views.listed()], int(cursor)
    behind = start + _PAGE
    return ListResourcesResult(
        resources=listed[start:behind],
        next_cursor=str(behind) if behind < len(listed) else None,
    )


async def _read_resource(context: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
    served = context.lifespan_context
    with served.admission.observed("resources/read") as call:
        try:
            if params.uri == views.URI:
                return views.contents()
            address = resources.Address.parse(params.uri)
            call.caller = caller = served.admission.caller(context)
            about = address._asdict()
            async with served.admission.admit(caller, "resources/read", about, call) as client:
                found = await current(client, served.lives, address)
                text = answers.record(found).text
        except Exception as error:  # noqa: BLE001 - only here the resource is known
            call.error = _ours(error, "resources/read")
            raise resources.refused(call.error, params.uri) from None
    content = TextResourceContents(uri=params.uri, mime_type=resources.JSON, text=text)
    return ReadResourceResult(contents=[content])


async def _subscribe(context: Context, params: SubscribeRequestParams) -> EmptyResult:
    served, uri = context.lifespan_context, params.uri
    async with admitted(context, [uri]) as caller:
        again = partial(served.admission.again, context)
        session = Connection(caller.account, context.session, again)
        connection = served.admission.connection(context)
        await served.updates.subscribe(connection, uri, session)
    return EmptyResult()


async def _unsubscribe(context: Context, params: UnsubscribeRequestParams) -> EmptyResult:
    served = context.lifespan_context
    served.updates.unsubscribe(served.admission.connection(context), params.uri)
    return EmptyResult()
