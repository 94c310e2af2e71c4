"""Recorded times and states of exchanges, which one public call asks for at once."""

import asyncio
from typing import Any

import calls
import expected
import invariants
import playback
from recorded import Recordings


def test_status_of_an_exchange(
    telling_exchange: str,
    recordings: Recordings,
    counted: Any,
    not_run: Any,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    exchange = telling_exchange
    cases = {
        one.method: one
        for one in recordings.cases
        if one.exchange == exchange and one.method in calls.STATUS and calls.unable(one) is None
    }
    has = playback.described(exchange).has
    asked = [method for method in calls.STATUS if has.get(method) is True]
    for method in asked:
        if method not in cases:
            [only] = cases
            not_run(exchange, only, f"{method} is asked for with it, and is not recorded")
    if not asked:
        not_run(exchange, next(iter(cases)), "ccxt makes it up without a request")
    counted(exchange, "status")
    oracles = {method: asyncio.run(playback.oracle(cases[method], [])) for method in asked}
    bodies = {
        path: cases[method].body
        for method, oracle in oracles.items()
        for path in oracle.asked.paths
    }
    by_us = playback.Playback(answer=lambda url: bodies[playback.path(url)])

    async def status() -> Any:
        async with playback.client(
            tmp_path, exchange, by_us, [], monkeypatch=monkeypatch
        ) as client:
            return await client.status()

    record = asyncio.run(status())
    invariants.check(record)
    assert sorted(by_us.paths) == sorted(
        path for oracle in oracles.values() for path in oracle.asked.paths
    )
    sent = expected.datetimes(record.to_dict())
    assert sent["latencyMs"] >= 0
    assert sent["reachable"] is True
    if "fetchStatus" in oracles:
        assert sent["maintenance"] is (oracles["fetchStatus"].parsed["status"] == "maintenance")
    if "fetchTime" in oracles:
        assert sent["serverTime"] == expected.moment(oracles["fetchTime"].parsed)
