"""Stored candles are returned after a pair is no longer listed, and reported by day."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from library.gateway import Answer, Gateway

import marketdata as md

from .conftest import Before, Connect, Play
from .tapes import at, holes, minutes, rows

DAY = 1440


def as_if_real(answer: Answer) -> Answer:
    answer.headers = {
        name: value for name, value in answer.headers.items() if "marketdata" not in name.lower()
    }
    return answer


@pytest.fixture
def gateway(play: Play, before: Before) -> Gateway:
    """An exchange that does not say that it is simulated."""
    sim = play("binance", 3 * DAY, (700, 720), now=4 * DAY, others={"ETH/USDT": []})
    found = before(sim)
    found.change("*", as_if_real)
    return found


def take_off_the_list(gateway: Gateway) -> None:
    def edit(answer: Answer) -> Answer:
        if b'"symbols"' in answer.body:
            said = json.loads(answer.body)
            said["symbols"] = [one for one in said["symbols"] if one["symbol"] != "BTCUSDT"]
            answer.body = json.dumps(said).encode()
        return as_if_real(answer)

    gateway.change("*", edit)


def test_stored_candles_of_an_unlisted_pair_are_returned(
    gateway: Gateway, connect: Connect
) -> None:
    before = connect(gateway).candles("BTC/USDT", "1m", start=at(600), end=at(900))
    take_off_the_list(gateway)
    client = connect(gateway)
    client.pairs(refresh=True)
    assert before.delisted is None

    def ask(**more: Any) -> md.Candles:
        found = client.candles("BTC/USDT", "1m", **more)
        assert found.delisted is True
        return found

    assert rows(ask(start=at(600), end=at(900))) == minutes(600, 900, (700, 720))
    assert ask(start=at(600), end=at(900)).missing == before.missing
    # What is not stored is not fetched.
    wider = ask(start=at(590), end=at(910))
    assert holes(wider.missing) == [
        (590, 600, "not_fetched"),
        (700, 720, "no_trades"),
        (900, 910, "not_fetched"),
    ]
    assert rows(ask(limit=3)) == minutes(897, 900)
    assert rows(ask(start=at(600), limit=3)) == minutes(600, 603)
    assert rows(ask(end=at(721), limit=2)) == [*minutes(699, 700), *minutes(720, 721)]
    with pytest.raises(md.PairNotSupportedError):
        client.candles("BTC/USDT", "5m", start=at(600), end=at(900))
    with pytest.raises(md.PairNotSupportedError):
        client.candles("BTC/USDT", "1m", start=at(600), end=at(900), store=False)


def test_days_report_what_is_stored(gateway: Gateway, connect: Connect, isolated: Path) -> None:
    client = connect(gateway)
    client.candles("BTC/USDT", "1m", start=at(0), end=at(2 * DAY))
    client.candles("BTC/USDT", "1m", start=at(2 * DAY + 60), end=at(2 * DAY + 120))

    [plain] = client.history.list()
    assert plain.days is None
    [series] = client.history.list(detail="day")
    first, second, third = series.days or ()
    assert [one.state for one in (first, second, third)] == ["gaps", "complete", "not_fetched"]
    assert [one.bars for one in (first, second, third)] == [DAY - 20, DAY, 60]
    assert holes(first.missing) == [(700, 720, "no_trades")]
    assert second.missing == ()
    assert holes(third.missing) == [
        (2 * DAY, 2 * DAY + 60, "not_fetched"),
        (2 * DAY + 120, 3 * DAY, "not_fetched"),
    ]
