"""Candles across a rename of a token: those of the former pair, then those of the new one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from inside.shown import page

import marketdata as md
from marketdata.pages import Page
from marketdata_mcp import answers
from marketdata_mcp.tools import TOOLS

from . import wire as wires
from .setting import Setting, ms
from .wire import Wire
from .world import HOUR, OTHERS, Candle, Exchange, World

OLDER, PRESENT = "MATIC/USDT", "POL/USDT"
BEGIN = ms("2025-01-01")
ENDS, LISTED, HOURS = 100, 110, 150
"""The hours in which the older pair ends, the present one begins, and all is over."""


class Renaming(Exchange):
    """An exchange that halts a pair, and ten hours later lists it under another name."""

    def _is_open(self, pair: str, unit: int) -> bool:
        opened = {OLDER: range(ENDS), PRESENT: range(LISTED, HOURS)}.get(pair, range(HOURS))
        return unit in opened


@pytest.fixture
def setting(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Setting]:
    def listing(of: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        status, said = info(of, exchange, asked)
        for one in said["symbols"]:
            if one["symbol"] == OLDER.replace("/", ""):
                one["status"] = "BREAK"
        return status, said

    info = wire.answers["/api/v3/exchangeInfo"]
    monkeypatch.setattr(wires, "OTHERS", (*OTHERS, OLDER, PRESENT))
    monkeypatch.setitem(wire.answers, "/api/v3/exchangeInfo", listing)
    world = World(BEGIN, HOUR, HOURS, BEGIN + HOURS * HOUR - 1)
    with ExitStack() as stack:
        yield Setting(stack, wire, tmp_path, Renaming(world))


def at(hour: int) -> int:
    return BEGIN + hour * HOUR


def there(setting: Setting, start: int, end: int) -> list[Candle]:
    """List the candles of both names in a range, the former one's up to the new one's first."""
    older, present = (setting.exchange.candles(pair, "1h") for pair in (OLDER, PRESENT))
    both = [*(one for one in older if one.time < present[0].time), *present]
    return [one for one in both if at(start) <= one.time < at(end)]


def rows(answer: md.Candles) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in answer.columns.rows()]


def told(answer: md.Candles) -> tuple[str | None, int | None]:
    renamed = answer.renamed_at
    hour = None if renamed is None else round(renamed.timestamp() * 1000 - BEGIN) // HOUR
    return answer.renamed_from, hour


ASKED: dict[str, tuple[dict[str, Any], int, int]] = {
    "range": ({"start": at(20), "end": at(140)}, 20, 140),
    "older": ({"start": at(20), "end": at(90)}, 20, 90),
    "present": ({"start": at(115), "end": at(140)}, 115, 140),
    "upto now": ({"start": at(90)}, 90, HOURS),
    "first": ({"start": at(95), "limit": 10}, 95, 115),
    "first of the older": ({"start": at(20), "limit": 30}, 20, 50),
    "last": ({"end": at(115), "limit": 10}, 95, 115),
    "newest": ({"limit": 60}, 80, HOURS),
    "newest of the present": ({"limit": 20}, 130, HOURS),
}


@pytest.mark.parametrize("asked", ASKED)
def test_a_range_across_a_rename_has_the_candles_of_both_names(
    setting: Setting, asked: str
) -> None:
    question, start, end = ASKED[asked]
    expected = [tuple(one) for one in there(setting, start, end)]
    is_older, is_present = start < ENDS, end > LISTED

    for store in (False, True, True):
        answer = setting.client.candles(PRESENT, "1h", store=store, **question)

        assert answer.pair == PRESENT
        assert rows(answer) == expected
        renamed = (OLDER, LISTED if is_present else None) if is_older else (None, None)
        assert told(answer) == renamed
        gaps = [(one.bars, one.cause) for one in answer.missing]
        assert gaps == ([(LISTED - ENDS, "no_trades")] if is_older and is_present else [])


def test_stored_candles_of_the_new_name_do_not_hide_the_old_one(
    setting: Setting,
) -> None:
    question = {"start": at(20), "end": at(140)}
    setting.client.candles(PRESENT, "1h", start=at(115), end=at(140))
    setting.client.history.download([PRESENT], "1h", start=at(105), end=at(120))
    answer = setting.client.candles(PRESENT, "1h", **question)
    assert rows(answer) == [tuple(one) for one in there(setting, 20, 140)]
    # All of it is stored now, under the name of its time.
    setting.wire.exchange = None
    again = setting.client.candles(PRESENT, "1h", **question)
    assert (rows(again), told(again)) == (rows(answer), (OLDER, LISTED))
    assert again.missing == answer.missing
    assert list(setting.client.history.verify()) == []
    # Its former name names the pair, too.
    by_name = setting.client.candles(OLDER, "1h", **question)
    assert (by_name.pair, rows(by_name)) == (PRESENT, rows(answer))


def test_a_download_across_a_rename_has_the_candles_of_both_names(setting: Setting) -> None:
    question = {"start": at(20), "end": at(140)}
    [done] = setting.client.history.download([PRESENT], "1h", **question)
    assert (done.pair, done.error) == (PRESENT, None)
    assert (done.bars, done.fetched) == (ENDS - 20 + 140 - LISTED, 120)
    assert [(gap.bars, gap.cause) for gap in done.holes] == [(LISTED - ENDS, "no_trades")]
    stored = {one.pair: one.bars for one in setting.client.history.list()}
    assert stored == {OLDER: ENDS - 20, PRESENT: 140 - LISTED}
    [plan] = setting.client.history.plan([PRESENT], "1h", **question)
    assert (plan.stored, plan.wanted) == (120, 0)
    # Nothing of it has to be requested again, and nothing is.
    sent = len(setting.wire.sent)
    setting.client.history.download([PRESENT], "1h", **question)
    answer = setting.client.candles(PRESENT, "1h", **question)
    assert len(setting.wire.sent) == sent
    assert rows(answer) == [tuple(one) for one in there(setting, 20, 140)]
    assert list(setting.client.history.verify()) == []


def test_resampled_candles_across_a_rename_use_both_names(setting: Setting) -> None:
    answer = setting.client.candles(PRESENT, "5h", start=at(85), end=at(140))

    hours = {one.time: one for one in there(setting, 0, HOURS)}
    for time, volume in zip(answer.columns.time, answer.columns.volume, strict=True):
        inside = [hours[part] for part in range(time, time + 5 * HOUR, HOUR) if part in hours]
        assert volume == sum(one.volume for one in inside)
    assert answer.renamed_from == OLDER
    assert answer.columns.time[0] < at(ENDS) < at(LISTED) < answer.columns.time[-1]


def test_the_shell_and_agents_get_the_former_name(setting: Setting) -> None:
    answer = setting.client.candles(PRESENT, "1h", start=at(90), end=at(120))

    assert "The pair was MATIC/USDT before 2025-01-05 14:00" in str(page(answer))
    assert '"renamedFrom":"MATIC/USDT","renamedAt":"2025-01-05T14:00:00Z"' in answer.to_json()
    content = answers.candles(Page(answer, 5), None).content
    assert content["renamedFrom"] == "MATIC/USDT"
    delisted = answer.model_copy(update={"delisted": True})
    assert "binance no longer lists the pair" in str(page(delisted))
    assert answers.candles(Page(delisted, 5), None)[0]["delisted"] is True


def test_halted_pairs_are_listed_and_served_at_each_door(setting: Setting) -> None:
    # Asked for by its former name a pair is the present one; what is halted has no other name.
    assert [one.pair for one in setting.client.pairs(active=False)] == [OLDER]
    assert "active" in TOOLS["list_pairs"].definition.input_schema["properties"]
