"""The tools that the conformance suite asks a server for; names and texts are the suite's."""

from __future__ import annotations

import asyncio
import json
import warnings
from collections.abc import Awaitable, Callable
from typing import Any

from mcp import MCPDeprecationWarning, MCPError
from mcp.server import ServerRequestContext
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolRequestParams,
    CallToolResult,
    ClientCapabilities,
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    ImageContent,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
    TextResourceContents,
    Tool,
)

__all__ = ["IMAGE", "PIXEL", "TOOLS", "Context", "answered", "embedded", "form", "said"]

Context = ServerRequestContext[Any, Any]
Result = CallToolResult | InputRequiredResult
Call = Callable[[Context, CallToolRequestParams], Awaitable[Result]]

TOOLS: dict[str, tuple[Tool, Call]] = {}

PIXEL = (
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mP4z8AAAAMBAQD3A0FDAAAAAElFTkSuQmCC"
)
IMAGE = ImageContent(type="image", data=PIXEL, mime_type="image/png")
SILENCE = "UklGRiYAAABXQVZFZm10IBAAAAABAAEAQB8AAEAfAAABAAgAZGF0YQEAAACAAA=="
STEP_SECONDS = 0.05
"""The pause that the suite wants between two notifications."""

# The suite asks for sampling and logging, which the newest revision calls deprecated.
warnings.simplefilter("ignore", MCPDeprecationWarning)


def tool(name: str, description: str, **schema: Any) -> Callable[[Call], Call]:
    """Have a function be a tool."""

    def register(call: Call) -> Call:
        input_schema = {"type": "object", **schema}
        TOOLS[name] = Tool(name=name, description=description, input_schema=input_schema), call
        return call

    return register


def said(text: str, **more: Any) -> CallToolResult:
    """Return a result of one text."""
    return CallToolResult(content=[TextContent(type="text", text=text)], **more)


def embedded(uri: str, mime_type: str, text: str) -> EmbeddedResource:
    """Return a resource as content."""
    contents = TextResourceContents(uri=uri, mime_type=mime_type, text=text)
    return EmbeddedResource(type="resource", resource=contents)


# ---------------------------------------------------------------------------- kinds of content


@tool("test_simple_text", "Gives a text.")
async def simple_text(_: Context, __: CallToolRequestParams) -> Result:
    return said("This is a simple text response for testing.")


@tool("test_image_content", "Gives a picture.")
async def image_content(_: Context, __: CallToolRequestParams) -> Result:
    return CallToolResult(content=[IMAGE])


@tool("test_audio_content", "Gives a sound.")
async def audio_content(_: Context, __: CallToolRequestParams) -> Result:
    sound = AudioContent(type="audio", data=SILENCE, mime_type="audio/wav")
    return CallToolResult(content=[sound])


@tool("test_embedded_resource", "Gives a resource.")
async def embedded_resource(_: Context, __: CallToolRequestParams) -> Result:
    text = "This is an embedded resource content."
    return CallToolResult(content=[embedded("test://embedded-resource", "text/plain", text)])


@tool("test_multiple_content_types", "Gives a text, a picture and a resource.")
async def multiple_content_types(_: Context, __: CallToolRequestParams) -> Result:
    text = TextContent(type="text", text="Multiple content types test:")
    data = json.dumps({"test": "data", "value": 123})
    resource = embedded("test://mixed-content-resource", "application/json", data)
    return CallToolResult(content=[text, IMAGE, resource])


@tool("test_error_handling", "Fails.")
async def error_handling(_: Context, __: CallToolRequestParams) -> Result:
    return said("This tool intentionally returns an error for testing", is_error=True)


# ---------------------------------------------------------------------------- notifications


@tool("test_tool_with_logging", "Logs three lines.")
async def tool_with_logging(ctx: Context, _: CallToolRequestParams) -> Result:
    for line in ("Tool execution started", "Tool processing data", "Tool execution completed"):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await asyncio.sleep(STEP_SECONDS)
    return said("logged")


