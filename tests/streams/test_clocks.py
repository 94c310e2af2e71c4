"""Durations use a monotonic clock, and not the time in which our process was suspended."""

from __future__ import annotations

import ast
import asyncio
import pickle
import time
from pathlib import Path

import pytest
from inside.streams import upstream

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import PAIR, all_live, as_rest, client_of, flowing, run, stream, until

ROOT = Path(md.__file__).parent

TIMES_OF_DAY = {
    # What is shown to people, compared with the exchange's times or written to files.
    "_aggregation/comparing.py": "when it was compared",
    "_aggregation/consolidating.py": "when it was consolidated",
    "_aggregation/costing.py": "when it was worked out",
    "_aggregation/watching.py": "when it was handed out",
    "_client/archive.py": "up to which bars there are",
    "_client/cluster.py": "up to which bars there are",
    "_client/progress.py": "up to which bars there are",
    "_exchanges/caller.py": "when an answer was received",
    "_exchanges/parsing.py": "when nobody answered",
    "_exchanges/transport.py": "when a response was received, for a recording",
    "_exchanges/recording.py": "what is written with each event",
    "_exchanges/lines.py": "when a frame was received, for its record and a recording",
    "_candles/paging.py": "up to which bars there are",
    "_candles/series.py": "up to which bars there are",
    "_candles/delta.py": "when rows were written, and how old files are",
    "_candles/trades.py": "up to which trades there are",
    "_requests/avoided.py": "until when processes that share files ask an exchange last",
    "_streams/candles.py": "when a request gave the bars",
    "_streams/feed.py": "when a state was confirmed",
    "_streams/tickers.py": "when a request gave the price",
    "_streams/wired_books.py": "when a request gave the book",
    "_requests/reply.py": "when an answer was received",
    "_arguments/times.py": "what a time ago means",
    "pages.py": "up to which candles there are",
    "live/reading.py": "until when a watch is kept, for its reader",
    "models/_display/brief.py": "how old an answer of several exchanges is",
    "models/_display/notebook.py": "when records are shown",
    "models/_display/pages.py": "when records are shown",
    "models/base.py": "how old a record of another process is",
    # The clock of what several processes or machines share.
    "_exchanges/markets.py": "how old a list on the disk is",
    "_exchanges/markets_cache.py": "how old a list on the disk is",
    "_requests/rate_ledger_redis.py": "what machines share",
    "_requests/rate_limit.py": "what processes share",
}
"""The files that ask for the time of day, and what for."""


def _asks(node: ast.AST) -> bool:
    if not (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)):
        return False
    asked = (node.value.id, node.attr)
    return asked in (
        *(("time", "time"), ("time", "time_ns")),
        *(("datetime", "now"), ("datetime", "utcnow")),
    )


def test_only_these_files_ask_for_the_time_of_day() -> None:
    asking = set()
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("sim/") and any(map(_asks, ast.walk(ast.parse(path.read_text())))):
            asking.add(name)
    assert asking - set(TIMES_OF_DAY) == set()


def test_no_duration_is_a_difference_of_times_of_day() -> None:
    """Only where the clock is shared with others, or files, is one taken from another."""
    shared = {"_exchanges/markets.py", "_exchanges/markets_cache.py", "models/base.py"}
    shared |= {"_exchanges/recording.py", "_requests/rate_ledger_redis.py", "_candles/delta.py"}
    shared |= {"_requests/avoided.py", "models/_display/brief.py"}
    found = []
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).as_posix()
        if name.startswith("sim/") or name in shared:
            continue
        found += [
            f"{name}:{node.lineno}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.BinOp | ast.Compare)
            and not isinstance(getattr(node, "op", None), ast.Add | ast.Mult | ast.Mod)
            and any(
                isinstance(side, ast.Call) and _asks(side.func)
                for side in ast.iter_child_nodes(node)
            )
        ]
    assert [one for one in found if not one.startswith("_arguments/times.py")] == []


@pytest.mark.parametrize("step", [3_600.0, -3_600.0])
def test_a_step_of_the_clock_makes_nothing_stale_or_fresh(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await sim.advance(1)
            before = await as_rest(client, watch)
            real = time.time
            monkeypatch.setattr(time, "time", lambda: real() + step)
            await sim.advance(1)
            book = await as_rest(client, watch)
            for one in (before, book):
                assert 0 <= one.age < 30
                assert not one.is_stale
            await asyncio.sleep(2 * upstream.LOOKS_EVERY)
            told = stream(client)
            assert (told.state, told.reconnects) == ("live", 0)

    run(work())


def test_a_stalled_loop_is_not_learned_as_the_exchanges_pause(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            await all_live(client)
            await sim.advance(2)
            await as_rest(client, watch)
            usual = (await anext(client.watch_orderbook(PAIR))).fresh_for
            time.sleep(1.5)
            await sim.advance(1)
            await flowing(sim, lambda: stream(client).messages > 30, step=0.1)
            await until(lambda: stream(client).state == "live")
            assert stream(client).reconnects == 0
            book = await anext(client.watch_orderbook(PAIR))
            assert book.fresh_for == usual

    run(work())


def test_another_process_measures_age_by_its_own_clock(sim: SimulatedExchange) -> None:
    async def work() -> None:
        async with client_of(sim) as client, client.watch_orderbook(PAIR) as watch:
            book = await anext(watch)
            sent = pickle.dumps(book)
            assert b"_received" not in sent
            again = pickle.loads(sent)
            assert again == book
            assert again.to_dict() == book.to_dict()
            assert abs(again.age - book.age) < 1

    run(work())
