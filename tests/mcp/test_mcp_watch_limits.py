"""Watches that fail, are refused, are too many or unread, and their cleanup."""

import asyncio
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp_doors import COMMAND, ERAS, content, environment, failure, finish, request, serving
from mcp_live import KINDS, endpoints, frozen, near, nothing_left, read, start, subscriptions, until

from marketdata import (
    AsyncClient,
    DataUnavailableError,
    InvalidParameterError,
    QuotaExceededError,
    RateLimitExceededError,
)
from marketdata.sim import SimulatedExchange
from marketdata_mcp.live.watches import Limits, Watches

_REST: dict[str, Any] = {"exchange": "binance", "depth": 20, "timeframe": "1m"}


async def _nothing() -> None:
    pass


# ------------------------------------------------------------------------------- trouble


@pytest.mark.parametrize("kind", ["quote", "orderbook", "trades"])
def test_a_cut_connection_is_marked_as_stale_and_recovers(tmp_path: Path, kind: str) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path) as client:
            watch = await start(client, sim, kind=kind, pair="BTC/USDT")
            subject = (await read(client, watch))["subjects"][0]
            assert not subject["stale"]
            sim.faults.add("binance:/ws/*:status=503")  # until this is over nobody comes back
            sim.hang_up()
            async with asyncio.timeout(20):
                while not subject["stale"]:
                    [subject] = (await read(client, watch))["subjects"]
            assert subject["state"] == "reconnecting"
            assert subject["ageMs"] >= 0
            sim.faults.clear()
            async with asyncio.timeout(30):
                while subject["stale"]:
                    await sim.advance(1)
                    await asyncio.sleep(0.01)
                    [subject] = (await read(client, watch))["subjects"]
            assert subject["state"] == "live"

    finish(work())


def test_a_failed_stream_is_reported_once_and_ends_the_watch(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            AsyncClient("binance", endpoints=sim.endpoints, home=tmp_path) as client,
        ):
            watches = Watches(Limits(first=0), _nothing)
            held = await watches.start(client, "local", "ticker", ["BTC/USDT"], **_REST)
            waiting = asyncio.create_task(watches.read("local", held.name, None, 55))
            await until(lambda: subscriptions(sim))
            await client.close()
            with pytest.raises(DataUnavailableError, match="closed"):
                await waiting
            with pytest.raises(InvalidParameterError, match="no watch"):
                await watches.read("local", held.name, None, None)
            assert watches.of("local") == []
            await watches.close()

    finish(work())


def test_a_stream_that_cannot_start_fails_the_start(tmp_path: Path) -> None:
    async def work() -> None:
        faults = ["binance:/ws/*:status=503"]
        async with frozen(faults=faults) as sim, near(sim, tmp_path, timeout=1, first=30) as client:
            asked = {"kind": "ticker", "pair": "BTC/USDT"}
            error = failure(await client.call_tool("watch_start", asked))
            assert error["code"] == "EXCHANGE_UNAVAILABLE"
            assert error["retryable"] is True
            assert content(await client.call_tool("watch_list", {})) == {"watches": []}

    finish(work())


