"""What loading an exchange's list of pairs asks for: that list, and nothing that spot can spare."""

import asyncio
import copy
from collections.abc import Callable
from typing import Any

import envelopes
import expected
import invariants
import playback
import pytest
from recorded import Recordings

Answers = Callable[[str], Any]


def _answers(recordings: Recordings, exchange: str, not_run: Any) -> tuple[Any, Any, bool]:
    """Return the list as it was sent, an empty one, and whether it was recorded as a whole.

    Where only its entries were, they are put together again.
    """
    for case in reversed(recordings.cases):
        if (case.exchange, case.method) == (exchange, "fetchMarkets") and not case.disabled:
            return case.bodies[0], case.bodies[0], True
    spot = [market for market in recordings.listed(exchange) or [] if market.get("spot")]
    found = envelopes.envelope(exchange, spot)
    if found is None:
        not_run(exchange, "fetchMarkets", "its entries cannot be put together to a list again")
    return (*found, False)  # type: ignore[misc]


async def _pairs(exchange: str, asked: Any, whole: bool, home: Any, monkeypatch: Any) -> Any:
    async with playback.client(
        home, exchange, asked, monkeypatch=monkeypatch, unmarked=not whole
    ) as client:
        found = await client.pairs()
        requests = len(asked.urls)
        assert await client.pairs() == found
        assert len(asked.urls) == requests, "the list was not kept"
    return found


@pytest.mark.parametrize("keys", [False, True], ids=["without keys", "with keys"])
def test_pairs_ask_for_nothing_that_spot_can_spare(
    listing_exchange: str,
    keys: bool,
    recordings: Recordings,
    not_run: Any,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    exchange = listing_exchange
    if keys:
        for name in ("API_KEY", "SECRET", "PASSWORD"):
            monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_{name}", "a2V5")
    full, _, whole = _answers(recordings, exchange, not_run)

    def ask(spared: str | None) -> tuple[list[str], Any]:
        asked = playback.Playback(answer=lambda url: {} if url == spared else copy.deepcopy(full))
        home = tmp_path / str(spared is None) / str(abs(hash(spared)))
        found = asyncio.run(_pairs(exchange, asked, whole, home, monkeypatch))
        return asked.urls, {one.pair for one in found}

    urls, pairs = ask(None)
    assert pairs
    assert len(set(urls)) == len(urls), "something is asked for twice"
    if len(urls) > 1:
        for url in urls:
            with pytest.raises(Exception):  # noqa: B017, PT011
                assert ask(url)[1] == pairs


def test_pairs_are_those_of_the_list(
    listing_exchange: str,
    recordings: Recordings,
    counted: Any,
    not_run: Any,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    exchange = listing_exchange
    counted(exchange, "pairs")
    full, empty, whole = _answers(recordings, exchange, not_run)
    by_us = playback.Playback(answer=lambda url: copy.deepcopy(full))
    found = asyncio.run(_pairs(exchange, by_us, whole, tmp_path, monkeypatch))
    for one in found:
        invariants.check(one)
    # What ccxt alone asks for besides has no entries.
    plain = playback.plain_ccxt(
        exchange,
        playback.Playback(answer=lambda url: full if url in by_us.urls else empty),
        [],
        "fetchMarkets",
        options=envelopes.spot_only(exchange),
        unmarked=not whole,
    )
    wanted = expected.pairs(
        playback.completed(exchange, asyncio.run(plain)),
        exchange=exchange,
        step=playback.step_of(exchange),
        received_at=found[0].received_at,
    )
    assert [expected.datetimes(one.to_dict()) for one in found] == wanted
