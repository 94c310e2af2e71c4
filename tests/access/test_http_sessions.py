"""Accounts are separate: sessions of HTTP+SSE, watches, subscriptions, streams."""

from __future__ import annotations

import http.client
import json
import re
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from access_doors import (
    PATIENCE,
    Desk,
    Reply,
    Server,
    bearer,
    call,
    request,
    send,
    until,
)
from built import is_built

from marketdata.sim import SimulatedExchange

HELLO = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


class Session:
    """A session of the HTTP+SSE transport."""

    def __init__(self, server: Server, events: http.client.HTTPResponse) -> None:
        self._server = server
        self._events = events
        self.path = self._data()

    @property
    def id(self) -> str:
        return self.path.rpartition("=")[2]

    def _data(self) -> str:
        while not (line := self._events.readline().decode()).startswith("data: "):
            assert line, "the stream has ended"
        return line.removeprefix("data: ").strip()

    def next(self) -> dict[str, Any]:
        """Wait for the next message of the server."""
        message: dict[str, Any] = json.loads(self._data())
        return message

    def post(self, key: str | None, method: str, path: str = "", **params: Any) -> Reply:
        """Send a message to the session with anybody's key."""
        number = {} if method.startswith("notifications/") else {"id": method}
        body = json.dumps({"jsonrpc": "2.0", **number, "method": method, "params": params})
        headers = {"Content-Type": "application/json", **bearer(key)}
        return request(self._server.root + (path or self.path), body, headers)

    def ask(self, key: str, method: str, **params: Any) -> dict[str, Any]:
        """Send a request and wait for its answer, which has to be the next message."""
        assert self.post(key, method, **params).status == 202
        message = self.next()
        assert message["id"] == method
        return message

    def greet(self, key: str) -> None:
        """Shake hands."""
        assert "result" in self.ask(key, "initialize", **HELLO)
        assert self.post(key, "notifications/initialized").status == 202


