"""What loading an exchange's list of pairs asks for: that list, once, and nothing else."""

import asyncio
from collections.abc import Callable
from typing import Any

import expected
import invariants
import playback
import pytest
from recorded import Recordings

ENVELOPES: dict[str, Callable[[list[dict[str, Any]]], Any]] = {
    "binance": lambda sent: {"symbols": [one["info"] for one in sent]},
    "coinbase": lambda sent: {"products": [one["info"] for one in sent]},
    "htx": lambda sent: {"status": "ok", "data": [one["info"] for one in sent]},
    "kraken": lambda sent: {"error": [], "result": {one["id"]: one["info"] for one in sent}},
    "kucoin": lambda sent: {"code": "200000", "data": [one["info"] for one in sent]},
    "okx": lambda sent: {"code": "0", "data": [one["info"] for one in sent]},
}
"""How exchanges send the entries of their markets; the others send a plain list."""

SPOT_ONLY: dict[str, Any] = {
    "htx": {"fetchMarkets": {"types": {"spot": True, "linear": False, "inverse": False}}},
    "kucoin": {"fetchMarkets": {"types": ["spot"], "fetchTickersFees": False}},
    "okx": {"fetchMarkets": {"types": ["spot"]}},
    "binance": {"fetchMarkets": {"types": ["spot"]}},
    "gate": {"fetchMarkets": {"types": ["spot"]}},
}
"""Options by which ccxt alone gives the spot markets of an exchange."""


def _answer(recordings: Recordings, exchange: str) -> playback.Answer:
    """Answer with the recorded list, or one put together from its recorded entries."""
    whole = [
        case.body
        for case in recordings.cases
        if (case.exchange, case.method) == (exchange, "fetchMarkets")
    ]
    spot = [market for market in recordings.markets(exchange) if market["spot"]]

    def answer(url: str) -> Any:
        if whole:
            return whole[-1]
        if playback.DERIVATIVES.search(url):
            return {} if exchange == "coinbase" else []
        if exchange in ENVELOPES:
            return ENVELOPES[exchange](spot)
        return [market["info"] for market in spot]

    return answer


@pytest.mark.parametrize("keys", [False, True], ids=["without keys", "with keys"])
def test_pairs_are_one_request_for_spot_markets(
    exchange: str,
    keys: bool,
    recordings: Recordings,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    if keys:
        for name in ("API_KEY", "SECRET", "PASSWORD"):
            monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_{name}", "a2V5")
    asked = playback.Playback(answer=_answer(recordings, exchange))

    async def pairs() -> Any:
        async with playback.client(tmp_path, exchange, asked, monkeypatch=monkeypatch) as client:
            return await client.pairs()

    assert asyncio.run(pairs())
    assert len(asked.urls) == 1
    assert not asked.strays


def test_pairs_are_those_of_the_list(
    exchange: str, recordings: Recordings, tmp_path: Any, monkeypatch: Any
) -> None:
    answer = _answer(recordings, exchange)

    async def pairs() -> Any:
        asked = playback.Playback(answer=answer)
        async with playback.client(tmp_path, exchange, asked, monkeypatch=monkeypatch) as client:
            found = await client.pairs()
            requests = len(asked.urls)
            assert await client.pairs() == found
            assert len(asked.urls) == requests, "the list was not kept"
        return found

    found = asyncio.run(pairs())
    for one in found:
        invariants.check(one)
    plain = playback.plain_ccxt(
        exchange,
        playback.Playback(answer=answer),
        [],
        "fetchMarkets",
        options=SPOT_ONLY.get(exchange),
    )
    wanted = expected.pairs(
        playback.completed(exchange, asyncio.run(plain)),
        exchange=exchange,
        ticks=playback.steps(exchange),
        received_at=found[0].received_at,
    )
    assert [expected.datetimes(one.to_dict()) for one in found] == wanted