@tool("test_logging_tool", "Logs a line.")
async def logging_tool(ctx: Context, _: CallToolRequestParams) -> Result:
    await ctx.session.send_log_message("info", "called", related_request_id=ctx.request_id)
    return said("logged")


@tool("test_tool_with_progress", "Reports its progress.")
async def tool_with_progress(ctx: Context, _: CallToolRequestParams) -> Result:
    for progress in (0, 50, 100):
        await ctx.session.report_progress(progress, 100)
        await asyncio.sleep(STEP_SECONDS)
    return said("done")


# ---------------------------------------------------------------------------- schemas


@tool(
    "json_schema_2020_12_tool",
    "Has a schema with much of JSON Schema 2020-12.",
    **{
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$defs": {
            "address": {
                "$anchor": "addressDef",
                "type": "object",
                "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
            }
        },
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": False,
    },
)
async def json_schema_2020_12_tool(_: Context, __: CallToolRequestParams) -> Result:
    return said("ok")


@tool(
    "test_x_mcp_header",
    "Has an argument that is a header too.",
    properties={"region": {"type": "string", "x-mcp-header": "Region"}},
)
async def x_mcp_header(_: Context, params: CallToolRequestParams) -> Result:
    return said((params.arguments or {}).get("region", ""))


# ---------------------------------------------------------------------------- asking the client
# Before 2026-07-28: by requests of the server's own.