@contextmanager
def opened(server: Server, key: str) -> Iterator[Session | Reply]:
    """Open a session, or give the answer that refuses it."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)
    try:
        connection.request("GET", "/sse", headers=bearer(key))
        response = connection.getresponse()
        if response.status == 200:
            yield Session(server, response)
        else:
            yield Reply(response.status, response.msg, response.read().decode())
    finally:
        connection.close()


@contextmanager
def session(server: Server, key: str) -> Iterator[Session]:
    """Open a session and shake hands."""
    with opened(server, key) as begun:
        assert isinstance(begun, Session)
        begun.greet(key)
        yield begun


CHART = "ui://marketdata/chart.html"


def watched(listed: dict[str, Any]) -> list[str]:
    """Return the resources that are watched, of a list that has the page of charts, too."""
    uris = [one["uri"] for one in listed["resources"]]
    assert (CHART in uris) is is_built()
    return [uri for uri in uris if uri != CHART]


def test_a_session_is_its_accounts(server: Server, desk: Desk, name: str) -> None:
    alice, bob = desk.newcomer(name), desk.newcomer(f"{name}b")
    other = desk.key(name)[0]
    asked = {"name": "get_usage", "arguments": {}}
    with session(server, alice) as mine:
        for path in ("", mine.path.replace(mine.id, str(UUID(mine.id)).upper())):
            assert mine.post(bob, "tools/call", path, **asked).status == 404
        assert mine.post(None, "tools/call", **asked).status == 401
        # What is malformed is told to anybody, but not to somebody else's session.
        for key in (None, bob):
            assert mine.post(key, "tools/call", name="get_ticker", arguments={}).status == 404
            assert mine.post(key, "tools/call", name="nothing").status in (400, 404)
        # Nothing of it has come through; another key of the account does as well.
        usage = mine.ask(other, "tools/call", **asked)["result"]["structuredContent"]
        assert usage["minute"]["used"] == 1
    assert desk.used(name) == (1, 0)
    assert desk.used(f"{name}b") == (0, 0)


def test_a_key_that_is_revoked_while_its_session_is_open(
    server: Server, desk: Desk, name: str
) -> None:
    key = desk.newcomer(name)
    with session(server, key) as mine:
        assert "result" in mine.ask(key, "tools/list")
        desk.do(lambda registry: registry.revoke(key))
        refused = mine.post(key, "tools/list")
        assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
        desk.do(lambda registry: registry.suspend(name))
        with opened(server, desk.key(name)[0]) as again:
            assert isinstance(again, Reply)
            assert (again.status, again.code) == (403, "FORBIDDEN")


def test_one_account_cannot_take_all_sessions(server: Server, desk: Desk, name: str) -> None:
    alice, bob = desk.newcomer(name), desk.newcomer(f"{name}b")
    with ExitStack() as stack:
        for _ in range(100):
            assert isinstance(stack.enter_context(opened(server, alice)), Session)
        refused = stack.enter_context(opened(server, alice))
        assert isinstance(refused, Reply)
        assert (refused.status, refused.code) == (503, "RATE_LIMIT_EXCEEDED")
        assert isinstance(stack.enter_context(opened(server, bob)), Session)

    def is_free() -> bool:
        with opened(server, alice) as begun:
            return isinstance(begun, Session)

    until(is_free)


def test_watches_are_their_accounts(server: Server, desk: Desk, name: str) -> None:
    alice, bob = desk.newcomer(name), desk.newcomer(f"{name}b")
    asked = {"kind": "ticker", "pair": "ETH/USDT"}
    watch = call(server.url, alice, "watch_start", **asked).content["watch"]
    for tool in ("watch_read", "watch_stop"):
        refused = call(server.url, bob, tool, watch=watch).error
        nothing = call(server.url, bob, tool, watch=f"{watch[:-1]}x").error
        assert refused["code"] == "INVALID_PARAMETER"
        assert refused["message"].replace(watch, "") == nothing["message"].replace(
            f"{watch[:-1]}x", ""
        )
    assert call(server.url, bob, "watch_list").content == {"watches": []}
    listed = send(server.url, "resources/list", headers=bearer(bob)).message["result"]
    assert watched(listed) == []
    # Of another key of the account they are, too.
    other = desk.key(name)[0]
    [found] = call(server.url, other, "watch_list").content["watches"]
    assert found["watch"] == watch
    listed = send(server.url, "resources/list", headers=bearer(other)).message["result"]
    assert watched(listed) == ["market://binance/ETH-USDT/ticker"]
    assert call(server.url, other, "watch_stop", watch=watch).code == "OK"
    assert call(server.url, alice, "watch_list").content == {"watches": []}


def test_subscriptions_are_calls(
    server: Server, desk: Desk, simulator: SimulatedExchange, name: str
) -> None:
    key, other = desk.newcomer(name, "pioneer"), desk.newcomer(f"{name}b")
    uri = "market://binance/SOL-USDT/trades"
    with session(server, key) as mine, session(server, other) as theirs:
        assert mine.ask(key, "resources/subscribe", uri=uri)["result"] == {}
        assert desk.used(name) == (1, 1)
        assert desk.used(f"{name}b") == (0, 0)
        listed = theirs.ask(other, "resources/list")["result"]
        assert watched(listed) == []
        # What the tier does not have is refused, and charged as any other call.
        for wrong, code in (
            ("market://gate/BTC-USDT/ticker", "EXCHANGE_NOT_SUPPORTED"),
            ("market://binance/BTC-USDT/candles/1h", "HISTORY_LIMIT_EXCEEDED"),
        ):
            refused = mine.ask(key, "resources/subscribe", uri=wrong)["error"]["data"]
            assert (refused["code"], refused["uri"]) == (code, wrong)
        assert desk.used(name) == (3, 3)
        # What fails at the exchange is not.
        simulator.faults.add("okx:*:status=503")
        simulator.faults.add("kraken:*:status=503")
        try:
            away = "market://kraken/BTC-USD/ticker"
            refused = mine.ask(key, "resources/subscribe", uri=away)["error"]["data"]
        finally:
            simulator.faults.clear()
        assert refused["code"] == "EXCHANGE_UNAVAILABLE"
        assert desk.used(name) == (4, 3)


def test_a_stream_of_events_is_a_call_for_each_resource(
    server: Server, desk: Desk, name: str
) -> None:
    key = desk.newcomer(name, "pioneer")
    for uris, code, units in (
        (["market://gate/BTC-USDT/ticker"], "EXCHANGE_NOT_SUPPORTED", 1),
        (
            ["market://binance/BTC-USDT/ticker", "market://gate/BTC-USDT/ticker"],
            "EXCHANGE_NOT_SUPPORTED",
            3,
        ),
        (["nonsense"], "INVALID_PARAMETER", 3),
    ):
        asked = {"notifications": {"resourceSubscriptions": uris}}
        reply = send(server.url, "subscriptions/listen", asked, modern=True, headers=bearer(key))
        assert reply.code == code
        assert desk.used(name).week == units


def test_a_cancelled_call_stays_charged(
    server: Server, desk: Desk, simulator: SimulatedExchange, name: str
) -> None:
    key = desk.newcomer(name)
    cancelled = 'marketdata_mcp_calls_total{code="CANCELLED",tool="get_orderbook"}'
    assert call(server.url, key, "get_orderbook", pair="BTC/USDT").code == "OK"
    before = desk.used(name)

    def total() -> float:
        found = re.search(
            rf"^{re.escape(cancelled)} (\S+)$", request(f"{server.root}/metrics").text, re.MULTILINE
        )
        return float(found[1]) if found else 0.0

    had = total()
    simulator.forget()
    simulator.faults.add("binance:*/depth:hang=true")
    try:
        body = json.dumps(
            {
                "jsonrpc": "2.0",
                "id": 1,
                "method": "tools/call",
                "params": {"name": "get_orderbook", "arguments": {"pair": "BTC/USDT"}},
            }
        )
        parts = urlsplit(server.url)
        with socket.create_connection((str(parts.hostname), parts.port or 0)) as line:
            line.sendall(
                (
                    f"POST /mcp HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {key}\r\n"
                    "Content-Type: application/json\r\nAccept: application/json, text/event-stream"
                    f"\r\nContent-Length: {len(body)}\r\n\r\n{body}"
                ).encode()
            )
            until(lambda: any("depth" in one.path for one in simulator.requests))
        until(lambda: total() == had + 1)
    finally:
        simulator.faults.clear()
    assert desk.used(name) == (before.minute + 1, before.week + 1)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_what_operators_read_needs_no_key(server: Server, path: str) -> None:
    assert request(server.root + path).status == 200
