"""The server on a port of the loopback interface."""

import asyncio
import http.client
import json
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from mcp import Client
from mcp_doors import ENVELOPE, ERAS, Silent, content, failure, finish, request, serving

from marketdata_mcp.app import ERROR_KEY
from marketdata_mcp.service.http import listen

SIGNALS = (signal.SIGINT, signal.SIGTERM)
VERSIONS = ("2026-07-28", "2025-11-25")


@contextmanager
def _connection(url: str) -> Iterator[http.client.HTTPConnection]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    try:
        yield connection
    finally:
        connection.close()


def _headers(version: str, method: str, **more: str) -> dict[str, str]:
    named = {"Mcp-Name": more.pop("name")} if "name" in more else {}
    return {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": version,
        "Mcp-Method": method,
        **named,
        **more,
    }


def _send(url: str, verb: str, version: str = VERSIONS[0], **headers: str) -> tuple[int, Any]:
    """Send one request to list the tools, and give the status and the body."""
    with _connection(url) as connection:
        body = request(1, "tools/list") if verb == "POST" else None
        connection.request(verb, "/mcp", body, _headers(version, "tools/list", **headers))
        response = connection.getresponse()
        return response.status, response.read()


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_lists_and_calls(home: Path, era: str) -> None:
    async def work() -> None:
        async with serving(home) as (url, _), Client(url, mode=era) as client:
            assert len((await client.list_tools()).tools) == 19
            asked = [client.call_tool("get_quote", {"pair": "ETH/USDT"}) for _ in range(16)]
            for each in await asyncio.gather(*asked):
                assert content(each)["pair"] == "ETH/USDT"
            wrong = failure(await client.call_tool("get_quote", {"pair": "ETH/USDT", "x": 1}))
            assert wrong["code"] == "INVALID_PARAMETER"

    finish(work())


def test_a_client_needs_no_handshake_and_no_session(home: Path) -> None:
    async def work() -> None:
        async with serving(home) as (url, _):
            call = {"name": "get_ticker", "arguments": {}}
            body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call})
            with _connection(url) as connection:
                headers = _headers("2025-06-18", "tools/call", name="get_ticker")
                connection.request("POST", "/mcp", body, headers)
                response = connection.getresponse()
                assert response.status == 200
                assert response.getheader("Mcp-Session-Id") is None
                data = re.search(rb"^data: (\{.*)$", response.read(), re.MULTILINE)
            assert data
            result = json.loads(data[1])["result"]
            assert result["_meta"][ERROR_KEY]["code"] == "MISSING_PARAMETER"

    finish(work())


def test_hosts_and_origins_are_checked(home: Path) -> None:
    async def work() -> None:
        async with serving(home) as (url, _):
            port = urlsplit(url).port
            assert _send(url, "POST")[0] == 200
            assert _send(url, "POST", Host=f"localhost:{port}")[0] == 200
            assert _send(url, "POST", Origin=f"http://localhost:{port}")[0] == 200
            assert _send(url, "POST", Host="rebound.example")[0] == 421
            assert _send(url, "POST", Origin="http://rebound.example")[0] == 403
            assert _send(url, "POST", Origin="null")[0] == 403

    finish(work())


def _answers(home: Path, bodies: list[bytes]) -> list[tuple[int, Any]]:
    """Post bodies to one server; give the status and the answer to each."""

    async def work() -> list[tuple[int, Any]]:
        async with serving(home) as (url, _):
            return await asyncio.to_thread(lambda: [_post(url, body) for body in bodies])

    return finish(work())


def _post(url: str, body: bytes) -> tuple[int, Any]:
    with _connection(url) as connection:
        connection.request("POST", "/mcp", body, _headers("2025-06-18", "ping"))
        response = connection.getresponse()
        said = response.read()
        return response.status, json.loads(said) if said else None


def test_invalid_messages_are_answered_with_their_id(home: Path) -> None:
    bodies = {
        b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}': 1.5,
        b'{"jsonrpc":"2.0","id":true,"method":"ping"}': None,
        b'{"jsonrpc":"2.0","id":7,"method":"ping","params":3}': 7,
        b'{"jsonrpc":"2.0","id":"a","method":"x","params":{"y":"\\ud800"}}': "a",
        b"rubbish": None,
    }
    notification = b'{"jsonrpc":"2.0","method":"notifications/initialized"}'
    *answers, silent = _answers(home, [*bodies, notification])
    assert silent == (202, None)
    assert [(status, one["id"]) for status, one in answers] == [
        (400, known) for known in bodies.values()
    ]
    assert {one["error"]["code"] for _, one in answers} == {-32600, -32700}


