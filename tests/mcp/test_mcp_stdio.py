"""The server as a host starts it: a process, two pipes, signals."""

import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest
from mcp_doors import (
    COMMAND,
    ERAS,
    PATIENCE,
    Silent,
    content,
    environment,
    finish,
    over_stdio,
    request,
    running,
)

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def _messages(out: bytes) -> list[dict[str, Any]]:
    """Read every line; each has to be a JSON-RPC message."""
    found = [json.loads(line) for line in out.splitlines()]
    assert all(one["jsonrpc"] == "2.0" for one in found)
    return found


def _ticker(number: int) -> bytes:
    return request(number, "tools/call", name="get_ticker", arguments={"pair": "BTC/USDT"})


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_lists_and_calls(home: Path, era: str) -> None:
    async def work() -> None:
        async with over_stdio(home, "--sim", era=era) as client:
            assert len((await client.list_tools()).tools) == 19
            one = await client.call_tool("get_ticker", {"pair": "BTC/USDT"})
            assert content(one)["simulated"] is True
            asked = [client.call_tool("get_quote", {"pair": "ETH/USDT"}) for _ in range(16)]
            for each in await asyncio.gather(*asked):
                assert content(each)["pair"] == "ETH/USDT"

    finish(work())


def test_numbers_are_numbers_as_in_the_schemas(home: Path) -> None:
    async def work() -> None:
        async with over_stdio(home, "--sim", MARKETDATA_NUMBERS="decimal") as client:
            one = await client.call_tool("get_ticker", {"pair": "BTC/USDT"})
            assert isinstance(content(one)["last"], float)
            book = await client.call_tool("get_orderbook", {"pair": "BTC/USDT"})
            assert isinstance(content(book)["bids"][0][0], float)

    finish(work())


def test_the_default_exchange_is_an_option(home: Path) -> None:
    async def work() -> str:
        async with over_stdio(home, "--sim", "--exchange", "okx") as client:
            name: str = content(await client.call_tool("get_quote", {"pair": "BTC/USDT"}))[
                "exchange"
            ]
            return name

    assert finish(work()) == "okx"


def test_the_end_of_the_input_waits_for_the_answers(home: Path) -> None:
    with running([str(COMMAND), "--sim"], home) as process:
        out, err = process.communicate(b"".join(map(_ticker, range(20))), PATIENCE)
    found = _messages(out)
    assert {one["id"] for one in found} == set(range(20))
    assert all("result" in one for one in found)
    assert err == b""
    assert process.returncode == 0


def test_lines_that_are_no_messages_are_refused_and_the_server_continues(home: Path) -> None:
    lines = [
        b"{rubbish\n",
        b"\n",
        b"\xff\xfe\n",
        b"[" * 100_000 + b"\n",
        b"[]\n",
        b'{"jsonrpc":"2.0","id":7}\n',
        b'{"jsonrpc":"2.0","id":true,"method":3}\n',
        request(1, "tools/list"),
        b'{"jsonrpc":"2.0","id":8,"metho',
    ]
    with running([str(COMMAND)], home) as process:
        out, err = process.communicate(b"".join(lines), PATIENCE)
    refused = [(one["error"]["code"], one["id"]) for one in _messages(out) if "error" in one]
    assert refused == [
        (-32700, None),
        (-32700, None),
        (-32700, None),
        (-32600, None),
        (-32600, 7),
        (-32600, None),
        (-32700, None),
    ]
    assert [one["id"] for one in _messages(out) if "result" in one] == [1]
    assert err == b""
    assert process.returncode == 0