@pytest.mark.parametrize(
    ("tool", "asked", "code", "parameter"),
    [
        ("watch_start", {"pair": "BTC/USDT"}, "MISSING_PARAMETER", "kind"),
        ("watch_start", {"kind": "ticker"}, "MISSING_PARAMETER", "pair"),
        ("watch_start", {"kind": "weather", "pair": "BTC/USDT"}, "INVALID_PARAMETER", "kind"),
        ("watch_start", {"kind": "ticker", "pairs": []}, "MISSING_PARAMETER", "pair"),
        (
            "watch_start",
            {"kind": "ticker", "pairs": ["BTC/USDT"] * 51},
            "INVALID_PARAMETER",
            "pairs",
        ),
        (
            "watch_start",
            {"kind": "ticker", "pair": "BTC/USDT", "depth": 5},
            "INVALID_PARAMETER",
            "depth",
        ),
        (
            "watch_start",
            {"kind": "orderbook", "pair": "BTC/USDT", "depth": 0},
            "INVALID_PARAMETER",
            "depth",
        ),
        (
            "watch_start",
            {"kind": "quote", "pair": "BTC/USDT", "timeframe": "1m"},
            "INVALID_PARAMETER",
            "timeframe",
        ),
        ("watch_start", {"kind": "ticker", "pair": "BTC/USDT", "x": 1}, "INVALID_PARAMETER", "x"),
        ("watch_read", {}, "MISSING_PARAMETER", "watch"),
        ("watch_read", {"watch": "ticker-0"}, "INVALID_PARAMETER", "watch"),
        ("watch_read", {"watch": "ticker-0", "timeout": -1}, "INVALID_PARAMETER", "timeout"),
        ("watch_read", {"watch": "ticker-0", "limit": 0}, "INVALID_PARAMETER", "limit"),
        ("watch_stop", {"watch": "x" * 9_000}, "INVALID_PARAMETER", "watch"),
        ("watch_list", {"all": True}, "INVALID_PARAMETER", "all"),
    ],
)
def test_invalid_calls_are_refused(
    simulator: SimulatedExchange,
    home: Path,
    tool: str,
    asked: dict[str, Any],
    code: str,
    parameter: str,
) -> None:
    async def work() -> dict[str, Any]:
        async with near(simulator, home) as client:
            return failure(await client.call_tool(tool, asked))

    error = finish(work())
    assert error["code"] == code
    assert error["details"] == {"tool": tool, "parameter": parameter}
    assert len(error["message"]) < 400


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({"kind": "ticker", "pair": "BTC/USTD"}, "PAIR_NOT_SUPPORTED"),
        ({"kind": "ticker", "pair": "BTC/USDT:USDT"}, "PAIR_NOT_SUPPORTED"),
        ({"kind": "trades", "pair": "BTC/USDT", "exchange": "krakn"}, "EXCHANGE_NOT_SUPPORTED"),
        ({"kind": "candles", "pair": "BTC/USDT", "timeframe": "7m"}, "TIMEFRAME_NOT_SUPPORTED"),
    ],
)
def test_an_unsupported_stream_fails_at_once(
    simulator: SimulatedExchange, home: Path, era: str, asked: dict[str, Any], code: str
) -> None:
    async def work() -> dict[str, Any]:
        async with near(simulator, home, era) as client:
            error = failure(await client.call_tool("watch_start", asked))
            assert content(await client.call_tool("watch_list", {})) == {"watches": []}
            return error

    assert finish(work())["code"] == code


@pytest.mark.parametrize("cursor", ["1.1", "x", "-1", "99", "1" * 5_000, "\u0661"])
def test_only_issued_cursors_are_accepted(tmp_path: Path, cursor: str) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path, first=0) as client:
            watch = await start(client, sim, kind="candles", pair="BTC/USDT")
            asked = {"watch": watch["watch"], "cursor": cursor}
            error = failure(await client.call_tool("watch_read", asked))
            assert error["details"] == {"tool": "watch_read", "parameter": "cursor"}

    finish(work())


# ------------------------------------------------------------------------------- limits


def test_an_unread_watch_stops(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path, idle=0.5, first=0) as client:
            asked = {"kind": "trades", "pair": "BTC/USDT"}
            watch = content(await client.call_tool("watch_start", asked))
            # Whoever waits for news reads, however long that takes.
            assert (await read(client, watch, wait=True, timeout=1))["timedOut"] is True
            await nothing_left(sim)
            error = failure(await client.call_tool("watch_read", {"watch": watch["watch"]}))
            assert error["code"] == "INVALID_PARAMETER"
            assert "0.5 seconds" in error["message"]
            assert "watch_start" in error["message"]

    finish(work())


def test_the_watches_of_a_caller_are_limited(tmp_path: Path) -> None:
    async def work() -> None:
        async with frozen() as sim, near(sim, tmp_path, a_caller=2, first=0) as client:
            asked = {"kind": "ticker", "pair": "BTC/USDT"}
            starting = [client.call_tool("watch_start", asked) for _ in range(4)]
            results = await asyncio.gather(*starting)
            refused = [failure(one) for one in results if one.is_error]
            assert len(refused) == 2
            for error in refused:
                assert error["code"] == "QUOTA_EXCEEDED"
                assert error["retryable"] is False
                assert error["details"] == {"limit": 2}
                assert "watch_stop" in error["message"]
            [first, _] = [content(one) for one in results if not one.is_error]
            await client.call_tool("watch_stop", {"watch": first["watch"]})
            content(await client.call_tool("watch_start", asked))

    finish(work())


