"""A server that gets whatever there is to get, and what has to be so of each of its answers."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
import re
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar, get_args

from fuzz_exchange import Poisoned
from hypothesis import HealthCheck, settings
from jsonschema import Draft202012Validator
from mcp_loopback import (
    HELLO,
    Answer,
    Loopback,
    Peer,
    answer,
    ask,
    connected,
    get,
    loopback,
    message,
    post,
    with_headers,
)
from mcp_types import jsonrpc_message_adapter
from mcp_types.methods import SERVER_RESULTS, validate_server_result

from marketdata import AsyncClient
from marketdata.errors import Code
from marketdata_mcp.app import ERROR_KEY, tools
from marketdata_mcp.live.watches import Limits
from marketdata_mcp.service.access.gate import Gate
from marketdata_mcp.service.access.oauth import TokenVerifier
from marketdata_mcp.service.access.registry import Registry
from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import Policy

T = TypeVar("T")

CASES: Counter[str] = Counter()
"""How many of which kind there were."""
WANTED = int(os.environ.get("FUZZ_CASES") or 400)
"""Cases in all. A few are the same each time; where a number is given, chance draws them."""

PATIENCE = 20.0
"""Seconds until something counts as hanging."""

_SHOWN = re.compile(
    r"Traceback|File \"|\b\w+\.py\b|pydantic|<class |object at 0x|\b[A-Z]\w*(?:Error|Exception)\b"
)
"""What is of Python, and nobody's business."""
_CODES = frozenset(get_args(Code)) - {"INTERNAL_ERROR"}
_OUTPUT = {one.name: Draft202012Validator(one.output_schema or {}) for one in tools()}
_POLICY = {
    "tiers": {"desk": {}},
    "oauth": {
        "issuer": "https://login.example/",
        "jwks_url": "http://127.0.0.1:9/jwks.json",  # where nobody answers
        "audience": "https://data.example/mcp",
        "scopes": {"read": "desk"},
    },
}


def cases(share: float) -> settings:
    """Return the settings of a test that has a share of all cases."""
    return settings(
        max_examples=max(5, math.ceil(WANTED * share)),
        deadline=None,
        database=None,
        derandomize="FUZZ_CASES" not in os.environ,
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )


class Log(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self.records.append(record)


class World:
    """A server, the loop that it runs on, and a connection to it."""

    def __init__(self, runner: asyncio.Runner, server: Loopback, key: str | None, log: Log) -> None:
        self.server = server
        self.key = key
        self._runner = runner
        self._log = log
        self._stack = AsyncExitStack()
        self._peer: Peer | None = None
        self._sessions = AsyncExitStack()
        self._session: Session | None = None

    @classmethod
    @contextmanager
    def begun(
        cls, home: Path, *, guarded: bool = False, exchange: Poisoned | None = None
    ) -> Iterator[World]:
        """Start a server, which asks the simulator unless an exchange is given."""
        log = Log()
        with asyncio.Runner() as runner:
            hosts = None if exchange is None else runner.run(exchange.start())
            client = AsyncClient("binance", endpoints=hosts, home=home, retries=0, sim=not hosts)
            gate, key = runner.run(_gate(home)) if guarded else (None, None)
            serving = loopback(
                home,
                {},
                client=client,
                gate=gate,
                limits=Limits(first=0.05, a_caller=5),
                header_seconds=0.2,
                body_seconds=0.2,
            )
            world = cls(runner, runner.run(serving.__aenter__()), key, log)
            logging.getLogger().addHandler(log)
            try:
                assert world.is_well()
                yield world
                assert world.is_well()
            finally:
                runner.run(world._leave_for_good())
                logging.getLogger().removeHandler(log)
                runner.run(serving.__aexit__(None, None, None))
                if exchange is not None:
                    runner.run(exchange.stop())

    def run(self, kind: str, work: Coroutine[Any, Any, T]) -> T:
        """Count a case and run it; one that hangs fails instead."""
        CASES[kind] += 1
        return self._runner.run(asyncio.wait_for(work, PATIENCE))

    # ------------------------------------------------------------------ asking

    async def sends(self, request: bytes, *, known: bool = True) -> Answer | None:
        """Send a request on the connection that there is; None where it was closed instead."""
        if known and self.key is not None:
            request = with_headers(request, Authorization=f"Bearer {self.key}")
        if self._peer is None:
            self._peer = await self._stack.enter_async_context(connected(self.server.port))
        try:
            self._peer.writer.write(request)
            told = await answer(self._peer.reader, _BEGUN, is_head=request[:5] == b"HEAD ")
        except (ConnectionError, asyncio.IncompleteReadError):
            await self._leaves()
            return None
        if told.headers.get("connection") == "close":
            await self._leaves()
        return told

    async def throws(self, data: bytes, *, and_leaves: bool) -> bytes:
        """Send bytes on a connection of their own, and read what comes until it ends."""
        async with connected(self.server.port) as peer:
            peer.writer.write(data)
            if and_leaves:
                peer.writer.write_eof()
            said = b""
            try:
                async with asyncio.timeout(0.5):
                    while part := await peer.reader.read(1 << 16):
                        said += part
            except (ConnectionError, TimeoutError):
                pass
            return said

    async def _leave_for_good(self) -> None:
        """See that nothing is left of all that was asked, nor of what nobody waited for."""
        await self._leaves()
        await self._sessions.aclose()
        async with asyncio.timeout(PATIENCE):
            while self.server.under_way or self.server.connections:
                await asyncio.sleep(0.01)
        gc.collect()

    async def goes_on(self) -> bool:
        """Return whether a call that needs no exchange is answered on the connection there is."""
        told = await self.sends(ask("tools/call", name="get_usage", arguments={}))
        return told is not None and "tier" in told.message["result"]["structuredContent"]

    async def session(self) -> Session:
        """Return a session of the HTTP+SSE transport, always the same."""
        if self._session is None:
            peer = await self._sessions.enter_async_context(connected(self.server.port))
            headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
            peer.writer.write(get("/sse", **headers))
            await peer.reader.readuntil(b"data: ")
            path = (await peer.reader.readline()).decode().strip()
            self._session = Session(peer, path)
            for sent in (
                message("initialize", "first", **HELLO),
                message("notifications/initialized", None),
            ):
                told = await self.sends(self._session.post(sent))
                assert told is not None
                assert told.status == 202
        return self._session

    async def _leaves(self) -> None:
        self._peer = None
        await self._stack.aclose()

    def is_well(self) -> bool:
        """Return whether a good call is answered."""

        async def work() -> bool:
            told = await self.sends(ask("tools/call", name="get_ticker", arguments=GOOD))
            assert told is not None
            return "structuredContent" in told.message["result"]

        return self._runner.run(asyncio.wait_for(work(), PATIENCE))

    # ------------------------------------------------------------------ judging

    def judge(self, sent: bytes, told: Answer | bytes, *canaries: str) -> None:
        """See that an answer and the log hold nothing that they should not."""
        text = (told if isinstance(told, bytes) else told.body).decode("utf-8", "replace")
        if isinstance(told, Answer):
            text += repr(told.headers)
            assert told.status < 500 or (told.status == 503 and "retry-after" in told.headers), told
        logged, self._log.records = self._log.records, []
        for record in logged:
            assert not record.exc_info, self._log.format(record)
            assert record.levelno <= logging.WARNING, record.getMessage()
        for line in (text, *(record.getMessage() for record in logged)):
            found = _SHOWN.search(line)
            assert found is None or found[0].encode() in sent, line
            assert not any(one in line for one in canaries), line


class Session:
    """A session of the HTTP+SSE transport."""

    def __init__(self, peer: Peer, path: str) -> None:
        self._peer = peer
        self._path = path
        self._asked = 0

    def post(self, body: bytes) -> bytes:
        """Return the request that sends it a message."""
        return post(body, self._path)

    async def until_it_answers(self, world: World) -> list[bytes]:
        """Return what it was told until it was told the answer to a question that is asked now."""
        self._asked += 1
        name = f"question-{self._asked}"
        told = await world.sends(self.post(message("ping", name)))
        assert told is not None
        assert told.status == 202
        events: list[bytes] = []
        while not events or name.encode() not in events[-1]:
            line = await self._peer.reader.readline()
            assert line, "the stream has ended"
            if line.startswith(b"data: "):
                events.append(line)
        return events


GOOD = {"pair": "BTC/USDT", "exchange": "binance"}

_BEGUN = re.compile(rb"event: endpoint|/acknowledged")
"""What a stream begins with that does not end."""


async def _gate(home: Path) -> tuple[Gate, str]:
    policy = Policy.model_validate(_POLICY)
    assert policy.oauth is not None
    store = SqliteStore(home / "access.sqlite")
    registry = Registry(policy, store)
    await registry.add_account("fuzz", "desk")
    key, _ = await registry.add_key("fuzz")
    return Gate(policy, store, TokenVerifier(policy.oauth)), key


def judge_message(message: dict[str, Any], method: str, version: str) -> None:
    """See that a JSON-RPC message is one, and an answer to a method of a revision."""
    jsonrpc_message_adapter.validate_json(json.dumps(message), by_name=False)
    if "result" in message and (method, version) in SERVER_RESULTS:
        validate_server_result(method, version, message["result"])
    data = (message.get("error") or {}).get("data")
    if isinstance(data, dict) and "code" in data:
        assert data["code"] in _CODES, message


def judge_call(message: dict[str, Any], tool: str) -> str:
    """See that what a tool answered is as it is promised; give the code of its error, or OK."""
    result = message["result"]
    if not result.get("isError"):
        _OUTPUT[tool].validate(result["structuredContent"])
        [block] = result["content"]
        assert json.loads(block["text"]) == result["structuredContent"]
        return "OK"
    [block] = result["content"]
    error = json.loads(block["text"])
    assert error == result["_meta"][ERROR_KEY]
    assert error["code"] in _CODES, error
    assert isinstance(error["message"], str)
    assert set(error) <= {"code", "message", "retryable", "retryAfter", "details"}
    assert len(block["text"]) <= 80_000
    return str(error["code"])