async def elicited(ctx: Context, message: str, **properties: Any) -> Result:
    """Ask the user by a form, and give what was said."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    answer = await ctx.session.elicit_form(message, schema, ctx.request_id)
    return said(f"action={answer.action}, content={json.dumps(answer.content)}")


@tool(
    "test_sampling",
    "Asks the client's model.",
    properties={"prompt": {"type": "string"}},
    required=["prompt"],
)
async def sampling(ctx: Context, params: CallToolRequestParams) -> Result:
    prompt = TextContent(type="text", text=(params.arguments or {})["prompt"])
    message = SamplingMessage(role="user", content=prompt)
    answer = await ctx.session.create_message(
        [message], max_tokens=100, related_request_id=ctx.request_id
    )
    return said(f"LLM response: {answer.content}")


@tool(
    "test_elicitation",
    "Asks the user.",
    properties={"message": {"type": "string"}},
    required=["message"],
)
async def elicitation(ctx: Context, params: CallToolRequestParams) -> Result:
    return await elicited(
        ctx,
        (params.arguments or {})["message"],
        username={"type": "string", "description": "User's response"},
        email={"type": "string", "description": "User's email address"},
    )


@tool("test_elicitation_sep1034_defaults", "Asks the user, with defaults.")
async def elicitation_sep1034_defaults(ctx: Context, _: CallToolRequestParams) -> Result:
    states = ["active", "inactive", "pending"]
    return await elicited(
        ctx,
        "Who are you?",
        name={"type": "string", "default": "John Doe"},
        age={"type": "integer", "default": 30},
        score={"type": "number", "default": 95.5},
        status={"type": "string", "enum": states, "default": "active"},
        verified={"type": "boolean", "default": True},
    )


@tool("test_elicitation_sep1330_enums", "Has the user choose.")
async def elicitation_sep1330_enums(ctx: Context, _: CallToolRequestParams) -> Result:
    options = ["option1", "option2", "option3"]
    titles = ["Option One", "Option Two", "Option Three"]
    titled = [
        {"const": value, "title": title} for value, title in zip(options, titles, strict=True)
    ]
    return await elicited(
        ctx,
        "Choose.",
        untitledSingle={"type": "string", "enum": options},
        titledSingle={"type": "string", "oneOf": titled},
        legacyEnum={"type": "string", "enum": options, "enumNames": titles},
        untitledMulti={"type": "array", "items": {"type": "string", "enum": options}},
        titledMulti={"type": "array", "items": {"anyOf": titled}},
    )


# ---------------------------------------------------------------------------- asking the client
# From 2026-07-28 on: by a result that says what is missing.


def form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    """Return the request for one field."""
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def question(text: str, max_tokens: int) -> CreateMessageRequest:
    """Return the request for what a model says."""
    message = SamplingMessage(role="user", content=TextContent(type="text", text=text))
    params = CreateMessageRequestParams(messages=[message], max_tokens=max_tokens)
    return CreateMessageRequest(params=params)


def answered(params: Any, name: str, kind: type[Any]) -> Any:
    """Return what a client answered under a name, if it is of the kind."""
    answer = (params.input_responses or {}).get(name)
    return answer if isinstance(answer, kind) else None


def missing(state: str | None = None, /, **requests: Any) -> InputRequiredResult:
    """Say what is missing."""
    return InputRequiredResult(input_requests=requests, request_state=state)


NAME = form("What is your name?", "name")
GREETING = question("Generate a greeting", 50)


@tool("test_input_required_result_elicitation", "Asks for a name.")
async def input_required_result_elicitation(_: Context, params: CallToolRequestParams) -> Result:
    answer = answered(params, "user_name", ElicitResult)
    if answer is None:
        return missing(user_name=NAME)
    return said(f"Hello, {(answer.content or {}).get('name')}!")


@tool("test_streaming_elicitation", "Asks for a name, always.")
async def streaming_elicitation(_: Context, __: CallToolRequestParams) -> Result:
    return missing(user_name=NAME)


@tool("test_input_required_result_sampling", "Asks the client's model.")
async def input_required_result_sampling(_: Context, params: CallToolRequestParams) -> Result:
    answer = answered(params, "capital_question", CreateMessageResult)
    if answer is None:
        return missing(capital_question=question("What is the capital of France?", 100))
    return said(f"It says: {answer.content}")


@tool("test_input_required_result_list_roots", "Asks for the client's roots.")
async def input_required_result_list_roots(_: Context, params: CallToolRequestParams) -> Result:
    answer = answered(params, "client_roots", ListRootsResult)
    if answer is None:
        return missing(client_roots=ListRootsRequest())
    return said(", ".join(str(root.uri) for root in answer.roots))


@tool("test_input_required_result_request_state", "Asks for consent, with state.")
async def input_required_result_request_state(_: Context, params: CallToolRequestParams) -> Result:
    if answered(params, "confirm", ElicitResult) is None or params.request_state != "asked":
        return missing("asked", confirm=form("Please confirm", "ok", "boolean"))
    return said("state-ok")


@tool(
    "test_input_required_result_tampered_state",
    "Asks for consent, with state that nobody may change.",
)
async def input_required_result_tampered_state(
    ctx: Context, params: CallToolRequestParams
) -> Result:
    return await input_required_result_request_state(ctx, params)


@tool("test_input_required_result_multiple_inputs", "Asks for three things.")
async def input_required_result_multiple_inputs(
    _: Context, params: CallToolRequestParams
) -> Result:
    requests = {"user_name": NAME, "greeting": GREETING, "client_roots": ListRootsRequest()}
    if set(requests) - set(params.input_responses or {}):
        return missing("asked", **requests)
    return said("all there")


@tool("test_input_required_result_multi_round", "Asks twice.")
async def input_required_result_multi_round(_: Context, params: CallToolRequestParams) -> Result:
    if answered(params, "step2", ElicitResult) and params.request_state == "second":
        return said("both there")
    if answered(params, "step1", ElicitResult) and params.request_state == "first":
        return missing("second", step2=form("Step 2: What is your favorite color?", "color"))
    return missing("first", step1=form("Step 1: What is your name?", "name"))


@tool("test_input_required_result_capabilities", "Asks for what the client can give.")
async def input_required_result_capabilities(ctx: Context, _: CallToolRequestParams) -> Result:
    can = ctx.session.client_capabilities or ClientCapabilities()
    user: dict[str, Any] = {"user_name": NAME} if can.elicitation else {}
    model: dict[str, Any] = {"greeting": GREETING} if can.sampling else {}
    return missing(**user, **model)


@tool("test_missing_capability", "Needs a client with a model.")
async def missing_capability(ctx: Context, _: CallToolRequestParams) -> Result:
    can = ctx.session.client_capabilities
    if can is None or can.sampling is None:
        needed: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
        raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "This needs sampling.", needed)
    return said("ok")
