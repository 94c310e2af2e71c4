"""Agents' libraries as clients of the server: each lists, converts and calls the tools its way."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

__all__ = ["LIBRARIES", "Opened", "Target"]


@dataclass(frozen=True)
class Target:
    """The server: a command that is started, or a URL."""

    command: Sequence[str] = ()
    url: str | None = None


@dataclass(frozen=True)
class Opened:
    """A library that is connected."""

    schemas: Mapping[str, Mapping[str, dict[str, Any]]]
    """What it gives its models of each tool's arguments, by the form."""
    call: Callable[[str, dict[str, Any]], Awaitable[str]]
    """Calls a tool through what it made of it; gives the text of the answer, or of the error."""


@asynccontextmanager
async def openai_agents(target: Target) -> AsyncIterator[Opened]:
    """Connect with openai-agents, with strict schemas."""
    from agents import Agent, RunContextWrapper
    from agents.mcp import MCPServerStdio, MCPServerStreamableHttp, MCPUtil
    from agents.tool_context import ToolContext

    server: Any
    if target.url is None:
        program, *arguments = target.command
        server = MCPServerStdio(
            {"command": program, "args": arguments}, client_session_timeout_seconds=60
        )
    else:
        server = MCPServerStreamableHttp({"url": target.url}, client_session_timeout_seconds=60)
    async with server:
        found = await MCPUtil.get_function_tools(
            server, True, RunContextWrapper(None), Agent(name="test")
        )
        tools: dict[str, Any] = {tool.name: tool for tool in found}

        async def call(name: str, arguments: dict[str, Any]) -> str:
            given = json.dumps(arguments)
            context = ToolContext(None, tool_name=name, tool_call_id="1", tool_arguments=given)
            return _text(await tools[name].on_invoke_tool(context, given))

        # It takes a tool without arguments as one of any arguments, and leaves it as it is.
        schemas = {
            name: tool.params_json_schema
            if tool.strict_json_schema or tool.params_json_schema["properties"]
            else {"additionalProperties": False, **tool.params_json_schema}
            for name, tool in tools.items()
        }
        yield Opened({"strict": schemas}, call)


@asynccontextmanager
async def pydantic_ai(target: Target) -> AsyncIterator[Opened]:
    """Connect with pydantic-ai, with OpenAI's and Anthropic's strict schemas."""
    from pydantic_ai.mcp import MCPToolset
    from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer
    from pydantic_ai.providers.anthropic import AnthropicJsonSchemaTransformer

    source: Any = target.url
    if source is None:
        program, *arguments = target.command
        source = {"mcpServers": {"marketdata": {"command": program, "args": arguments}}}
    toolset: Any = MCPToolset(source)
    async with toolset:
        listed = {tool.name: tool.input_schema for tool in await toolset.list_tools()}
        strict: dict[str, dict[str, Any]] = {"openai strict": {}, "anthropic strict": {}}
        makers = (OpenAIJsonSchemaTransformer, AnthropicJsonSchemaTransformer)
        for form, make in zip(strict, makers, strict=True):
            for name, schema in listed.items():
                transformer = make(schema, strict=True)
                strict[form][name] = transformer.walk()
                assert transformer.is_strict_compatible, name

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return _text(await toolset.direct_call_tool(name, arguments))

        yield Opened(strict, call)


@asynccontextmanager
async def langchain(target: Target) -> AsyncIterator[Opened]:
    """Connect with langchain-mcp-adapters, with OpenAI's strict schemas."""
    from langchain_core.utils.function_calling import convert_to_openai_tool
    from langchain_mcp_adapters.client import MultiServerMCPClient
    from langchain_mcp_adapters.tools import load_mcp_tools

    connection: dict[str, Any] = {"transport": "streamable_http", "url": target.url}
    if target.url is None:
        program, *arguments = target.command
        connection = {"transport": "stdio", "command": program, "args": arguments}
    client = MultiServerMCPClient({"marketdata": connection})  # type: ignore[dict-item]
    async with client.session("marketdata") as session:
        tools = {tool.name: tool for tool in await load_mcp_tools(session)}

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return _text(await tools[name].ainvoke(arguments))

        strict = {
            name: convert_to_openai_tool(tool, strict=True)["function"]["parameters"]
            for name, tool in tools.items()
        }
        yield Opened({"openai strict": strict}, call)


