"""A server process that requires keys, over HTTP and HTTP+SSE."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from access_doors import PATIENCE, Desk, Server, bearer, call, finish, request, send
from mcp import Client, MCPError
from mcp.client.sse import sse_client
from mcp.client.streamable_http import streamable_http_client

from marketdata_mcp.service.access import keys

ERAS = ("auto", "legacy")
TICKER = {"name": "get_ticker", "arguments": {"pair": "BTC/USDT"}}
REST = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "x", "version": "1"},
    },
    "ping": {},
    "server/discover": {},
    "tools/list": {},
    "tools/call": TICKER,
    "resources/list": {},
    "resources/templates/list": {},
    "resources/read": {"uri": "market://binance/BTC-USDT/ticker"},
    "resources/subscribe": {"uri": "market://binance/BTC-USDT/ticker"},
    "subscriptions/listen": {"notifications": {"toolsListChanged": True}},
    "completion/complete": {
        "ref": {"type": "ref/resource", "uri": "market://{exchange}/{base}-{quote}/ticker"},
        "argument": {"name": "exchange", "value": ""},
    },
    "prompts/list": {},
    "nothing/known": {},
}


# ---------------------------------------------------------------------------- refusals


def challenge(header: str | None) -> dict[str, str]:
    """Read a WWW-Authenticate header (RFC 9110, 11.6.1)."""
    assert header is not None
    assert header.isascii()
    scheme, _, rest = header.partition(" ")
    assert scheme == "Bearer"
    parts = re.findall(r'([a-z_]+)="([^"\\]*)"(?:, |$)', rest)
    assert ", ".join(f'{name}="{value}"' for name, value in parts) == rest
    return dict(parts)


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("method", REST)
def test_nothing_without_a_key(server: Server, method: str, modern: bool) -> None:
    for headers in ({}, bearer("mdk_wrong")):
        reply = send(server.url, method, REST[method], modern=modern, headers=headers)
        assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
        assert reply.headers["Content-Type"] == "application/json"
        assert re.fullmatch("[0-9a-f]{16}", reply.headers["X-Request-Id"])
        message = reply.message
        assert set(message) == {"jsonrpc", "id", "error"}
        assert (message["jsonrpc"], message["id"]) == ("2.0", 7)
        assert message["error"]["code"] == -32001
        assert message["error"]["message"].startswith("UNAUTHORIZED: ")
        assert reply.error["retryable"] is False
        told = challenge(reply.headers["WWW-Authenticate"])
        assert set(told) == {"error", "error_description"}
        assert told["error"] == "invalid_token"


@pytest.mark.parametrize("modern", [True, False])
def test_a_bad_argument_is_said_to_anybody(server: Server, modern: bool) -> None:
    for arguments, code in (({}, "MISSING_PARAMETER"), ({"pair": 5}, "INVALID_PARAMETER")):
        reply = call(server.url, None, "get_ticker", modern=modern, **arguments)
        assert (reply.status, reply.code) == (200, code)


def twice(first: tuple[str, Any], second: tuple[str, Any]) -> bytes:
    """Say a method and its parameters twice: who reads it may take the first or the last."""
    said = ", ".join(
        f'"method": "{method}", "params": {json.dumps(params)}'
        for method, params in (first, second)
    )
    return f'{{"jsonrpc": "2.0", "id": 1, {said}}}'.encode()


GOOD, BAD = ("tools/call", TICKER), ("tools/call", TICKER | {"arguments": {}})
LIST: tuple[str, Any] = ("tools/list", {})
BODIES = [
    b"",
    b"{",
    b"[]",
    b"null",
    b'{"id": true}',
    b"[" * 100_000,
    '{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}'.encode("utf-16"),
    b"[" + twice(BAD, BAD) + b"]",
    twice(BAD, GOOD),
    twice(GOOD, BAD),
    twice(BAD, LIST),
    twice(LIST, BAD),
    b"x" * (3 << 20),
]


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("path", ["/mcp", "/messages/", "/messages/?session_id=" + "0" * 32])
def test_no_body_gets_past_without_a_key(server: Server, body: bytes, path: str) -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    reply = request(server.root + path, body, headers)
    assert 200 <= reply.status < 500
    assert '"tools":' not in reply.text
    assert '"structuredContent"' not in reply.text
    assert reply.status != 202


def test_what_is_no_key_in_force(server: Server, desk: Desk, name: str) -> None:
    desk.account(name, "adventurer")
    shown, kept = desk.key(name)
    expired = desk.key(name, lasts=1e-6)[0]
    revoked = desk.key(name)[0]
    desk.do(lambda registry: registry.revoke(revoked))
    wrong = {
        "": "key is required",
        shown[:-1]: "damaged",
        f"{shown[:30]} {shown[30:]}": "damaged",
        f"{shown}x": "damaged",
        "sk_live_abcdefghijklmnop": "not a key of this service",
        "a.b.c": "not a key of this service",
        keys.generate()[0]: "no such key",
        expired: f"{expired[4:14]} is expired",
        revoked: f"{revoked[4:14]} is revoked",
    }
    assert call(server.url, shown, "get_usage").code == "OK"
    for key, said in wrong.items():
        reply = call(server.url, key, "get_usage")
        assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
        assert said in reply.error["message"]
        assert said in challenge(reply.headers["WWW-Authenticate"])["error_description"]
    rotated = desk.do(lambda registry: registry.rotate(kept.id))[0]
    assert call(server.url, shown, "get_usage").code == "UNAUTHORIZED"
    assert call(server.url, rotated, "get_usage").code == "OK"


def test_a_suspended_account(server: Server, desk: Desk, name: str) -> None:
    key = desk.newcomer(name)
    desk.do(lambda registry: registry.suspend(name))
    for method, params in REST.items():
        reply = send(server.url, method, params, headers=bearer(key))
        assert (reply.status, reply.code) == (403, "FORBIDDEN")
        # It would have clients ask their user for consent, in vain.
        assert "insufficient_scope" not in str(reply.headers)
    desk.do(lambda registry: registry.suspend(name, suspended=False))
    assert call(server.url, key, "get_usage").code == "OK"


def test_a_key_is_taken_from_its_header_only(server: Server, desk: Desk, name: str) -> None:
    key = desk.newcomer(name)
    elsewhere: list[tuple[str, dict[str, str]]] = [
        (f"?key={key}&access_token={key}&api_key={key}&authorization=Bearer%20{key}", {}),
        ("", {"X-Api-Key": key}),
        ("", {"Api-Key": key, "X-Authorization": f"Bearer {key}"}),
        ("", {"Proxy-Authorization": f"Bearer {key}"}),
        ("", {"Cookie": f"Authorization=Bearer {key}; key={key}"}),
        ("", {"X-Forwarded-Authorization": f"Bearer {key}", "Forwarded": f"for={key}"}),
        ("", {"Authorization": key}),
        ("", {"Authorization": f"Basic {key}"}),
    ]
    for query, headers in elsewhere:
        reply = send(server.url + query, "tools/call", TICKER, headers=headers)
        assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
    meta = {"_meta": {"authorization": f"Bearer {key}", "key": key}}
    assert send(server.url, "tools/call", TICKER | meta).status == 401
    assert desk.used(name) == (0, 0)


def test_accounts_that_cannot_be_reached(server: Server, desk: Desk, home: Path, name: str) -> None:
    key = desk.newcomer(name)
    file = home / "access.sqlite"
    assert request(f"{server.root}/readyz").status == 200
    file.rename(home / "aside")
    try:
        reply = call(server.url, key, "get_usage")
        assert (reply.status, reply.code) == (503, "INTERNAL_ERROR")
        assert (reply.error["retryable"], reply.error["retryAfter"]) == (True, 1.0)
        assert reply.headers["Retry-After"] == "1"
        assert "WWW-Authenticate" not in reply.headers
        assert call(server.url, key, "get_ticker").code == "MISSING_PARAMETER"
        ready = request(f"{server.root}/readyz")
        assert ready.status == 503
        assert json.loads(ready.text)["problems"] == ["accounts cannot be reached"]
        assert request(f"{server.root}/healthz").status == 200
    finally:
        (home / "aside").rename(file)
    assert call(server.url, key, "get_usage").content["minute"]["used"] == 1
    assert request(f"{server.root}/readyz").status == 200


# ---------------------------------------------------------------------------- the SDK's client


@asynccontextmanager
async def connected(server: Server, key: str | None, era: str) -> AsyncIterator[Client]:
    """Connect the SDK's client."""
    async with httpx2.AsyncClient(headers=bearer(key), timeout=PATIENCE) as http_client:
        transport = streamable_http_client(server.url, http_client=http_client)
        async with Client(transport, mode=era) as client:
            yield client


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_with_a_key(server: Server, desk: Desk, name: str, era: str) -> None:
    key = desk.newcomer(name, "pioneer")

    async def work() -> None:
        async with connected(server, key, era) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert "get_usage" in names
            usage = (await client.call_tool("get_usage", {})).structured_content
            assert (usage["tier"], usage["minute"]["used"]) == ("pioneer", 1)
            refused = await client.call_tool("get_ticker", {"pair": "BTC/USDT", "exchange": "okx"})
            assert refused.is_error
            assert json.loads(refused.content[0].text)["code"] == "EXCHANGE_NOT_SUPPORTED"
            with pytest.raises(MCPError) as error:
                await client.read_resource("market://okx/BTC-USDT/ticker")
            assert error.value.data["code"] == "EXCHANGE_NOT_SUPPORTED"
            await asyncio.to_thread(desk.do, lambda registry: registry.suspend(name))
            with pytest.raises(MCPError) as error:
                await client.call_tool("get_usage", {})
            assert error.value.data["code"] == "FORBIDDEN"

    finish(work())


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_without_one(server: Server, era: str) -> None:
    async def work(key: str | None) -> None:
        async with connected(server, key, era) as client:
            await client.list_tools()

    for key in (None, keys.generate()[0]):
        try:
            finish(work(key))
        except BaseException as raised:  # noqa: BLE001 - looked at
            errors = list(_leaves(raised))
        assert {type(one) for one in errors} == {MCPError}
        assert {one.data["code"] for one in errors} == {"UNAUTHORIZED"}
        assert {one.code for one in errors} == {-32001}


def _leaves(error: BaseException) -> Iterator[Any]:
    if isinstance(error, BaseExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def test_the_sdks_client_of_the_older_transport(server: Server, desk: Desk, name: str) -> None:
    key = desk.newcomer(name, "pioneer")

    async def work() -> None:
        transport = sse_client(f"{server.root}/sse", headers=bearer(key))
        async with Client(transport, mode="legacy") as client:
            usage = (await client.call_tool("get_usage", {})).structured_content
            assert (usage["tier"], usage["minute"]["used"]) == ("pioneer", 1)
            refused = await client.call_tool("get_ticker", {"pair": "BTC/USDT", "exchange": "okx"})
            assert json.loads(refused.content[0].text)["code"] == "EXCHANGE_NOT_SUPPORTED"

    finish(work())
    assert desk.used(name) == (2, 1)
