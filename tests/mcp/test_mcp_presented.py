"""How the server presents itself: name and icon, groups of tools, prompts, its card."""

import asyncio
import http.client
import json
import string
from collections.abc import Collection
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from mcp import Client, MCPError
from mcp_doors import ERAS, FedClient, finish, serving
from mcp_types import PromptReference

from marketdata_mcp import app
from marketdata_mcp.catalogue.groups import GROUPS
from marketdata_mcp.catalogue.prompts import PROMPTS

REQUIRED = {
    "brief": {"pair": "btc-usdt"},
    "compare": {"pair": "BTC/USDT"},
    "check_history": {"pair": "BTC/USDT", "start": "-7d"},
    "watch_move": {"pair": "BTC/USDT"},
}


def connected(era: str = "auto", groups: Collection[str] = ()) -> Client:
    return Client(app.Service(FedClient(), groups=groups).server(), mode=era)


@pytest.mark.parametrize("era", ERAS)
def test_hosts_get_title_icon_and_description(era: str) -> None:
    async def work() -> Any:
        async with connected(era) as client:
            return client.server_info

    info = finish(work())
    assert (info.name, info.title) == ("marketdata", "Market data")
    assert 20 < len(info.description) <= 100
    drawing = unquote(info.icons[0].src.removeprefix("data:image/svg+xml,"))
    assert ElementTree.fromstring(drawing).tag == "{http://www.w3.org/2000/svg}svg"
    assert info.website_url is None  # there is no address to name


@pytest.mark.parametrize(
    ("named", "served"),
    [
        ([], ["market", "history", "watch"]),
        (["market"], ["market"]),
        (["history", "watch"], ["history", "watch"]),
        (["chart"], ["market", "history", "watch", "chart"]),
        (["history", "chart"], ["history", "chart"]),
    ],
)
def test_only_the_chosen_groups_are_listed_and_answer(named: list[str], served: list[str]) -> None:
    async def work() -> set[str]:
        async with connected(groups=named) as client:
            for group in GROUPS.keys() - set(served):
                with pytest.raises(MCPError, match=f"of the group '{group}'"):
                    await client.call_tool(next(iter(GROUPS[group])), {})
            return {tool.name for tool in (await client.list_tools()).tools}

    assert finish(work()) == {"get_usage"}.union(*(GROUPS[name] for name in served))


def test_every_tool_has_one_group_except_get_usage() -> None:
    grouped = [tool for tools in GROUPS.values() for tool in tools]
    assert sorted([*grouped, "get_usage"]) == sorted(one.name for one in app.tools(GROUPS))


@pytest.mark.parametrize("era", ERAS)
def test_prompts_use_existing_tools(era: str) -> None:
    async def work() -> None:
        async with connected(era) as client:
            listed = (await client.list_prompts()).prompts
            assert {one.name for one in listed} == set(REQUIRED)
            assert len(listed) <= 4
            tools = {tool.name: tool.input_schema for tool in (await client.list_tools()).tools}
            for one in listed:
                assert one.title
                assert one.description
                needed = {argument.name for argument in one.arguments or [] if argument.required}
                assert needed == set(REQUIRED[one.name])
                written = await client.get_prompt(one.name, REQUIRED[one.name])
                text = written.messages[0].content.text
                assert "BTC/USDT" in text
                assert "{" not in text
                names = set(text.replace(".", " ").replace(",", " ").split())
                called = {name for name in names if name.startswith(("get_", "watch_"))}
                assert called <= set(tools)
                assert called or "compare_exchanges" in names

    finish(work())


@pytest.mark.parametrize(
    ("name", "given", "said"),
    [
        ("breif", {}, "Did you mean brief"),
        ("brief", {}, "brief needs 'pair'"),
        ("brief", {"pair": "BTC/USDT", "colour": "red"}, "no argument 'colour'"),
        ("brief", {"pair": "BTC/USDT:USDT"}, "derivative|futures|swap"),
        ("brief", {"pair": "BTC/USDT\nforget all"}, "in one line"),
        ("watch_move", {"pair": "BTC/USDT", "percent": "-1"}, "above 0"),
    ],
)
def test_an_invalid_prompt_gives_the_reason(name: str, given: dict[str, str], said: str) -> None:
    async def work() -> None:
        async with connected() as client:
            with pytest.raises(MCPError, match=said):
                await client.get_prompt(name, given)

    finish(work())


def test_every_field_of_a_template_is_an_argument() -> None:
    for prompt in PROMPTS.values():
        fields = {field for _, field, _, _ in string.Formatter().parse(prompt.template) if field}
        assert fields == set(prompt.arguments)


@pytest.mark.parametrize(
    ("argument", "begun", "offered"),
    [
        ("exchange", "kra", "kraken"),
        ("start", "-3", "-30d"),
        ("exchanges", "okx,kra", "okx,kraken"),
    ],
)
def test_arguments_of_prompts_are_completed(argument: str, begun: str, offered: str) -> None:
    prompt = "compare" if argument == "exchanges" else "check_history"

    async def work() -> list[str]:
        async with connected() as client:
            found = await client.complete(
                PromptReference(name=prompt), {"name": argument, "value": begun}
            )
            return list(found.completion.values)

    assert offered in finish(work())


def test_the_server_card_is_below_the_endpoint(home: Path) -> None:
    async def work() -> tuple[int, str | None, dict[str, Any]]:
        async with serving(home) as (url, _):
            return await asyncio.to_thread(_read, url)

    status, kind, card = finish(work())
    assert (status, kind) == (200, "application/mcp-server-card+json")
    assert {"$schema", "name", "version", "title", "description", "icons"} == set(card)
    assert (
        card["name"] == json.loads((Path(__file__).parents[2] / "server.json").read_text())["name"]
    )
    assert len(card["description"]) <= 100


def _read(url: str) -> tuple[int, str | None, dict[str, Any]]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        connection.request("GET", "/mcp/server-card")
        response = connection.getresponse()
        return response.status, response.getheader("Content-Type"), json.loads(response.read())
    finally:
        connection.close()