@pytest.mark.parametrize("version", VERSIONS)
def test_get_and_delete_are_refused(home: Path, version: str) -> None:
    async def work() -> None:
        async with serving(home) as (url, _):
            assert _send(url, "GET", version)[0] == 405
            assert _send(url, "DELETE", version)[0] == 405

    finish(work())


def test_other_machines_must_use_its_name(home: Path) -> None:
    async def work() -> None:
        remote = ("--http", "0.0.0.0:0", "--allow-remote", "data.example")
        async with serving(home, *remote) as (url, _):
            port = urlsplit(url).port
            local = f"http://127.0.0.1:{port}/mcp"
            assert _send(local, "POST", Host="data.example")[0] == 200
            assert _send(local, "POST", Host=f"data.example:{port}")[0] == 200
            assert _send(local, "POST", Host="other.example")[0] == 421
            asked = {"Host": "data.example", "Origin": "https://data.example"}
            assert _send(local, "POST", **asked)[0] == 200
            # Blanks around a header's value are no part of it.
            assert _send(local, "POST", Host="  data.example ")[0] == 200

    finish(work())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_answers_do_not_wait_for_acknowledgements(host: str) -> None:
    with listen(host, 0) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_an_idle_server(home: Path, number: signal.Signals) -> None:
    async def work() -> tuple[int | None, bytes, bytes]:
        async with serving(home) as (url, process):
            with _connection(url) as connection:
                headers = _headers(VERSIONS[0], "tools/list")
                connection.request("POST", "/mcp", request(1, "tools/list"), headers)
                assert connection.getresponse().status == 200
                process.send_signal(number)  # the connection is still open
                out, err = await process.communicate()
            return process.returncode, out, err

    assert finish(work()) == (0, b"", b"")


@pytest.mark.parametrize("version", VERSIONS)
def test_a_second_signal_ends_calls_in_flight(tmp_path: Path, version: str) -> None:
    async def work() -> tuple[int | None, bytes, bytes, bytes]:
        silent = Silent()
        arguments = ("--http", "127.0.0.1:0", "-e", "binance")
        async with (
            silent.listening() as endpoints,
            serving(tmp_path, *arguments, MARKETDATA_ENDPOINTS=endpoints) as (url, process),
        ):
            at = urlsplit(url)
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            writer.write(_raw_call(version, at.netloc))
            await silent.asked.wait()
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGINT)
            await silent.left.wait()
            answer = await reader.read()
            writer.close()
            out, err = await process.communicate()
            return process.returncode, out, err, answer

    status, out, err, answer = finish(work())
    assert (status, out) == (0, b"")
    assert b"Traceback" not in err
    if version == VERSIONS[0]:
        assert answer.startswith(b"HTTP/1.1 503 ")
    else:
        assert answer.endswith(b"\r\n0\r\n\r\n")  # the stream had begun; it ends in order


@pytest.mark.parametrize("version", VERSIONS)
def test_a_disconnect_cancels_the_call(tmp_path: Path, version: str) -> None:
    async def work() -> None:
        silent = Silent()
        arguments = ("--http", "127.0.0.1:0", "-e", "binance")
        async with (
            silent.listening() as endpoints,
            serving(tmp_path, *arguments, MARKETDATA_ENDPOINTS=endpoints) as (url, _),
        ):
            at = urlsplit(url)
            _, writer = await asyncio.open_connection(at.hostname, at.port)
            writer.write(_raw_call(version, at.netloc))
            await silent.asked.wait()
            writer.close()
            await silent.left.wait()

    finish(work())


def _raw_call(version: str, host: str) -> bytes:
    """Return a whole HTTP request for a ticker."""
    params = {"name": "get_ticker", "arguments": {"pair": "BTC/USDT"}, "_meta": ENVELOPE}
    if version != VERSIONS[0]:
        del params["_meta"]
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    body = json.dumps(call).encode()
    headers = {
        **_headers(version, "tools/call", name="get_ticker"),
        "Host": host,
        "Content-Length": str(len(body)),
    }
    lines = ["POST /mcp HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body
