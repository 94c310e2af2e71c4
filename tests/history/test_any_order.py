"""Ranges in any order give the exchange's candles, and all of them are stored."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from inside.store import findings

import marketdata as md

from .conftest import Connect, Play
from .series import bars, read, table_in
from .tapes import PATHS, at, holes, minutes, ms, opened, pages, rows, tables


def gaps(dice: random.Random, length: int) -> list[tuple[int, int]]:
    starts = [dice.randrange(-10, length) for _ in range(dice.choice([0, 2, 6]))]
    return [(start, start + dice.choice([1, 2, 30, 400])) for start in starts]


@pytest.mark.parametrize("seed", range(9))
def test_any_ranges_in_any_order(play: Play, connect: Connect, isolated: Path, seed: int) -> None:
    dice = random.Random(seed)
    exchange = ["binance", "coinbaseexchange", "okx"][seed % 3]
    length = dice.choice([900, 2200])
    missing = gaps(dice, length)
    now = dice.randrange(length // 3, length)
    sim = play(exchange, length, *missing, now=now, others={"ETH/USDT": gaps(dice, length)})
    truth = minutes(0, length, *missing)
    for _ in range(8):
        if dice.random() < 0.4:
            now += dice.choice([1, 60, 700])
            sim.clock.move(at(now))
        sim.faults.clear()
        if dice.random() < 0.4:
            short = dice.choice([1, 50, 299])
            sim.faults.add(path=PATHS[exchange], short=short, every=dice.choice([1, 3]), times=5)
        first = dice.randrange(-50, min(now, length))
        last = first + dice.choice([1, 59, 299, 300, 301, 999, 1000, 1001, 1500])
        refresh = dice.random() < 0.15
        found = connect(sim, exchange).candles(
            "BTC/USDT", "1m", start=at(first), end=at(last), refresh=refresh
        )
        last = min(last, now)
        there = [row for row in rows(found) if row[0] < ms(now)]
        assert there == [row for row in truth if ms(first) <= row[0] < ms(last)]
        # What is not there is named as missing, once.
        named = [one for low, high, _ in holes(found.missing) for one in range(low, high)]
        absent = set(range(first, last)) - {(row[0] - ms(0)) // 60_000 for row in there}
        assert (len(named), set(named)) == (len(absent), absent)
        [table] = tables(isolated) or [None]
        if table is not None:
            stored = opened(table)
            closed = [(row[0] - ms(0)) // 60_000 for row in truth if row[0] < ms(now)]
            assert len(stored) == len(set(stored))
            assert set(stored) <= set(closed)
        late = found.missing and found.missing[-1].end == at(last)
        if last < now and not late:
            sim.forget()
            connect(sim, exchange).candles("BTC/USDT", "1m", start=at(first), end=at(last))
            assert pages(sim) == 0
    assert connect(sim, exchange).history.verify() == []


@pytest.mark.parametrize("seed", range(4))
def test_any_changes_in_any_order(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    several = [table_in(tmp_path) for _ in range(3)]
    known: dict[int, float | None] = {}
    for step in range(40):
        table, first = dice.choice(several), dice.randrange(0, 300)
        last, volume = first + dice.choice([1, 2, 10, 50]), float(step + 1)
        hole = (first, min(last, first + 3)) if dice.random() < 0.3 else (0, 0)
        part = bars(first, last, *[hole] if hole[1] else [], volume=volume)
        told = {one: None if hole[0] <= one < hole[1] else volume for one in range(first, last)}
        match dice.choice(["add", "add", "replace", "tidy", "drop"]):
            case "add":
                table.add([part])
                known = told | known
            case "replace":
                table.replace([part])
                known |= told
            case "tidy":
                table.refresh()
                table.tidy(2)
            case "drop" if table.refresh() and table.files():
                file = dice.choice(table.files())
                table.drop([file])
                known = {
                    one: value
                    for one, value in known.items()
                    if not file.start <= ms(one) < file.end
                }
        found: dict[int, float | None] = {}
        for stretch in read(dice.choice(several), 0, 400):
            times = [(time - ms(0)) // 60_000 for time in stretch.columns.time]
            found |= zip(times, stretch.columns.volume, strict=True)
            for one in stretch.gaps:
                low, high = ((time - ms(0)) // 60_000 for time in one[:2])
                assert not found.keys() & range(low, high)
                found |= dict.fromkeys(range(low, high))
        assert found == known
    assert findings(several[0]) == []


def test_polling_every_minute_stores_each_bar_once_in_few_files(
    play: Play, connect: Connect, isolated: Path
) -> None:
    sim = play("binance", 400, now=300)
    client = connect(sim)

    def ask() -> md.Candles:
        return client.candles("BTC/USDT", "1m", start=at(0))

    ask()
    for now in range(301, 350):
        sim.clock.move(at(now))
        sim.forget()
        candles = ask()
        # With the bar that has just begun, where somebody has traded in it.
        assert rows(candles)[:now] == minutes(0, now)
        assert len(candles) - now == candles.forming
        assert pages(sim) == 1
        [series] = client.history.list()
        assert series.bars == now
        assert series.files <= 16
    [table] = tables(isolated)
    assert opened(table) == list(range(349))
    assert client.history.verify() == []


@pytest.mark.parametrize("seed", range(4))
def test_first_bars_from_any_start(play: Play, connect: Connect, seed: int) -> None:
    dice = random.Random(seed)
    exchange = ["binance", "coinbaseexchange"][seed % 2]
    length = 1800
    missing = gaps(dice, length)
    now = dice.randrange(length // 2, length)
    client = connect(play(exchange, length, *missing, now=now), exchange)
    truth = minutes(0, length, *missing)
    for _ in range(5):
        first, limit = dice.randrange(-30, now), dice.choice([1, 50, 300, 1001])
        last = dice.choice([None, first + 200, first + 1300])
        found = client.candles(
            "BTC/USDT",
            "1m",
            start=at(first),
            end=None if last is None else at(last),
            limit=limit,
        )
        reached = now if last is None else min(last, now)
        there = [row for row in rows(found) if row[0] < ms(now)]
        assert there == [row for row in truth if ms(first) <= row[0] < ms(reached)][:limit]
        if len(found) == limit:
            reached = (there[-1][0] - ms(0)) // 60_000 + 1
        named = [one for low, high, _ in holes(found.missing) for one in range(low, high)]
        absent = set(range(first, reached)) - {(row[0] - ms(0)) // 60_000 for row in there}
        assert (len(named), set(named)) == (len(absent), absent)
