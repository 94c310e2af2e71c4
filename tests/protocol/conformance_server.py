"""Our server with what the conformance suite asks for besides: python conformance_server.py.

It shows that nothing of ours stands between the suite and the SDK: transports, middleware, bounds,
and, with a key in CONFORMANCE_KEY, access control. With ``--sessions`` the server is the one that
stdio serves, behind the SDK's sessions.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import uvicorn
from fixture_tools import IMAGE, PIXEL, TOOLS, Context, answered, embedded, form, said
from mcp import MCPError
from mcp.server import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.subscriptions import (
    PromptsListChanged,
    ServerEvent,
    SubscriptionBus,
    ToolsListChanged,
)
from mcp.server.transport_security import TransportSecuritySettings
from mcp_types import (
    INVALID_PARAMS,
    BlobResourceContents,
    CallToolRequestParams,
    CallToolResult,
    ElicitResult,
    EmptyResult,
    GetPromptRequestParams,
    GetPromptResult,
    InputRequiredResult,
    ListPromptsResult,
    ListResourcesResult,
    ListResourceTemplatesResult,
    ListToolsResult,
    PaginatedRequestParams,
    Prompt,
    PromptArgument,
    PromptMessage,
    ReadResourceRequestParams,
    ReadResourceResult,
    Resource,
    ResourceTemplate,
    SetLevelRequestParams,
    TextContent,
    TextResourceContents,
    Tool,
)
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from marketdata import AsyncClient
from marketdata_mcp.app import Service
from marketdata_mcp.served import Served
from marketdata_mcp.service import http
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.access.places import policy_of, store_of
from marketdata_mcp.service.admission import GatedAdmission
from marketdata_mcp.service.metrics import Metrics
from marketdata_mcp.service.web import PATH, Web

Handler = Callable[[Context, Any], Awaitable[Any]]

CHANGES: dict[str, ServerEvent] = {
    "test_trigger_tool_change": ToolsListChanged(),
    "test_trigger_prompt_change": PromptsListChanged(),
}
RESOURCES = [
    Resource(uri=f"test://{name}", name=name, description="For tests.", mime_type=mime_type)
    for name, mime_type in (
        ("static-text", "text/plain"),
        ("static-binary", "image/png"),
        ("watched-resource", "text/plain"),
    )
]
TEMPLATE = ResourceTemplate(
    uri_template="test://template/{id}/data",
    name="template",
    description="For tests.",
    mime_type="application/json",
)
PROMPTS = [
    Prompt(
        name=name,
        description="For tests.",
        arguments=[PromptArgument(name=argument, required=True) for argument in arguments],
    )
    for name, arguments in {
        "test_simple_prompt": (),
        "test_prompt_with_arguments": ("arg1", "arg2"),
        "test_prompt_with_embedded_resource": ("resourceUri",),
        "test_prompt_with_image": (),
        "test_input_required_result_prompt": (),
    }.items()
]


def add_fixtures(server: Server[Any], bus: SubscriptionBus) -> None:
    """Put what the suite asks for beside what a server has; changed lists are told on the bus."""
    _add_tools(server, bus)
    _add_resources(server)
    server.add_request_handler("prompts/list", PaginatedRequestParams, list_prompts)
    server.add_request_handler("prompts/get", GetPromptRequestParams, get_prompt)
    server.add_request_handler("logging/setLevel", SetLevelRequestParams, set_level)
    state = RequestStateSecurity.ephemeral()
    server.middleware.append(RequestStateBoundary(state, default_audience=server.name))


def _own(server: Server[Any], method: str) -> Handler:
    entry = server.get_request_handler(method)
    assert entry is not None, method
    return entry.handler


def _add_tools(server: Server[Any], bus: SubscriptionBus) -> None:
    own_list, own_call = _own(server, "tools/list"), _own(server, "tools/call")
    own_schema = server.get_tool_input_schema
    fixtures = [tool for tool, _ in TOOLS.values()]
    schema = {"type": "object"}
    fixtures += [Tool(name=name, description="Tells.", input_schema=schema) for name in CHANGES]

    async def list_tools(ctx: Context, params: Any) -> ListToolsResult:
        listed: ListToolsResult = await own_list(ctx, params)
        return listed.model_copy(update={"tools": [*listed.tools, *fixtures]})

    async def call_tool(
        ctx: Context, params: CallToolRequestParams
    ) -> CallToolResult | InputRequiredResult:
        if params.name in CHANGES:
            await bus.publish(CHANGES[params.name])
            return said("told")
        if params.name in TOOLS:
            return await TOOLS[params.name][1](ctx, params)
        result: CallToolResult = await own_call(ctx, params)
        return result

    def input_schema(name: str) -> Mapping[str, Any] | None:
        if name in TOOLS:
            return TOOLS[name][0].input_schema
        return own_schema(name) if own_schema is not None else None

    server.get_tool_input_schema = input_schema
    server.add_request_handler("tools/list", PaginatedRequestParams, list_tools)
    server.add_request_handler("tools/call", CallToolRequestParams, call_tool)


def _add_resources(server: Server[Any]) -> None:
    own_list, own_read = _own(server, "resources/list"), _own(server, "resources/read")
    own_templates = _own(server, "resources/templates/list")

    async def list_resources(ctx: Context, params: Any) -> ListResourcesResult:
        listed: ListResourcesResult = await own_list(ctx, params)
        return listed.model_copy(update={"resources": [*listed.resources, *RESOURCES]})

    async def list_templates(ctx: Context, params: Any) -> ListResourceTemplatesResult:
        listed: ListResourceTemplatesResult = await own_templates(ctx, params)
        both = [*listed.resource_templates, TEMPLATE]
        return listed.model_copy(update={"resource_templates": both})

    async def read_resource(ctx: Context, params: ReadResourceRequestParams) -> ReadResourceResult:
        found = resource(params.uri)
        if found is not None:
            return ReadResourceResult(contents=[found])
        result: ReadResourceResult = await own_read(ctx, params)
        return result

    def subscribing(own: Handler) -> Handler:
        async def handler(ctx: Context, params: Any) -> Any:
            return await own(ctx, params) if resource(params.uri) is None else EmptyResult()

        return handler

    server.add_request_handler("resources/list", PaginatedRequestParams, list_resources)
    server.add_request_handler("resources/templates/list", PaginatedRequestParams, list_templates)
    server.add_request_handler("resources/read", ReadResourceRequestParams, read_resource)
    for method in ("resources/subscribe", "resources/unsubscribe"):
        entry = server.get_request_handler(method)
        if entry is not None:
            server.add_request_handler(method, entry.params_type, subscribing(entry.handler))


def resource(uri: str) -> TextResourceContents | BlobResourceContents | None:
    """Return what is at an address of the fixtures."""
    if found := re.fullmatch(r"test://template/([^/]+)/data", uri):
        data = {"id": found[1], "templateTest": True, "data": f"Data for ID: {found[1]}"}
        return TextResourceContents(uri=uri, mime_type="application/json", text=json.dumps(data))
    match uri:
        case "test://static-text":
            text = "This is the content of the static text resource."
        case "test://watched-resource":
            text = "Watched."
        case "test://static-binary":
            return BlobResourceContents(uri=uri, mime_type="image/png", blob=PIXEL)
        case _:
            return None
    return TextResourceContents(uri=uri, mime_type="text/plain", text=text)


async def list_prompts(_: Context, __: Any) -> ListPromptsResult:
    return ListPromptsResult(prompts=PROMPTS)


async def get_prompt(
    _: Context, params: GetPromptRequestParams
) -> GetPromptResult | InputRequiredResult:
    given = params.arguments or {}
    contents: list[Any]
    match params.name:
        case "test_simple_prompt":
            contents = ["This is a simple prompt for testing."]
        case "test_prompt_with_arguments":
            contents = [f"Prompt with arguments: arg1='{given['arg1']}', arg2='{given['arg2']}'"]
        case "test_prompt_with_embedded_resource":
            text = "Embedded resource content for testing."
            contents = [embedded(given["resourceUri"], "text/plain", text)]
            contents.append("Please process the embedded resource above.")
        case "test_prompt_with_image":
            contents = [IMAGE, "Please analyze the image above."]
        case "test_input_required_result_prompt":
            answer = answered(params, "user_context", ElicitResult)
            if answer is None:
                asked = form("What context should the prompt use?", "context")
                return InputRequiredResult(input_requests={"user_context": asked})
            contents = [f"Context: {answer.content}"]
        case name:
            raise MCPError(INVALID_PARAMS, f"Unknown prompt: {name}")
    return GetPromptResult(
        messages=[
            PromptMessage(
                role="user",
                content=TextContent(type="text", text=one) if isinstance(one, str) else one,
            )
            for one in contents
        ]
    )


async def set_level(_: Context, __: SetLevelRequestParams) -> EmptyResult:
    return EmptyResult()


# ---------------------------------------------------------------------------- serving


class Fixtures(Service):
    """Our service with the fixtures."""

    def server(self, *, sessions: bool = True) -> Server[Served]:
        """Make a server of the protocol that has the fixtures, too."""
        server = super().server(sessions=sessions)
        add_fixtures(server, self._bus)
        return server


@dataclass
class Unlocked(Web):
    """What is served over HTTP, to clients that cannot send a key: theirs is put in."""

    key: str | None = None

    def application(self) -> Any:
        """Return the ASGI application."""
        app = super().application()

        async def with_key(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] == "http" and self.key is not None:
                header = (b"authorization", f"Bearer {self.key}".encode())
                scope = {**scope, "headers": [*scope["headers"], header]}
            await app(scope, receive, send)

        return with_key


def with_sessions(service: Service, ready: Callable[[], None]) -> Starlette:
    """Yield the application that keeps a session for each client of an earlier revision."""
    loopback = ["127.0.0.1:*", "localhost:*"]
    manager = StreamableHTTPSessionManager(
        service.server(),
        security_settings=TransportSecuritySettings(
            allowed_hosts=loopback, allowed_origins=[f"http://{host}" for host in loopback]
        ),
    )

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with manager.run():
            ready()
            yield

    route = Route(PATH, endpoint=StreamableHTTPASGIApp(manager))
    return Starlette(routes=[route], lifespan=lifespan)


async def main() -> None:
    """Serve on a free port, and say where, until SIGTERM."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sessions", action="store_true", help="serve as on stdio")
    options = parser.parse_args()
    listener = http.listen("127.0.0.1", 0)
    client = AsyncClient(sim=True)
    key = os.environ.get("CONFORMANCE_KEY")
    policy = policy_of(client.settings, None)
    gate = Gate(policy, store_of(client.settings)) if key else None
    service = Fixtures(client, admission=GatedAdmission(client, gate))

    def ready() -> None:
        print(f"serving {http.url(listener)}", file=sys.stderr, flush=True)

    if options.sessions:
        config = uvicorn.Config(with_sessions(service, ready), log_level="warning")
        await uvicorn.Server(config).serve(sockets=[listener])
    else:
        web = Unlocked(service, gate=gate, metrics=Metrics(), ready=ready, key=key)
        await http.serve(web, listener)


if __name__ == "__main__":
    asyncio.run(main())