@asynccontextmanager
async def google_genai(target: Target) -> AsyncIterator[Opened]:
    """Connect with the protocol's own SDK, as google-genai does, and convert for Gemini."""
    from google.genai import types
    from google.genai._mcp_utils import mcp_to_gemini_tools
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamable_http_client

    transport: Any
    if target.url is None:
        program, *arguments = target.command
        transport = stdio_client(StdioServerParameters(command=program, args=arguments))
    else:
        transport = streamable_http_client(target.url)
    async with transport as (incoming, outgoing, *_), ClientSession(incoming, outgoing) as session:
        await session.initialize()
        listed = (await session.list_tools()).tools
        declared = [one.function_declarations[0] for one in mcp_to_gemini_tools(listed)]
        written = {one.name: _gemini(one) for one in declared}
        # What Gemini's own schema has no words for would be lost.
        own = {
            tool.name: types.Schema.from_json_schema(
                json_schema=types.JSONSchema.model_validate(tool.input_schema)
            ).model_dump(mode="json", exclude_none=True)
            for tool in listed
        }

        async def call(name: str, arguments: dict[str, Any]) -> str:
            return _text((await session.call_tool(name, arguments)).content)

        yield Opened({"gemini": written, "gemini schema": own}, call)


@asynccontextmanager
async def google_adk(target: Target) -> AsyncIterator[Opened]:
    """Connect with google-adk."""
    from google.adk.tools.mcp_tool.mcp_session_manager import (
        StdioConnectionParams,
        StreamableHTTPConnectionParams,
    )
    from google.adk.tools.mcp_tool.mcp_toolset import McpToolset
    from mcp import StdioServerParameters

    parameters: Any
    if target.url is None:
        program, *arguments = target.command
        parameters = StdioConnectionParams(
            server_params=StdioServerParameters(command=program, args=arguments), timeout=60
        )
    else:
        parameters = StreamableHTTPConnectionParams(url=target.url, timeout=60)
    toolset = McpToolset(connection_params=parameters)
    try:
        tools = {tool.name: tool for tool in await toolset.get_tools()}

        async def call(name: str, arguments: dict[str, Any]) -> str:
            context: Any = _ToolContext()
            return _text(await tools[name].run_async(args=arguments, tool_context=context))

        yield Opened(
            {"gemini": {n: _gemini(one._get_declaration()) for n, one in tools.items()}}, call
        )
    finally:
        await toolset.close()


class _ToolContext:
    """What ADK's tools want of a running agent; there is none."""

    tool_confirmation = None
    state: ClassVar[dict[str, Any]] = {}

    def __getattr__(self, name: str) -> Any:
        return None


@asynccontextmanager
async def llama_index(target: Target) -> AsyncIterator[Opened]:
    """Connect with llama-index, and give its tools to OpenAI."""
    from llama_index.tools.mcp import BasicMCPClient, McpToolSpec

    program, *arguments = target.command or (target.url,)
    client = BasicMCPClient(program, args=arguments, timeout=60)
    tools = {tool.metadata.name: tool for tool in await McpToolSpec(client).to_tool_list_async()}

    async def call(name: str, arguments: dict[str, Any]) -> str:
        return _text((await tools[name].acall(**arguments)).raw_output)

    given = {
        name: tool.metadata.to_openai_tool(skip_length_check=True)["function"]["parameters"]
        for name, tool in tools.items()
    }
    yield Opened({"openai": given}, call)


LIBRARIES: Mapping[str, Callable[[Target], Any]] = {
    "openai-agents": openai_agents,
    "pydantic-ai": pydantic_ai,
    "langchain-mcp-adapters": langchain,
    "google-genai": google_genai,
    "google-adk": google_adk,
    "llama-index": llama_index,
}


def _gemini(declaration: Any) -> dict[str, Any]:
    said: dict[str, Any] = declaration.model_dump(mode="json", exclude_none=True)
    return said.get("parameters") or said.get("parameters_json_schema") or {}


def _text(answer: Any) -> str:
    """Find the text of the server's answer in what a library makes of it."""
    match answer:
        case str():
            return answer
        case [first, *_]:
            return _text(first)
        case {"text": str(text)}:
            return text
        case {"content": content}:
            return _text(content)
        case dict():
            return json.dumps(answer)
    for name in ("text", "content"):
        if hasattr(answer, name):
            return _text(getattr(answer, name))
    return str(answer)
