"""Whatever tools are called with, they answer as they promise, or with one of our errors."""

from typing import Any

import pytest
from fuzz_strategies import WATCH, Raw, anything, arguments, encoded, mixed, texts, uris, versions
from fuzz_world import GOOD, World, cases, judge_call, judge_message
from hypothesis import given
from hypothesis import strategies as st
from mcp_doors import ENVELOPE
from mcp_loopback import MODERN, Answer, post

# Which only a case that fails makes.
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")


def _can_be_sent(value: Any) -> bool:
    is_plain = isinstance(value, str) and value.isascii() and value.isprintable()
    return is_plain and len(value) < 1_000


def _request(
    method: str, params: Any, version: str, *, as_ascii: bool = True, name: Any = None
) -> bytes:
    if version == MODERN and isinstance(params, dict):
        params = {**params, "_meta": ENVELOPE}
    named: dict[str, str | None] = {}
    if version == MODERN:
        told = {"Mcp-Method": method, "Mcp-Name": name}
        named = {header: value for header, value in told.items() if _can_be_sent(value)}
    body = {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}
    return post(encoded(body, as_ascii=as_ascii), version=version, **named)


async def _asked(
    world: World, request: bytes, method: str, version: str
) -> tuple[Answer, dict[str, Any]]:
    told = await world.sends(request)
    assert told is not None
    world.judge(request, told)
    assert told.status in (200, 400, 404, 413), told
    message = told.message
    judge_message(message, method, version)
    if told.status == 200 and method != "subscriptions/listen":
        assert message["id"] == 7
    return told, message


@cases(0.45)
@given(asked=arguments, version=versions, as_ascii=st.booleans())
def test_arguments_of_tools(
    world: World, asked: tuple[str, Any], version: str, as_ascii: bool
) -> None:
    tool, given_ = asked

    async def work() -> None:
        arguments = given_
        if isinstance(arguments, dict) and arguments.get("watch") == WATCH:
            arguments = {**arguments, "watch": await _watch(world)}
            if "timeout" in arguments and not isinstance(arguments["timeout"], Raw):
                arguments["timeout"] = 1
            else:
                arguments.pop("wait", None)
        params = {"name": tool, "arguments": arguments}
        request = _request("tools/call", params, version, as_ascii=as_ascii, name=tool)
        _, message = await _asked(world, request, "tools/call", version)
        if "result" in message:
            judge_call(message, tool)

    world.run("calls", work())


async def _watch(world: World) -> str:
    """Return a watch that there is."""
    for tool, asked in (("watch_list", {}), ("watch_start", {**GOOD, "kind": "ticker"})):
        params = {"name": tool, "arguments": asked}
        request = _request("tools/call", params, MODERN, name=tool)
        _, message = await _asked(world, request, "tools/call", MODERN)
        told = message["result"].get("structuredContent", {})
        for one in (told, *told.get("watches", ())):
            if "watch" in one:
                return str(one["watch"])
    raise AssertionError("no watch can be started")


# ---------------------------------------------------------------------- other methods

_names = st.sampled_from(["base", "quote", "exchange", "timeframe", "nothing"]) | texts
_kinds = ("ticker", "quote", "orderbook", "trades", "candles/{timeframe}")
_reference = mixed(
    st.sampled_from([f"market://{{exchange}}/{{base}}-{{quote}}/{kind}" for kind in _kinds]).map(
        lambda uri: {"type": "ref/resource", "uri": uri}
    ),
    st.fixed_dictionaries({"type": st.sampled_from(["ref/prompt", "ref/resource"]), "name": texts}),
    anything,
)
_argument = mixed(
    st.fixed_dictionaries({"name": _names, "value": texts | st.sampled_from(["", "b", "1"])}),
    anything,
)
_completion = st.fixed_dictionaries(
    {
        "ref": _reference,
        "argument": _argument,
    },
    optional={
        "context": st.fixed_dictionaries(
            {"arguments": st.dictionaries(_names, texts | st.just("binance"), max_size=3)}
        )
        | anything
    },
)
_uri = st.fixed_dictionaries({"uri": mixed(uris, uris, anything)})
_cursor = st.fixed_dictionaries({}, optional={"cursor": texts | st.integers().map(str) | anything})
_listened = st.fixed_dictionaries(
    {
        "notifications": st.fixed_dictionaries(
            {},
            optional={
                "resourceSubscriptions": mixed(st.lists(uris, max_size=3), anything),
                "resourcesListChanged": st.booleans() | anything,
                "toolsListChanged": st.booleans(),
            },
        )
        | anything
    }
)
_PARAMS: dict[str, st.SearchStrategy[Any]] = {
    "completion/complete": _completion,
    "resources/read": _uri,
    "resources/subscribe": _uri,
    "resources/unsubscribe": _uri,
    "resources/list": _cursor,
    "resources/templates/list": _cursor,
    "tools/list": _cursor,
    "subscriptions/listen": _listened,
    "tools/call": st.fixed_dictionaries({"name": texts | anything, "arguments": anything}),
    "prompts/get": st.fixed_dictionaries({"name": texts}),
    "server/discover": anything,
    "logging/setLevel": st.fixed_dictionaries({"level": texts}),
    "initialize": st.fixed_dictionaries(
        {
            "protocolVersion": texts | versions | anything,
            "capabilities": anything,
            "clientInfo": st.fixed_dictionaries({"name": texts, "version": texts}) | anything,
        }
    ),
    "ping": anything,
}
_asking = mixed(
    *[
        st.tuples(st.just(method), mixed(params, params, params, anything))
        for method, params in _PARAMS.items()
    ],
    st.tuples(texts, anything),
)


@cases(0.17)
@given(asked=_asking, version=versions, as_ascii=st.booleans())
def test_parameters_of_methods(
    world: World, asked: tuple[str, Any], version: str, as_ascii: bool
) -> None:
    method, params = asked
    plain = method.isascii() and method.isprintable()
    name = params.get("name", params.get("uri")) if isinstance(params, dict) else None
    sendable = isinstance(name, str) and name.isascii() and name.isprintable() and len(name) < 999

    async def work() -> None:
        request = _request(
            method if plain else "none",
            params,
            version,
            name=name if sendable else None,
            as_ascii=as_ascii,
        )
        await _asked(world, request, method, version)

    world.run("methods", work())
