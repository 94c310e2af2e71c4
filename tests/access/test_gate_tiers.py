"""Limits of tiers: exchanges, history and prices."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from access_doors import finish
from access_gate import Gated, Serve
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata import AsyncClient, MarketDataError
from marketdata.errors import HistoryLimitExceededError, InternalError
from marketdata.pages import shifted
from marketdata.sim import SimulatedExchange
from marketdata_mcp.service.access.tiers import SHIPPED, Policy, Tier
from marketdata_mcp.service.costs import ask_of
from marketdata_mcp.tools import TOOLS


def test_a_tier_that_changes_or_goes(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        await server.newcomer("pioneer")
        asked = {"pair": "BTC/USDT", "limit": 3}
        assert (await server.call("get_candles", **asked)).code == "HISTORY_LIMIT_EXCEEDED"
        await server.registry.set_tier("alice", "hero")
        assert (await server.call("get_candles", **asked)).code == "OK"
        await server.store.change_account("alice", tier="gone")
        before = await server.used()
        for tool, more in (("get_candles", asked), ("get_usage", {}), ("watch_list", {})):
            assert (await server.call(tool, **more)).code == "FORBIDDEN"
        assert await server.used() == before

    serve(work)


def test_a_call_that_names_no_exchange_gets_one_of_the_tier(serve: Serve) -> None:
    policy = Policy(
        tiers={
            "other": Tier(exchanges=("okx",)),
            "both": Tier(exchanges=("okx", "kraken")),
            "all": Tier(),
        }
    )

    async def work(server: Gated) -> None:
        for tier, answers in (("other", "okx"), ("both", "kraken"), ("all", "binance")):
            await server.newcomer(tier, tier)
            pair = {"pair": "BTC/USDT"}
            for tool, more in (
                ("get_ticker", pair),
                ("get_tickers", {"pairs": ["BTC/USDT", "ETH/USDT"]}),
                ("get_quote", pair),
                ("get_orderbook", pair),
                ("get_candles", pair),
                ("get_candles", {**pair, "start": "-1d"}),
                ("get_trades", pair),
                ("get_status", {}),
                ("list_pairs", {"limit": 1}),
                ("watch_start", {"kind": "ticker", **pair}),
            ):
                content = (await server.call(tool, tier, **more)).content
                assert content["exchange"] == answers, tool
        refused = await server.call("get_ticker", "both", pair="BTC/USDT", exchange="binance")
        assert refused.error["details"] == {
            "tool": "get_ticker",
            "parameter": "exchange",
            "exchange": "binance",
            "allowedExchanges": ["okx", "kraken"],
        }

    serve(work, policy=policy, exchange="binance,kraken")


def test_no_tool_and_no_resource_gets_past_the_tiers_exchanges(serve: Serve) -> None:
    policy = Policy(tiers={"other": Tier(exchanges=("okx",))})
    asked: dict[str, dict[str, Any]] = {
        "get_tickers": {"pairs": ["BTC/USDT"]},
        "get_status": {},
        "list_pairs": {},
        "watch_start": {"kind": "ticker", "pair": "BTC/USDT"},
    }

    async def work(server: Gated) -> None:
        await server.newcomer("other")
        listed = (await server.send("tools/list", {})).message["result"]["tools"]
        tools = [one for one in listed if "exchange" in one["inputSchema"]["properties"]]
        assert len(tools) >= 9
        for n, tool in enumerate(tools):
            arguments = asked.get(tool["name"], {"pair": "BTC/USDT"})
            for exchange in ("binance", " Binance\t", "BINANCE", "nowhere"):
                reply = await server.call(tool["name"], **arguments, exchange=exchange)
                assert reply.code == "EXCHANGE_NOT_SUPPORTED", (tool["name"], exchange)
            reply = await server.call(tool["name"], **arguments, exchange="okx,binance")
            assert reply.code == "INVALID_PARAMETER", tool["name"]
            # A call with a wrong argument is not charged.
            assert await server.used() == (4 * n + 4, 4 * n + 4)
        kinds = ("ticker", "quote", "orderbook", "trades")
        for exchange in ("binance", "BINANCE", "%62inance", "%20binance%20"):
            for kind in (*kinds, "candles/1h"):
                error = await server.read(f"market://{exchange}/BTC-USDT/{kind}")
                assert error["code"] == "EXCHANGE_NOT_SUPPORTED", (exchange, kind)
        assert (await server.read("market://okx/BTC-USDT/ticker"))["exchange"] == "okx"

    serve(work, policy=policy)


def test_a_search_of_all_exchanges_is_one_of_the_tiers_exchanges(serve: Serve) -> None:
    policy = Policy(
        tiers={
            "one": Tier(exchanges=("okx",)),
            "two": Tier(exchanges=("okx", "kraken")),
            "all": Tier(),
        }
    )

    async def work(server: Gated) -> None:
        every = ["binance", "coinbaseexchange", "kraken", "okx"]
        for exchange in every:
            await server.client.pairs(exchange=exchange)
        for tier, found in (("one", ["okx"]), ("two", ["kraken", "okx"]), ("all", every)):
            await server.newcomer(tier, tier)
            content = (await server.call("list_pairs", tier, search="pepe")).content
            rows = [one.get("exchange", content.get("exchange")) for one in content["pairs"]]
            assert rows == found
            assert content["total"] == content["returned"] == len(found)
            assert "next" not in content
        page = (await server.call("list_pairs", "two", search="pepe", limit=1)).content
        assert (page["total"], page["next"], page["exchange"]) == (2, {"offset": 1}, "kraken")
        more = {"limit": 1, "offset": 1}
        page = (await server.call("list_pairs", "two", search="pepe", **more)).content
        assert (page["total"], page["exchange"], "next" in page) == (2, "okx", False)
        named = (await server.call("list_pairs", "two", search="pepe", exchange="okx")).content
        assert (named["total"], named["exchange"]) == (1, "okx")
        refused = await server.call("list_pairs", "all", search="pepe", refresh=True)
        assert refused.code == "INVALID_PARAMETER"

    serve(work, policy=policy)


# ---------------------------------------------------------------------------- candles

CANDLES = TOOLS["get_candles"]
DEPTHS = [
    # What is asked for, how many days back that is, which tiers may, and what it costs them.
    ({"limit": 1}, "current"),
    ({"limit": 1, "timeframe": "1M"}, "current"),
    ({"limit": 2}, "near"),
    ({}, "near"),
    ({"limit": 1, "end": "-1h"}, "near"),
    ({"start": "-29d", "limit": 1}, "near"),
    ({"start": "-29d", "end": "-28d"}, "near"),
    ({"limit": 30, "timeframe": "1d"}, "near"),
    ({"limit": 32, "timeframe": "1d"}, "far"),
    ({"start": "-31d", "timeframe": "1m"}, "far"),
    ({"limit": 1, "end": "-31d"}, "far"),
    ({"limit": 1, "end": "-89d"}, "far"),
    ({"start": "-89d"}, "far"),
    ({"start": "-92d", "end": "-1d", "limit": 1}, "year"),
    ({"limit": 1, "end": "-92d", "timeframe": "1m"}, "year"),
    ({"limit": 300, "timeframe": "1d"}, "year"),
    ({"start": "-364d"}, "year"),
    ({"start": "-367d"}, "years"),
    ({"limit": 500, "timeframe": "1d"}, "years"),
    ({"limit": 1, "end": "2000-01-01"}, "ever"),
    ({"start": "-1094d"}, "years"),
    ({"start": "-1097d"}, "ever"),
    ({"start": "1970-01-02"}, "ever"),
]
"""Arguments of get_candles, and how far they reach back."""

COSTS: dict[str, dict[str, int]] = {
    "pioneer": {"current": 1},
    "explorer": {"current": 1, "near": 5, "far": 20},
    "adventurer": {"current": 1, "near": 5, "far": 20, "year": 20},
    "hero": {"current": 1, "near": 1, "far": 1, "year": 1, "years": 1},
}
"""What a tier pays for that; what is not here it may not have."""


@pytest.mark.parametrize("tier", COSTS)
def test_what_candles_cost_and_how_far_back_they_go(serve: Serve, tier: str) -> None:
    async def work(server: Gated) -> None:
        await server.newcomer(tier)
        caller = await server.gate.identify(f"Bearer {server.keys['alice']}")
        for arguments, depth in DEPTHS:
            ask = ask_of("get_candles", CANDLES.parse({"pair": "BTC/USDT", **arguments}))
            allowed = depth in COSTS[tier]
            if allowed:
                charge = await server.gate.charge(caller, ask)
                assert charge.units == COSTS[tier][depth], arguments
                server.gate.check_tier(caller, ask)
            else:
                with pytest.raises(HistoryLimitExceededError) as refused:
                    server.gate.check_tier(caller, ask)
                days = SHIPPED[tier].history_days
                assert refused.value.details == {"historicalDays": days}

    serve(work)


def test_resources_and_watches_of_candles(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        costs = {"pioneer": (1, 1), "explorer": (5, 20), "adventurer": (5, 20), "hero": (1, 1)}
        for tier, (near, far) in costs.items():
            await server.newcomer(tier, tier)
            server.keys["alice"] = server.keys[tier]
            # A hundred bars of an hour are four days, of a day a hundred.
            for length, units, may in (
                ("1h", near, tier != "pioneer"),
                ("1d", far, tier in ("adventurer", "hero")),
            ):
                before = (await server.used(tier)).week
                answer = await server.read(f"market://binance/BTC-USDT/candles/{length}")
                assert answer.get("code") == (None if may else "HISTORY_LIMIT_EXCEEDED")
                assert (await server.used(tier)).week == before + units
            watch = {"kind": "candles", "pair": "BTC/USDT", "timeframe": "1m"}
            before = (await server.used(tier)).week
            assert (await server.call("watch_start", tier, **watch)).code == "OK"
            assert (await server.used(tier)).week == before + 1

    serve(work)


@pytest.fixture(scope="module")
def client(home: Path, simulator: SimulatedExchange) -> AsyncClient:
    """Asks the simulated exchanges."""
    return AsyncClient("binance", endpoints=simulator.endpoints, home=home, retries=0)


_AGES = st.integers(0, 200).map(lambda days: f"-{days}d") | st.integers(0, 99).map("-{}h".format)


@given(
    st.fixed_dictionaries(
        {"timeframe": st.sampled_from(["1m", "1h", "4h", "1d", "1w", "1M", "7h", "1y"])},
        optional={
            "limit": st.integers(1, 120),
            "start": _AGES,
            "end": _AGES,
            "fill": st.sampled_from(["zero", "previous"]),
        },
    )
)
@settings(max_examples=40, deadline=None)
def test_no_call_gets_bars_from_before_what_it_paid_for(
    client: AsyncClient, arguments: dict[str, Any]
) -> None:
    async def work() -> None:
        asked = CANDLES.parse({"pair": "BTC/USDT", **arguments})
        now = time.time() * 1000
        lookback = ask_of("get_candles", asked).lookback
        try:
            content = (await CANDLES.answer(SimpleNamespace(client=client), asked)).content
        except MarketDataError as error:
            assert not isinstance(error, InternalError)  # noqa: PT017
            return
        if content["candles"]:
            current = shifted(int(now), arguments["timeframe"], 0)
            first = content["candles"][0][0]
            assert current - first <= lookback.total_seconds() * 1000

    finish(work())
