"""The server for operators: health, metrics and logs."""

import asyncio
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp_admin import command
from mcp_doors import COMMAND, PATIENCE, finish, running
from mcp_doors import request as line
from mcp_live import until
from mcp_loopback import (
    HANDSHAKE,
    MODERN,
    TICKER,
    VERSIONS,
    Answer,
    Peer,
    ask,
    connected,
    exchange,
    get,
    loopback,
    post,
    with_headers,
)
from mcp_operated import operated
from prometheus_client.parser import text_string_to_metric_families

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app
from marketdata_mcp.service.metrics import Metrics

CANARY = "canary5c4f1e"

BROKEN = f"""# warm
import sys
import marketdata_mcp
from marketdata_mcp import answers
def record(answered):
    raise RuntimeError("{CANARY}-bug")
answers.record = record
marketdata_mcp.main(sys.argv[1:])
"""
"""The command with a bug in it."""


@pytest.fixture
def key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A key of an account whose name is a canary."""
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path))
    assert command("access", "account", "add", CANARY, "--tier", "hero")[0] == 0
    return command("access", "key", "add", CANARY, "--label", CANARY)[1].strip()


async def _json(port: int, path: str) -> tuple[int, Any]:
    told = await exchange(port, get(path))
    return told.status, json.loads(told.body)


# ---------------------------------------------------------------------- health


def test_healthz_and_readyz_are_200(tmp_path: Path) -> None:
    async def work() -> None:
        for options in ((), ("--access",)):
            async with operated(tmp_path, "--sim", *options) as server:
                assert await _json(server.port, "/healthz") == (200, {"status": "ok"})
                assert await _json(server.port, "/readyz") == (200, {"status": "ready"})
                # Also to whom no address of the server's is known.
                for path in ("/healthz", "/readyz"):
                    asked = get(path).replace(b"127.0.0.1", b"10.1.2.3:8000")
                    assert (await exchange(server.port, asked)).status == 200
                    assert (await exchange(server.port, post(b"", path))).status == 405

    finish(work())


def test_a_stopping_server_is_alive_but_not_ready(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        async with loopback(home, simulator.endpoints) as server:
            server.web.stop()
            status, told = await _json(server.port, "/readyz")
            assert (status, told["problems"]) == (503, ["stopping"])
            assert await _json(server.port, "/healthz") == (200, {"status": "ok"})
            assert (await exchange(server.port, get("/metrics"))).status == 200

    finish(work())


# ---------------------------------------------------------------------- metrics


def _numbers(text: str) -> dict[str, float]:
    """Read the metrics by name and labels, without those of the process."""
    return {
        sample.name + "".join(f" {one}={value}" for one, value in sorted(sample.labels.items())): (
            sample.value
        )
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if family.name.startswith("marketdata_")
    }


def test_metrics_count_calls(tmp_path: Path, key: str) -> None:
    async def numbers(port: int) -> tuple[dict[str, float], str]:
        told = await exchange(port, get("/metrics"))
        assert told.headers["content-type"].startswith("text/plain; version=0.0.4")
        return _numbers(told.body.decode()), told.body.decode()

    async def work() -> None:
        async with operated(tmp_path, "--sim", "--access") as server:
            who = {"Authorization": f"Bearer {key}"}

            async def calls(name: str, known: bool = True, **arguments: Any) -> Answer:
                asked = ask("tools/call", name=name, arguments=arguments)
                return await exchange(server.port, with_headers(asked, **(who if known else {})))

            assert (await numbers(server.port))[0]["marketdata_mcp_requests_under_way"] == 1
            for _ in range(3):
                assert (await calls("get_ticker", pair="BTC/USDT")).status == 200
            await calls("get_candles", pair="BTC/USDT", limit=5, exchange="binance")
            await calls("get_ticker", pair=f"{CANARY}/USDT", exchange="binance")
            await calls("get_ticker", known=False)
            assert (await calls("get_ticker", known=False, pair="BTC/USDT")).status == 401
            watch = await calls("watch_start", kind="ticker", pair="BTC/USDT", exchange="binance")
            assert watch.message["result"]["structuredContent"]["watch"]
            published, text = await numbers(server.port)
            for name, value in {
                "marketdata_mcp_calls_total code=OK tool=get_ticker": 3,
                "marketdata_mcp_calls_total code=OK tool=get_candles": 1,
                "marketdata_mcp_calls_total code=OK tool=watch_start": 1,
                "marketdata_mcp_calls_total code=PAIR_NOT_SUPPORTED tool=get_ticker": 1,
                "marketdata_mcp_calls_total code=MISSING_PARAMETER tool=get_ticker": 1,
                "marketdata_mcp_call_seconds_count tool=get_ticker": 5,
                "marketdata_mcp_refused_total code=UNAUTHORIZED": 1,
                "marketdata_mcp_units_total tier=hero": 6,
                "marketdata_mcp_watches": 1,
                "marketdata_streams exchange=binance kind=ticker state=live": 1,
                "marketdata_upstream_breaker_open exchange=binance": 0,
                "marketdata_upstream_under_way exchange=binance": 0,
            }.items():
                assert published[name] == value, name
            assert published["marketdata_upstream_requests_total exchange=binance"] >= 4
            # No label names anybody, nor what was asked for.
            secret = key.removeprefix("mdk_")
            for canary in (CANARY, secret, secret[:10], "BTC"):
                assert canary not in text
            assert len(text) < 40_000
            stopped = await calls(
                "watch_stop", watch=watch.message["result"]["structuredContent"]["watch"]
            )
            assert stopped.status == 200
            published, _ = await numbers(server.port)
            assert published["marketdata_mcp_watches"] == 0

    finish(work())


# ---------------------------------------------------------------------- the log


GARBAGE = {
    "no HTTP": b"\x16\x03\x01" + CANARY.encode() + b"\r\n\r\n",
    "a path": get(f"/{CANARY}"),
    "a host": get("/mcp").replace(b"127.0.0.1", f"{CANARY}.example".encode()),
    "an upgrade": get("/mcp", Connection="Upgrade", Upgrade="websocket"),
    "no JSON": post(f'{{"{CANARY}"'.encode()),
    "no message": post(json.dumps([{"jsonrpc": CANARY}]).encode()),
    "no session": post(b"{}", f"/messages/?session_id={CANARY}"),
    "no method": ask(CANARY, MODERN),
    "no method of the handshake": ask(CANARY, HANDSHAKE),
    "no tool": ask("tools/call", name=CANARY, arguments={}),
    "no argument": ask("tools/call", HANDSHAKE, name="get_ticker", arguments={CANARY: CANARY}),
    "no pair": ask("tools/call", name="get_ticker", arguments={"pair": f"{CANARY}/USDT"}),
    "no resource": ask("resources/read", HANDSHAKE, uri=f"market://{CANARY}"),
    "a token": with_headers(ask("tools/list"), Authorization=f"Bearer {CANARY}"),
}


@pytest.mark.parametrize("access", [False, True])
def test_every_log_line_is_json_without_the_clients_text(
    tmp_path: Path, key: str, access: bool
) -> None:
    async def work() -> None:
        options = ("--sim", "--sse", "--log-json", *(["--access"] if access else []))
        async with operated(tmp_path, *options) as server:
            for sent in GARBAGE.values():
                for who in (key, None):
                    headers = {} if who is None else {"Authorization": f"Bearer {who}"}
                    async with connected(server.port) as peer:
                        peer.writer.write(with_headers(sent, **headers))
                        peer.writer.write_eof()
                        await peer.is_closed()
            assert (await exchange(server.port, get("/healthz"))).status == 200
            assert await server.ends() == 0
        assert server.records
        for record in server.records:
            assert {"time", "level", "logger", "message"} <= set(record)
            assert record["level"] in ("INFO", "WARNING")
        text = "\n".join(server.lines).replace(f'"account": "{CANARY}"', "")
        assert CANARY not in text
        assert key.removeprefix("mdk_")[11:] not in text

    finish(work())


@pytest.mark.parametrize("version", VERSIONS)
def test_logged_calls_have_the_id_of_their_request(tmp_path: Path, key: str, version: str) -> None:
    async def work() -> None:
        async with operated(tmp_path, "--sim", "--access", "--log-json") as server:
            answers: dict[str, str] = {}

            async def calls(peer: Peer, tool: str, named: str = "", **arguments: Any) -> None:
                headers = {"Authorization": f"Bearer {key}"}
                headers |= {"X-Request-Id": named} if named else {}
                asked = ask("tools/call", version, name=tool, arguments=arguments)
                told = await peer.asks(with_headers(asked, **headers))
                answers[told.headers["x-request-id"]] = tool

            async with connected(server.port) as peer, connected(server.port) as other:
                await calls(peer, "get_quote", "mine.1_2-3", pair="BTC/USDT")
                await calls(peer, "get_ticker", pair="BTC/USDT")
                await calls(peer, "get_trades", "not good enough", pair="BTC/USDT")
                await calls(peer, "get_orderbook", 65 * "x", pair="BTC/USDT")
                await asyncio.gather(
                    *[calls(one, "get_usage", f"n{one is peer}") for one in (peer, other)]
                )
                await calls(peer, "get_candles", "wrong")
            await until(lambda: len(server.calls) == 7)
            assert {one["requestId"]: one["tool"] for one in server.calls} == answers
            assert set(answers) >= {"mine.1_2-3", "nTrue", "nFalse", "wrong"}
            assert not set(answers) & {"not good enough", 65 * "x"}
            for one in server.calls:
                assert set(one) >= {"time", "code", "ms"}
                if one["code"] == "OK":
                    assert one["account"] == CANARY
                    assert one["key"] == key[4:14]
                    assert one["units"] == (0 if one["tool"] == "get_usage" else 1)
            assert Counter(one["code"] for one in server.calls) == {"OK": 6, "MISSING_PARAMETER": 1}

    finish(work())


def test_a_bug_is_one_line_of_the_log(home: Path) -> None:
    async def work() -> None:
        for version in VERSIONS:
            async with operated(home, "--sim", "--log-json", program=BROKEN) as server:
                asked = ask("tools/call", version, **TICKER)
                told = await exchange(server.port, asked)
                assert told.message["result"]["isError"] is True
                assert CANARY.encode() not in told.body
                assert b"RuntimeError" not in told.body
                assert await server.ends() == 0
            [bug] = [one for one in server.records if one["level"] == "ERROR"]
            assert f"RuntimeError: {CANARY}-bug" in bug["exc_info"]
            assert bug["requestId"] == told.headers["x-request-id"]
            [call] = server.calls
            assert (call["tool"], call["code"]) == ("get_ticker", "INTERNAL_ERROR")

    finish(work())


@pytest.fixture
def spoken(home: Path) -> Iterator[list[dict[str, Any]]]:
    """Return the log of a call to a server on stdio."""
    command_line = [str(COMMAND), "--sim", "--log-json"]
    with running(command_line, home) as process:
        sent = line(1, "tools/call", **TICKER) + b"no JSON\n" + line(2, "tools/list")
        out, err = process.communicate(sent, PATIENCE)
        assert process.returncode == 0
        assert out.count(b"\n") >= 2
        yield [json.loads(one) for one in err.decode().splitlines()]


def test_stdio_logs_json_too(spoken: list[dict[str, Any]]) -> None:
    [call] = [one for one in spoken if one["logger"] == "marketdata_mcp.calls"]
    assert (call["tool"], call["code"]) == ("get_ticker", "OK")


def test_metrics_describe_the_exchanges(home: Path) -> None:
    async def work() -> str:
        with SimulatedExchange() as sim:
            endpoints = {"binance": sim.endpoints["binance"], "okx": sim.endpoints["okx"]}
            client = AsyncClient(endpoints=endpoints, home=home)
            service, metrics = app.Service(client), Metrics()
            async with service.lifespan() as served:
                for name in endpoints:
                    await client.ticker("BTC/USDT", exchange=name)
                return metrics.text(served).decode()

    text = finish(work())
    for name in ("binance", "okx"):
        assert f'marketdata_upstream_requests_total{{exchange="{name}"}} ' in text
        assert f'marketdata_upstream_breaker_open{{exchange="{name}"}} 0.0' in text
    # Only one of them has a window in which it adds requests up.
    assert 'marketdata_upstream_budget_used_ratio{exchange="binance"} ' in text
    assert 'marketdata_upstream_budget_used_ratio{exchange="okx"} ' not in text


# ---------------------------------------------------------------------- a log that nobody reads


@pytest.mark.cold
@pytest.mark.parametrize("options", [(), ("--log-json",)], ids=["text", "json"])
def test_an_unread_log_does_not_block_the_server(tmp_path: Path, options: tuple[str, ...]) -> None:
    """A pipe holds 64 KiB: each of 700 calls that fail writes a line, with a traceback in text."""
    program = [sys.executable, "-c", BROKEN, "--http", "127.0.0.1:0", "--sim", *options]

    async def work(port: int) -> None:
        async with connected(port) as peer:
            for _ in range(calls):
                assert (await peer.asks(ask("tools/call", **TICKER))).status == 200

    with running(program, tmp_path) as server:
        assert server.stderr
        # Where a pipe cannot be made smaller it holds 64 KiB.
        calls = 700
        if sys.platform == "linux":
            import fcntl

            fcntl.fcntl(server.stderr, fcntl.F_SETPIPE_SZ, 4096)
            calls = 50
        found = None
        while found is None:
            found = re.search(rb"serving http://127.0.0.1:(\d+)/", server.stderr.readline())
        finish(work(int(found[1])))
        # It ends, too.
        server.terminate()
        assert server.wait(PATIENCE) == 0


def test_malformed_requests_are_not_logged(tmp_path: Path) -> None:
    async def work() -> None:
        async with operated(tmp_path, "--sim") as server:
            for sent in (b"{}\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
                assert (await exchange(server.port, sent)).status == 400
            assert (await exchange(server.port, get("/healthz"))).status == 200
        assert len(server.lines) == 1, server.lines

    finish(work())
