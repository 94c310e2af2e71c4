"""Answers of a world's exchange that the core puts together, without a socket, held to the rules.

The core knows neither why candles are missing nor what is stored: both are left out here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

from hypothesis import strategies as st
from inside.candles import Span, between, clipped, known, learned

from marketdata._candles.assembly import Clock, Page, assemble, page
from marketdata.models.columns import Columns

from .rules import Gap, Given, check
from .session import is_known, tightness
from .strategies import OWN, sequences
from .truth import Clock as Clocks
from .truth import Memory, Question, answer, own_calendar
from .wire import Sent
from .world import DAY, PAIR, SECOND, Exchange, World


class Puzzle(NamedTuple):
    """A range of a timeframe, and the exchange's pages of it."""

    world: World
    timeframe: str
    start: int
    end: int
    cuts: list[int]
    """Where a page ends and the next begins."""
    overlaps: list[int]
    """How many places earlier it begins."""
    passing: list[int]
    """How much time passes before it."""
    revised: list[int | None]
    """How many trades ago is one that the exchange revises before it."""


@st.composite
def puzzles(draw: Callable) -> Puzzle:
    world, _ = draw(sequences(longest=400))
    world = replace(world, tick=0, unsound=None)
    own = [one for one in OWN if one in ("1m", "5m", "1h", "4h", "1d", "1w", "1M")]
    fitting = {60_000: own[:2], 3_600_000: own[2:6], 21_600_000: own[4:]}[world.unit]
    timeframe = draw(st.sampled_from(fitting))
    early = world.begin - (40 * world.unit if timeframe[-1] in "mh" else 62 * DAY)
    places = world.days.openings(timeframe, early, world.now + 3 * world.unit)
    moments = st.sampled_from(places) | st.sampled_from(places[-4:])
    first, last = sorted([draw(moments), draw(moments)])
    end = last + draw(st.sampled_from([0, 1, world.unit // 2]))
    start = min(first + draw(st.sampled_from([0, 0, 1])), end - 1)
    cuts = sorted(draw(st.lists(st.sampled_from(places), max_size=4)))
    cuts = [cut for cut in cuts if start < cut < end]
    count = len(cuts) + 1

    def some(wanted: st.SearchStrategy) -> Any:
        return draw(st.lists(wanted, min_size=count, max_size=count))

    return Puzzle(
        world,
        timeframe,
        start,
        end,
        cuts,
        some(st.sampled_from([0, 0, 1, 2])),
        some(st.sampled_from([0, 0, 1, SECOND, world.unit // 2])),
        some(st.sampled_from([None, None, None, 0, 1, 7])),
    )


def run(puzzle: Puzzle) -> None:
    """Put the pages of a puzzle together; a broken rule raises `RuleError`."""
    world, timeframe = puzzle.world, puzzle.timeframe
    exchange, places = Exchange(world), own_calendar(Exchange(world), timeframe)
    calendar = known(world.form, timeframe)
    if not is_known(world, timeframe):
        times = [one.time for one in exchange.candles(PAIR, timeframe)]
        calendar = learned(timeframe, times, calendar)
    # Whole places are requested: one may be occupied by a candle behind the end.
    whole = Span(calendar.floor(puzzle.start), calendar.ceil(puzzle.end))
    memory, spans = Memory(), list[Span]()
    pages: list[Page] = []
    for at, cut in enumerate([whole.start, *puzzle.cuts]):
        end = [*puzzle.cuts, whole.end][at]
        early = places.before(cut, puzzle.overlaps[at])[0] if puzzle.overlaps[at] else cut
        if pages and len(pages[-1].columns):
            # It begins with the last candle of the page before: else nothing says of that one, by
            # a clock that cannot be trusted, that it is closed.
            early = min(early, pages[-1].columns.time[-1])
        exchange.now += puzzle.passing[at]
        if (back := puzzle.revised[at]) is not None:
            exchange.revise(back)
        # A page overlaps the one before it and none before that.
        spans.append(Span(max(spans[-1].start if spans else cut, early), end))
        pages.append(_page(exchange, memory, timeframe, *spans[-1]))
    found = assemble(pages, whole, calendar, pages[-1].clock)
    for _ in pages:
        # What is requested again may differ from a page beside it: an exchange revises meanwhile.
        if not found.again:
            break
        again = [_page(exchange, memory, timeframe, *span) for span in found.again]
        fresh = {(one.start, one.end): one for one in again}
        pages = [fresh.get(span, one) for span, one in zip(spans, pages, strict=True)]
        found = assemble(pages, whole, calendar, pages[-1].clock)
    question = Question(timeframe, puzzle.start, puzzle.end)
    candles = memory.candles(exchange, timeframe)
    clock = Clocks(*_clock(exchange))
    right = answer(question, places, candles, candles[-1].time, clock, lambda *_: True)
    right.clocks_disagree = None
    columns = found.columns[:]
    columns.extend(found.open)
    columns = between(columns, puzzle.start, puzzle.end)
    gaps = clipped(found.gaps, calendar.ceil(puzzle.start), whole.end)
    given = Given.made(
        columns,
        [Gap(gap.start, gap.end, calendar.count(gap.start, gap.end), gap.cause) for gap in gaps],
        is_open=len(found.open) > 0 and list(found.open.time) == list(columns.time[-1:]),
    )
    right.gaps = dict.fromkeys(right.gaps)
    check(question, given, right, candles, [], tightness(world, timeframe), has_quality=False)


def _page(exchange: Exchange, memory: Memory, timeframe: str, start: int, end: int) -> Page:
    rows = [one for one in exchange.candles(PAIR, timeframe) if start <= one.time < end]
    memory.hear(exchange, [Sent(PAIR, timeframe, rows, exchange.now)])
    return page(start, end, Columns.from_rows(rows), Clock(*_clock(exchange)))


def _clock(exchange: Exchange) -> tuple[int, int]:
    date = (exchange.now + exchange.world.date) // SECOND * SECOND
    return date, exchange.now + exchange.world.ours