def test_callers_have_their_own_watches_and_share_the_total(tmp_path: Path) -> None:
    async def work() -> None:
        async with (
            frozen() as sim,
            AsyncClient("binance", endpoints=sim.endpoints, home=tmp_path) as client,
        ):
            watches = Watches(Limits(in_all=3, a_caller=2, first=0), _nothing)
            hers = await watches.start(client, "ann", "ticker", ["BTC/USDT"], **_REST)
            his = await watches.start(client, "bob", "ticker", ["BTC/USDT"], **_REST)
            assert watches.of("ann") == [hers]
            assert watches.of("bob") == [his]
            with pytest.raises(InvalidParameterError, match="no watch"):
                watches.find("bob", hers.name)
            with pytest.raises(RateLimitExceededError) as caught:
                await watches.start(client, "bob", "ticker", ["BTC/USDT"], **_REST)
            assert caught.value.retryable
            await watches.stop("bob", his.name)
            await watches.start(client, "ann", "ticker", ["ETH/USDT"], **_REST)
            with pytest.raises(QuotaExceededError):
                await watches.start(client, "ann", "ticker", ["ETH/USDT"], **_REST)
            await watches.close()
            await nothing_left(sim)

    finish(work())


# ------------------------------------------------------------------------------- lifetimes


@pytest.mark.parametrize("era", ERAS)
def test_a_watch_outlives_the_client_that_started_it(home: Path, era: str) -> None:
    async def work() -> None:
        async with frozen() as sim:
            arguments = ("--http", "127.0.0.1:0")
            async with serving(home, *arguments, **endpoints(sim)) as (url, _):
                async with Client(url, mode=era) as first:
                    watch = await start(first, sim, kind="ticker", pair="BTC/USDT")
                async with Client(url, mode=era) as second:
                    assert (await read(second, watch))["subjects"][0]["ticker"]["last"] > 0
            await nothing_left(sim)

    finish(work())


@pytest.mark.parametrize("era", ERAS)
def test_the_end_of_the_server_leaves_no_task_and_no_socket(tmp_path: Path, era: str) -> None:
    async def work() -> None:
        async with frozen() as sim:
            before = asyncio.all_tasks()
            async with near(sim, tmp_path, era, first=0) as client:
                for kind in KINDS:
                    await start(client, sim, kind=kind, pair="BTC/USDT")
                await until(lambda: len(subscriptions(sim)) >= len(KINDS))
                assert asyncio.all_tasks() - before
            await nothing_left(sim)
            await until(lambda: not _ours(asyncio.all_tasks() - before))

    finish(work())


def _ours(tasks: set[Any]) -> set[Any]:
    """Leave out those of the simulator, which serves in the same loop."""
    return {one for one in tasks if "marketdata/sim" not in str(one) and "aiohttp" not in str(one)}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("arguments", [(), ("--http", "127.0.0.1:0")])
def test_a_signal_ends_a_server_with_watches(
    home: Path, number: signal.Signals, arguments: tuple[str, ...]
) -> None:
    async def work() -> None:
        async with frozen() as sim:
            variables = endpoints(sim)
            if arguments:
                async with serving(home, *arguments, **variables) as (url, process):
                    async with Client(url) as client:
                        await start(client, sim, kind="trades", pair="BTC/USDT")
                    await _ended(process, number)
            else:
                process = await asyncio.create_subprocess_exec(
                    COMMAND,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env=environment(home, **variables),
                )
                assert process.stdin
                named = {"kind": "trades", "pair": "BTC/USDT"}
                process.stdin.write(request(1, "tools/call", name="watch_start", arguments=named))
                await until(lambda: subscriptions(sim))
                await _ended(process, number)
                process.stdin.close()
            await nothing_left(sim)

    finish(work())


async def _ended(process: asyncio.subprocess.Process, number: signal.Signals) -> None:
    process.send_signal(number)
    assert process.stderr
    assert await process.stderr.read() == b""
    assert await process.wait() == 0
