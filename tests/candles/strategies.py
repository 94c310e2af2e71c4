"""Worlds and steps, for hypothesis to generate and to shrink."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import NamedTuple

from hypothesis import strategies as st

from .truth import Question
from .world import DAY, HOUR, KNOWN, MINUTE, SECOND, Days, Late, Odd, Unsound, World, length

TIMEFRAMES = {
    ("binance", MINUTE): ("1m", "5m", "2m", "10m", "45m"),
    ("htx", MINUTE): ("1m", "5m", "3m", "10m", "45m"),
    ("binance", HOUR): ("1h", "4h", "1d", "1w", "3h", "2d"),
    ("htx", HOUR): ("1h", "4h", "1d", "1w", "2h", "12h", "2d"),
    ("binance", 6 * HOUR): ("1d", "1w", "1M", "2d", "2w", "3M"),
    ("htx", 6 * HOUR): ("1d", "1w", "1M", "2d", "2w", "3M"),
}
"""The requested timeframes, by the exchange's format and its unit of trading."""

OWN = ("1m", "5m", "15m", "1h", "4h", "1d", "1w", "1M")


class Ask(NamedTuple):
    """Ask for candles."""

    question: Question
    store: bool = True
    refresh: bool = False
    strict: bool = False
    exact: bool = False
    """With Decimals."""


class Download(NamedTuple):
    """Download candles that the exchange has."""

    timeframe: str
    start: int
    end: int | None
    refresh: bool = False


class Advance(NamedTuple):
    """Let time pass."""

    by: int


class Revise(NamedTuple):
    """Let the exchange revise a past trade."""

    back: int


class Arrive(NamedTuple):
    """Let candles arrive that were late."""


class LookAfter(NamedTuple):
    """Verify, list, export and repair stored candles."""


Step = Ask | Download | Advance | Revise | Arrive | LookAfter


class Sequence(NamedTuple):
    """A world and the steps in it."""

    world: World
    steps: list[Step]