def test_a_request_with_an_invalid_id_is_answered_with_it(home: Path) -> None:
    ids = [(b"1.5", 1.5), (b"2.0", 2), (b"true", None), (b"[1]", None), (b"null", None)]
    lines = [b'{"jsonrpc":"2.0","id":%s,"method":"ping"}\n' % one for one, _ in ids]
    lines += [request(1, "tools/list"), b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n']
    with running([str(COMMAND)], home) as process:
        out, _ = process.communicate(b"".join(lines), PATIENCE)
    answers = _messages(out)
    assert [one["id"] for one in answers if "error" in one] == [known for _, known in ids]
    assert {one["error"]["code"] for one in answers if "error" in one} == {-32600}
    assert [one["id"] for one in answers if "result" in one] == [1]


def test_half_a_character_in_a_request_is_answered_with_its_id(home: Path) -> None:
    call = b'{"jsonrpc":"2.0","id":%s,"method":"tools/call","params":{"name":"\\ud800"}}\n'
    ids = [(b"7", 7), (b'"a"', "a"), (b'"\\udfff"', None)]
    with running([str(COMMAND)], home) as process:
        out, _ = process.communicate(b"".join(call % one for one, _ in ids), PATIENCE)
    answers = _messages(out)
    assert [one["id"] for one in answers] == [known for _, known in ids]
    assert all("half a character" in one["error"]["message"] for one in answers)


def test_an_endless_line_is_discarded_as_it_arrives(home: Path) -> None:
    with running([str(COMMAND)], home) as process:
        assert process.stdin
        memory = psutil.Process(process.pid).memory_info
        process.stdin.write(request(1, "tools/list"))
        for _ in range(200):
            process.stdin.write(b"x" * 1_000_000)
        process.stdin.flush()
        grown = memory().rss
        out, _ = process.communicate(b"\n" + request(2, "tools/list"), PATIENCE)
    assert grown < 200_000_000
    answers = _messages(out)
    assert {one["id"] for one in answers} == {1, 2, None}
    [refused] = [one for one in answers if one["id"] is None]
    assert "at most" in refused["error"]["message"]


def test_a_line_can_be_long(home: Path) -> None:
    asked = request(1, "tools/call", name="get_quote", arguments={"pair": "B" * 3_000_000})
    with running([str(COMMAND)], home) as process:
        out, _ = process.communicate(asked + request(2, "tools/list"), PATIENCE)
    assert {one["id"] for one in _messages(out)} == {1, 2}


_PRINTING = """# warm
import os, subprocess, sys
import marketdata_mcp
from marketdata._client.session import Session

ask = Session.ask

async def printing(self, *args, **kwargs):
    print("stray print")
    sys.__stdout__.write("stray write\\n")
    sys.__stdout__.flush()
    os.write(1, b"stray descriptor\\n")
    subprocess.run(["echo", "stray child"], check=True)
    assert sys.stdin.read() == ""
    return await ask(self, *args, **kwargs)

Session.ask = printing
marketdata_mcp.main(["--sim"])
"""


def test_only_the_protocol_is_written_to_stdout(home: Path) -> None:
    with running([sys.executable, "-c", _PRINTING], home) as process:
        out, err = process.communicate(_ticker(1) + _ticker(2), PATIENCE)
    assert {one["id"] for one in _messages(out)} == {1, 2}
    assert all(not one["result"]["isError"] for one in _messages(out))
    for stray in (b"print", b"write", b"descriptor", b"child"):
        assert err.count(b"stray " + stray) == 2


@pytest.mark.cold
@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_an_idle_server(home: Path, number: signal.Signals) -> None:
    with running([str(COMMAND), "--sim"], home) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(_ticker(1))
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(number)
        # stdin stays open: the server must not wait for its client to leave.
        assert process.wait(PATIENCE) == 0
        assert process.stdout.read() == b""
        assert process.stderr.read() == b""


async def _asked_in_vain(silent: Silent, home: Path, endpoints: str) -> asyncio.subprocess.Process:
    """Start a server, and a call that waits for an exchange."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "--exchange",
        "binance",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(home, MARKETDATA_ENDPOINTS=endpoints),
    )
    assert process.stdin
    process.stdin.write(_ticker(1))
    await silent.asked.wait()
    return process


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_ends_a_server_with_a_request_in_flight(
    tmp_path: Path, number: signal.Signals
) -> None:
    async def work() -> tuple[int | None, bytes, bytes]:
        silent = Silent()
        async with silent.listening() as endpoints:
            process = await _asked_in_vain(silent, tmp_path, endpoints)
            process.send_signal(number)
            await silent.left.wait()
            assert process.stdin
            assert process.stdout
            assert process.stderr
            out, err = await process.stdout.read(), await process.stderr.read()
            status = await process.wait()
            process.stdin.close()
            return status, out, err

    status, out, err = finish(work())
    assert status == 0
    assert err == b""
    (told,) = _messages(out)
    assert told["id"] == 1
    assert "error" in told


def test_a_cancelled_call_ends_its_request_and_the_end_of_input_the_server(
    tmp_path: Path,
) -> None:
    async def work() -> tuple[int | None, bytes, bytes]:
        silent = Silent()
        async with silent.listening() as endpoints:
            process = await _asked_in_vain(silent, tmp_path, endpoints)
            cancel = {"method": "notifications/cancelled", "params": {"requestId": 1}}
            line = json.dumps({"jsonrpc": "2.0", **cancel}).encode() + b"\n"
            out, err = await process.communicate(line)
            await silent.left.wait()
            return process.returncode, out, err

    assert finish(work()) == (0, b"", b"")


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_cancels_a_call(tmp_path: Path, era: str) -> None:
    async def work() -> None:
        silent = Silent()
        async with silent.listening() as endpoints:
            variables = {"MARKETDATA_ENDPOINTS": endpoints, "MARKETDATA_EXCHANGE": "binance"}
            async with over_stdio(tmp_path, era=era, **variables) as client:
                call = asyncio.create_task(client.call_tool("get_status", {}))
                await silent.asked.wait()
                call.cancel()
                await asyncio.wait([call])
                await silent.left.wait()
                assert len((await client.list_tools()).tools) == 19

    finish(work())


@pytest.mark.cold
def test_a_missing_input_is_the_end(home: Path) -> None:
    done = subprocess.run(
        [COMMAND],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.cold
def test_files_work_as_well_as_pipes(home: Path, tmp_path: Path) -> None:
    questions, answers = tmp_path / "questions", tmp_path / "answers"
    questions.write_bytes(_ticker(1) + _ticker(2))
    with questions.open("rb") as incoming, answers.open("wb") as outgoing:
        done = subprocess.run(
            [COMMAND, "--sim"],
            env=environment(home),
            stdin=incoming,
            stdout=outgoing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=PATIENCE,
        )
    assert (done.returncode, done.stderr) == (0, b"")
    assert {one["id"] for one in _messages(answers.read_bytes())} == {1, 2}


@pytest.mark.parametrize(("closed", "status"), [("<&-", 2), (">&-", 2), ("2>&-", 0)])
def test_a_closed_descriptor(home: Path, closed: str, status: int) -> None:
    done = subprocess.run(
        f'"{COMMAND}" {closed}',
        shell=True,
        env=environment(home),
        input=request(1, "tools/list") if closed == "2>&-" else None,
        capture_output=True,
        check=False,
        timeout=PATIENCE,
    )
    assert done.returncode == status
    assert b"Traceback" not in done.stderr
    if closed == "2>&-":
        assert [one["id"] for one in _messages(done.stdout)] == [1]
    else:
        assert b"must be open" in done.stderr
