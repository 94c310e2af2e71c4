"""The gate: the order of its checks, who is charged, quota and rate."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

import pytest
from access_gate import Gated, Serve

from marketdata.errors import (
    DataUnavailableError,
    ExchangeNotSupportedError,
    ExchangeUnavailableError,
    InternalError,
    PairNotSupportedError,
)
from marketdata.sim import SimulatedExchange
from marketdata_mcp.admission import Call
from marketdata_mcp.service.access.accounts import Bounds
from marketdata_mcp.service.access.tiers import SHIPPED, Policy, Tier
from marketdata_mcp.service.admission import GatedAdmission

FRIDAY = "2026-11-20T00:00:00Z"
FAR = {"pair": "BTC/USDT", "timeframe": "1h", "start": "-80d", "limit": 5}


def test_the_order_of_checks_and_what_is_charged(serve: Serve) -> None:
    policy = Policy(
        tiers={"small": Tier(weekly_units=2, calls_a_minute=4, exchanges=("binance",), keys=1)}
    )
    wrong: dict[str, Any] = {"pair": "BTC/USDT", "exchange": "gate"}

    async def work(server: Gated) -> None:
        await server.newcomer("small")
        server.keys["nobody"] = "mdk_nothing"
        # A bad argument beats a bad key, and costs nothing.
        for name in (None, "nobody", "alice"):
            missing = await server.call("get_ticker", name)
            assert (missing.status, missing.code) == (200, "MISSING_PARAMETER")
            invalid = await server.call("get_ticker", name, pair="BTC/USDT", x=1)
            assert (invalid.status, invalid.code) == (200, "INVALID_PARAMETER")
            unknown = await server.call("get_tickr", name)
            assert (unknown.status, unknown.message["error"]["code"]) == (200, -32602)
        assert await server.used() == (0, 0)
        # A bad key beats the tier.
        for name in (None, "nobody"):
            refused = await server.call("get_ticker", name, **wrong)
            assert (refused.status, refused.code) == (401, "UNAUTHORIZED")
        assert await server.used() == (0, 0)
        # What the tier refuses is charged.
        assert (await server.call("get_ticker", **wrong)).code == "EXCHANGE_NOT_SUPPORTED"
        assert await server.used() == (1, 1)
        # What the exchange says of the question is an answer.
        reply = await server.call("get_ticker", pair="NO/PAIR")
        assert reply.code == "PAIR_NOT_SUPPORTED"
        assert await server.used() == (2, 2)
        # The quota beats the tier, and a call that is too many is not counted.
        assert (await server.call("get_ticker", **wrong)).code == "QUOTA_EXCEEDED"
        assert await server.used() == (2, 2)
        # So does the rate; the quota is said first, because it takes longer.
        assert (await server.call("get_usage")).code == "OK"
        assert (await server.call("get_usage")).code == "OK"
        assert await server.used() == (4, 2)
        assert (await server.call("get_usage")).code == "RATE_LIMIT_EXCEEDED"
        assert (await server.call("get_ticker", **wrong)).code == "QUOTA_EXCEEDED"
        # A suspended account beats the quota, a bad argument beats that.
        await server.registry.suspend("alice")
        refused = await server.call("get_ticker", **wrong)
        assert (refused.status, refused.code) == (403, "FORBIDDEN")
        assert (await server.call("get_ticker")).code == "MISSING_PARAMETER"
        assert await server.used() == (4, 2)

    serve(work, policy=policy)


def test_an_answer_that_failed_upstream_is_given_back(
    serve: Serve, simulator: SimulatedExchange
) -> None:
    async def work(server: Gated) -> None:
        await server.newcomer("explorer")
        assert (await server.call("get_ticker", pair="BTC/USDT")).code == "OK"
        assert await server.used() == (1, 1)
        simulator.faults.add("binance:*:status=503")
        try:
            for tool, more in (("get_ticker", {"pair": "BTC/USDT"}), ("get_candles", FAR)):
                assert (await server.call(tool, **more)).code == "EXCHANGE_UNAVAILABLE"
            assert (await server.read("market://binance/BTC-USDT/quote"))["code"] == (
                "EXCHANGE_UNAVAILABLE"
            )
        finally:
            simulator.faults.clear()
        # The calls were made, but cost nothing.
        assert await server.used() == (4, 1)
        assert (await server.call("get_candles", **FAR)).code == "OK"
        assert await server.used() == (5, 21)

    serve(work)


@pytest.mark.parametrize(
    ("error", "charged"),
    [
        (ExchangeUnavailableError("away"), 0),
        (DataUnavailableError("none"), 0),
        (InternalError("bug"), 0),
        (RuntimeError("bug"), 0),
        (PairNotSupportedError("none"), 20),
        (asyncio.CancelledError(), 20),
        (None, 20),
    ],
)
def test_who_pays_for_what_went_wrong(
    serve: Serve, error: BaseException | None, charged: int
) -> None:
    async def work(server: Gated) -> None:
        await server.newcomer("explorer")
        caller = await server.gate.identify(f"Bearer {server.keys['alice']}")
        admission = GatedAdmission(server.client, server.gate)
        asked = {"exchange": "binance", "timeframe": "1d", "start": None, "end": None, "limit": 32}
        call = Call("get_candles")
        try:
            async with admission.admit(caller, "get_candles", asked, call):
                assert call.units == 20
                if error is not None:
                    raise error
        except BaseException as raised:  # noqa: BLE001 - looked at
            assert raised is error  # noqa: PT017
        assert await server.used() == (1, charged)
        assert call.units == charged
        with pytest.raises(ExchangeNotSupportedError):
            async with admission.admit(caller, "get_ticker", {"exchange": "gate"}, call):
                pass
        assert await server.used() == (2, charged + 1)
        assert call.units == 1

    serve(work)


# ---------------------------------------------------------------------------- quota and rate


def test_when_more_may_be_asked(serve: Serve) -> None:
    policy = Policy(tiers={"small": Tier(weekly_units=3, calls_a_minute=2)})

    async def work(server: Gated) -> None:
        await server.newcomer("small")
        for _ in range(2):
            assert (await server.call("get_ticker", pair="BTC/USDT")).code == "OK"
        rate = (await server.call("get_ticker", pair="BTC/USDT")).error
        assert rate["code"] == "RATE_LIMIT_EXCEEDED"
        assert (rate["retryable"], rate["retryAfter"]) == (True, 44.75)
        assert rate["details"] == {"limit": 2}
        server.now += rate["retryAfter"]
        assert (await server.call("get_ticker", pair="BTC/USDT")).code == "OK"
        quota = (await server.call("get_ticker", pair="BTC/USDT")).error
        assert quota["code"] == "QUOTA_EXCEEDED"
        assert not quota["retryable"]
        assert quota["details"] == {"resetAt": FRIDAY, "units": 1, "used": 3, "limit": 3}
        ends = datetime.fromisoformat(FRIDAY)
        assert (ends.weekday(), quota["retryAfter"]) == (4, ends.timestamp() - server.now)
        server.now = ends.timestamp() - 0.001
        assert (await server.call("get_ticker", pair="BTC/USDT")).error["retryAfter"] == 1
        server.now = ends.timestamp()
        assert (await server.call("get_ticker", pair="BTC/USDT")).code == "OK"
        # On a Friday, the next one.
        for _ in range(2):
            await server.call("get_ticker", pair="BTC/USDT")
            server.now += 60
        quota = (await server.call("get_ticker", pair="BTC/USDT")).error
        assert quota["details"]["resetAt"] == "2026-11-27T00:00:00Z"

    serve(work, policy=policy)


def test_what_get_usage_says(serve: Serve) -> None:
    policy = Policy(tiers={**SHIPPED, "boundless": Tier(), "nothing": Tier(weekly_units=0)})

    async def work(server: Gated) -> None:
        await server.newcomer("explorer")
        await server.store.count("alice", server.now, 4215, Bounds(None, None))
        assert (await server.call("get_usage")).content == {
            "tier": "explorer",
            "minute": {
                "used": 2,
                "limit": 600,
                "remaining": 598,
                "resetAt": "2026-11-18T13:15:00Z",
            },
            "week": {
                "used": 4215,
                "limit": 30000,
                "remaining": 25785,
                "percentUsed": 14,
                "resetAt": FRIDAY,
            },
            "historicalDays": 90,
            "allowedExchanges": list(SHIPPED["explorer"].exchanges or ()),
        }
        await server.newcomer("boundless", "b")
        assert (await server.call("get_usage", "b")).content == {
            "tier": "boundless",
            "minute": {"used": 1, "resetAt": "2026-11-18T13:15:00Z"},
            "week": {"used": 0, "resetAt": FRIDAY},
        }
        await server.newcomer("nothing", "n")
        assert (await server.call("get_ticker", "n", pair="BTC/USDT")).code == "QUOTA_EXCEEDED"
        week = (await server.call("get_usage", "n")).content["week"]
        assert week == {"used": 0, "limit": 0, "remaining": 0, "resetAt": FRIDAY}
        # A tier below what is used already.
        await server.registry.set_tier("alice", "nothing")
        week = (await server.call("get_usage")).content["week"]
        assert (week["used"], week["remaining"]) == (4215, 0)

    serve(work, policy=policy)


def test_keys_share_their_accounts_quota_and_accounts_do_not(serve: Serve) -> None:
    policy = Policy(tiers={"small": Tier(weekly_units=4, keys=2)})

    async def work(server: Gated) -> None:
        await server.newcomer("small")
        await server.newcomer("small", "bob")
        server.keys["alice's other"] = (await server.registry.add_key("alice"))[0]
        for name in ("alice", "alice's other") * 2:
            assert (await server.call("get_quote", name, pair="BTC/USDT")).code == "OK"
        for name, code in (("alice", "QUOTA_EXCEEDED"), ("bob", "OK")):
            assert (await server.call("get_quote", name, pair="BTC/USDT")).code == code

    serve(work, policy=policy)


def test_calls_at_once_are_never_more_than_the_quota(serve: Serve) -> None:
    policy = Policy(tiers={"small": Tier(weekly_units=53, near_units=5, far_units=5)})

    async def work(server: Gated) -> None:
        await server.newcomer("small")
        replies = await asyncio.gather(
            *(server.call("get_candles", pair="BTC/USDT", limit=2) for _ in range(20))
        )
        assert sorted(one.code for one in replies) == ["OK"] * 10 + ["QUOTA_EXCEEDED"] * 10
        assert await server.used() == (10, 50)

    serve(work, policy=policy)