@st.composite
def sequences(draw: Callable, longest: int = 2_600) -> Sequence:
    form = draw(st.sampled_from(["binance", "htx"]))
    unit = draw(st.sampled_from([MINUTE, HOUR, 6 * HOUR]))
    begin = draw(st.sampled_from(["2024-02-27", "2024-10-26", "2023-12-29", "2021-03-25"]))
    lengths = [st.integers(1, 40), st.integers(40, 400), st.sampled_from([1_100, 1_500, 2_600])]
    past = draw(st.one_of(lengths[: 2 if longest < 1_100 else 3]))
    begun = round(datetime.fromisoformat(begin).replace(tzinfo=UTC).timestamp() * 1000)
    elapsed = draw(st.sampled_from([0, unit // 2, 1, 999, SECOND, unit - SECOND, unit - 1]))
    timeframes = draw(
        st.lists(st.sampled_from(TIMEFRAMES[form, unit]), min_size=1, max_size=2, unique=True)
    )
    own = [one for one in timeframes if one in OWN]
    now = begun + past * unit + elapsed
    tick = draw(st.sampled_from([0, 0, 0, 1, 300, SECOND]))
    if tick and timeframes[0][-1] in "mh" and draw(st.booleans()):
        # A candle ends while it is asked for.
        step = length(timeframes[0])
        now = (now // step + 1) * step - draw(st.integers(1, 6)) * tick

    def sometimes(wanted: st.SearchStrategy, usual: object = None) -> object:
        return draw(st.one_of(st.just(usual), st.just(usual), wanted))

    spans = st.lists(
        st.tuples(st.integers(0, past + 5), st.one_of(st.integers(1, 30), st.integers(1, past))),
        max_size=2,
    ).map(tuple)
    ahead, ours = draw(
        st.one_of(
            st.just((0, 0)),
            st.tuples(
                st.sampled_from([0, -SECOND, -3 * SECOND, 2 * SECOND, -90 * SECOND, -2 * HOUR]),
                st.sampled_from([0, 20, -20, 300, -300, 86_400, -86_400, 3_600 * 24 * 3_650]).map(
                    lambda seconds: seconds * SECOND
                ),
            ),
            # Only where ours is not ahead as well are trades to come not taken for past ones.
            st.tuples(st.just(90 * SECOND), st.sampled_from([0, -300 * SECOND])),
        )
    )
    days = KNOWN[form]
    has_days = any(one[-1] in "dwM" for one in timeframes)
    if has_days:
        days = sometimes(_days(begun, now), days)
    odd, late = (), None
    hours = [one for one in own if one[-1] in "mh"]
    if hours:
        odd = sometimes(st.lists(_odd(begun, unit, past, hours), min_size=1, max_size=2), ())
    if own:
        late = sometimes(
            st.builds(Late, st.sampled_from(own), newer=st.integers(0, 2), count=st.integers(1, 2))
        )
    unsound = None
    if own == timeframes:
        # What a candle is that is resampled from such a one is not said.
        unsound = sometimes(
            st.builds(
                Unsound,
                st.sampled_from(own),
                newer=st.integers(1, 20),
                times=st.sampled_from([1, None]),
            )
        )
    world = World(
        begun,
        unit,
        past + 300,
        now,
        form,
        seed=draw(st.integers(0, 999)),
        listed=sometimes(st.integers(0, max(0, past - 1)), 0),
        ended=sometimes(st.integers(1, past)),
        halts=sometimes(spans, ()),
        outages=sometimes(spans, ()),
        quiet=sometimes(st.sampled_from([0.1, 0.5, 0.9]), 0.0),
        flat=draw(st.booleans()),
        days=days,
        date=ahead,
        ours=ours,
        tick=tick,
        odd=tuple(odd),
        late=late,
        short=sometimes(st.sampled_from([0.2, 0.9]), 0.0),
        doubled=sometimes(st.sampled_from([0.5, 1.0]), 0.0),
        unsound=unsound,
    )
    if world.ended is not None and world.ended <= world.listed:
        world = replace(world, ended=None)
    # It was listed with its first trade.
    world = replace(
        world,
        halts=tuple(one for one in world.halts if not _holds(one, world.listed)),
        outages=tuple(one for one in world.outages if not _holds(one, world.listed)),
    )
    steps = draw(st.lists(_step(world, timeframes, own), min_size=1, max_size=7))
    return Sequence(world, steps)


def _days(begun: int, now: int) -> st.SearchStrategy[Days]:
    middle = datetime.fromtimestamp((begun + now) / 2000, UTC).date()
    return st.one_of(
        st.builds(
            Days,
            st.sampled_from(["UTC", "Etc/GMT-8", "Etc/GMT+5"]),
            week=st.sampled_from([0, 3, 6]),
            months=st.sampled_from([None, "UTC"]),
        ),
        st.builds(Days, st.sampled_from(["America/Chicago", "Europe/London"])),
        st.builds(
            Days, later=st.sampled_from(["Etc/GMT-8", "Etc/GMT+5"]).map(lambda zone: (middle, zone))
        ),
    )


@st.composite
def _odd(draw: Callable, begun: int, unit: int, past: int, timeframes: list[str]) -> Odd:
    """Not among the newest: when one that is off the calendar ends is not said."""
    name = draw(st.sampled_from(timeframes))
    step = length(name)
    end = (past * unit) // step - 3
    first = draw(st.integers(0, max(0, end)))
    count = draw(st.one_of(st.just(1), st.integers(1, 50)))
    shift = draw(st.sampled_from([step // 60 * 17, SECOND, step - SECOND]))
    start = begun + first * step
    upto = min(start + count * step, begun + end * step)
    return Odd(name, start, upto, shift, draw(st.booleans()))


def _holds(span: tuple[int, int], unit: int) -> bool:
    return span[0] <= unit < span[0] + span[1]


@st.composite
def _step(draw: Callable, world: World, timeframes: list[str], own: list[str]) -> Step:
    kinds = ["ask", "ask", "ask", "advance", "revise", "look"]
    kinds += ["download"] if own else []
    kinds += ["arrive"] if world.late else []
    kind = draw(st.sampled_from(kinds))
    if kind == "advance":
        unit = world.unit
        return Advance(draw(st.sampled_from([1, SECOND, unit // 3, unit, 3 * unit, 40 * unit])))
    if kind == "revise":
        return Revise(draw(st.one_of(st.integers(0, 5), st.integers(0, 400))))
    if kind == "arrive":
        return Arrive()
    if kind == "look":
        return LookAfter()
    if kind == "download":
        start, end = draw(_moment(world)), draw(st.one_of(st.none(), _moment(world, end=True)))
        end = None if end is not None and end <= start else end
        return Download(draw(st.sampled_from(own)), start, end, draw(st.booleans()))
    start = draw(st.one_of(st.none(), _moment(world), _moment(world)))
    end = draw(st.one_of(st.none(), _moment(world, end=True)))
    if start is not None and end is not None and end <= start:
        end = None
    question = Question(
        draw(st.sampled_from(timeframes)),
        start,
        end,
        draw(st.sampled_from([None, None, None, None, 1, 2, 3, 7, 30, 100, 1_200])),
        draw(st.sampled_from(["none", "none", "none", "zero", "previous"])),
    )
    rare = st.sampled_from([False, False, False, False, True])
    store = draw(st.sampled_from([True, True, True, False]))
    return Ask(question, store, draw(rare), draw(rare), draw(rare))


@st.composite
def _moment(draw: Callable, world: World, *, end: bool = False) -> int:
    """A start, never ahead of the exchange's clock, or an end, which may be."""
    past = (world.now - world.begin) // world.unit
    units = st.one_of(
        st.integers(-30, past + (3 if end else 0)),
        st.sampled_from(
            [
                *(world.listed, -1_200, past, past - 1),
                *(at for span in (*world.halts, *world.outages) for at in (span[0], sum(span))),
            ]
        ),
    ).map(lambda unit: world.begin + unit * world.unit)
    days = world.days.openings("1d", world.begin - 3 * DAY, world.now)
    at = draw(st.one_of(units, st.sampled_from(days)))
    at += draw(st.sampled_from([0, 0, 0, 1, -1, world.unit // 2]))
    if end:
        return at
    return min(at, (world.now + min(0, world.date)) // SECOND * SECOND)
