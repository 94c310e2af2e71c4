"""Shared limits: no caller can take all places."""

import asyncio
import json
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from mcp_doors import Silent, finish
from mcp_guarded import SLOW, Guarded, error, guarded
from mcp_live import until
from mcp_loopback import (
    MODERN,
    Peer,
    answer,
    ask,
    connected,
    exchange,
    get,
)
from starlette.types import Receive, Scope, Send

from marketdata.sim import SimulatedExchange
from marketdata_mcp.live.places import has_share
from marketdata_mcp.live.watches import Limits
from marketdata_mcp.service.bounds import Bounded, Ceilings
from marketdata_mcp.service.rates import Rates
from marketdata_mcp.service.shares import Shares

LISTEN = ask("subscriptions/listen", MODERN, notifications={"resourcesListChanged": True})
ACCOUNTS = tuple(f"account{number}" for number in range(6))


@pytest.mark.parametrize("places", [1, 2, 10, 100, 1000])
def test_a_new_caller_always_gets_a_watch(places: int) -> None:
    shares = Shares(places)
    had = []
    for owner in range(places.bit_length()):
        while shares.take(str(owner)):
            pass
        had.append(shares.held(str(owner)))
        # Who is alone has half, the next a half of what is left at least.
        assert had[-1] >= 1
    assert had[0] <= (places + 1) // 2
    assert len(shares) <= places
    for owner, held in enumerate(had):
        for _ in range(held):
            shares.give_back(str(owner))
    assert len(shares) == 0
    assert not has_share(1, places - 1, places)


@pytest.mark.parametrize(
    ("crowd", "other"),
    [
        pytest.param([("10.0.0.1", b"a")], ("10.0.0.2", b"b"), id="an address"),
        pytest.param([("2001:db8::1", b"a"), ("2001:db8::2", b"a")], ("2001:db8:0:1::1", b"a"),
                     id="a network of IPv6"),
        pytest.param([("10.0.0.1", b"a")], ("10.0.0.1", b"b"), id="a key behind a proxy"),
        pytest.param([("10.0.0.1", b"%d" % n) for n in range(500)], ("10.0.0.2", b"a"),
                     id="an address with made-up keys"),
    ],
)  # fmt: skip
def test_who_sends_one_request_does_not_wait_for_a_crowd_of_anothers(
    crowd: list[tuple[str, bytes]], other: tuple[str, bytes]
) -> None:
    begun: list[tuple[str, bytes]] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        begun.append((scope["client"][0], scope["headers"][0][1]))

    async def nothing(*_: object) -> Any:
        raise AssertionError

    async def work() -> None:
        bounded = Bounded(app, Ceilings())
        sent = [crowd[number % len(crowd)] for number in range(500)] + [other]
        async with asyncio.TaskGroup() as group:
            for host, key in sent:
                headers = [(b"authorization", key)]
                scope = {"type": "http", "path": "/mcp", "headers": headers, "client": (host, 1)}
                group.create_task(bounded(scope, nothing, nothing))
        assert sorted(begun) == sorted(sent)  # nobody is left out
        assert begun.index(other) < 10

    asyncio.run(work())


async def _listens(server: Guarded, stack: AsyncExitStack, name: str) -> tuple[Peer, str]:
    """Open a stream of events; return the result."""
    peer = await stack.enter_async_context(connected(server.port))
    peer.writer.write(server.signed(LISTEN, name))
    said = await answer(peer.reader, re.compile(rb"acknowledged"))
    if b"acknowledged" in said.body:
        return peer, "OK"
    data = error(said)
    assert data["retryAfter"] > 0
    return peer, str(data["code"])


def test_streams_of_events_count_as_calls_and_are_shared(
    home: Path, simulator: SimulatedExchange
) -> None:
    async def work() -> None:
        most = {"streams_a_caller": 5, "streams": 12}
        async with guarded(home, simulator, **most) as server, AsyncExitStack() as stack:
            for name in ACCOUNTS[:3]:
                await server.newcomer(name)
            assert await server.registry.used(ACCOUNTS[0]) == (0, 0)
            for number in range(8):
                _, how = await _listens(server, stack, ACCOUNTS[0])
                assert how == ("OK" if number < 5 else "RATE_LIMIT_EXCEEDED")
            # What was refused for want of a place is not charged.
            assert (await server.registry.used(ACCOUNTS[0])).week == 5
            for name in ACCOUNTS[1:3]:
                assert (await _listens(server, stack, name))[1] == "OK"

    finish(work())


def test_five_accounts_cannot_take_all_watches(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        limits = Limits(in_all=30, a_caller=6, first=0.0)
        async with guarded(home, simulator, limits=limits) as server:
            asked = {"kind": "ticker", "pair": "BTC/USDT", "exchange": "binance"}
            for name in ACCOUNTS:
                await server.newcomer(name)
            for name in ACCOUNTS[:5]:
                for _ in range(8):
                    said = await server.call("watch_start", name, **asked)
                    if said.message["result"].get("isError"):
                        assert error(said)["code"] in ("QUOTA_EXCEEDED", "RATE_LIMIT_EXCEEDED")
            said = await server.call("watch_start", ACCOUNTS[5], **asked)
            assert not said.message["result"].get("isError"), said

    finish(work())


def test_one_account_cannot_take_all_requests(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        silent = Silent()
        async with silent.listening() as told:

            class Nobody:
                endpoints = json.loads(told)

            async with (
                guarded(home, Nobody(), requests=20) as server,  # type: ignore[arg-type]
                AsyncExitStack() as stack,
            ):
                for name in ACCOUNTS[:2]:
                    await server.newcomer(name)
                call = ask("tools/call", name="get_ticker", arguments={"pair": "BTC/USDT"})
                for _ in range(30):
                    peer = await stack.enter_async_context(connected(server.port))
                    peer.writer.write(server.signed(call, ACCOUNTS[0]))
                await until(lambda: server.served.under_way == 10)
                await asyncio.sleep(0)
                reader, writer = await asyncio.open_connection(
                    "127.0.0.1", server.port, local_addr=("127.0.0.2", 0)
                )
                writer.write(server.signed(ask("tools/list"), ACCOUNTS[1]))
                assert (await answer(reader)).status == 200
                writer.close()
                assert (await exchange(server.port, get("/healthz"))).status == 200

    finish(work())


def test_everything_expensive_has_a_rate_limit(home: Path, simulator: SimulatedExchange) -> None:
    async def work() -> None:
        async with guarded(home, simulator) as server:
            await server.newcomer(tier=SLOW)
            async with connected(server.port) as peer:
                said = await peer.asks(server.signed(ask("tools/list")))
                while said.status == 200:
                    said = await peer.asks(server.signed(ask("tools/list")))
                assert said.status == 503
                assert error(said)["code"] == "RATE_LIMIT_EXCEEDED"
                assert 0 < float(said.headers["retry-after"]) <= 15

    finish(work())


def test_rates_are_limited_and_old_callers_are_forgotten() -> None:
    now = 1000.0
    rates = Rates(lambda: now)
    for _ in range(2):
        # 120 a minute: a hundred at once, and then one each half second.
        assert not any(rates.wait("ann", 120) for _ in range(100))
        assert rates.wait("ann", 120) == rates.wait("ann", 120) == 0.5
        now += 0.5
        assert rates.wait("ann", 120) == 0
        assert rates.wait("ann", 120) == 0.5
        assert rates.wait("bob", 120) == 0
        now += 60
    for number in range(30_000):
        rates.wait(str(number), 120)
    assert len(rates) <= 10_000
    assert rates.wait("29999", 120) == 0
