"""What is asserted of each answer, by the rules of docs/candles.md: each in a function of its name.

An answer is compared with the right one of `truth`. Where a calendar is not the exchange's known
one, it can only be learned from candles. Then the edges of gaps are held less tightly, since the
same candles allow of several calendars:

- With fewer than three candles in the answer, gaps are only to name the right causes.
- Over days of different lengths an edge may be off by what such days differ, since nothing tells
  on which of several days without candles the change was. Between neighbours that lack nothing
  there is no gap.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from .truth import Expected, Question
from .world import Candle


class RuleError(AssertionError):
    """A rule that an answer breaks."""

    def __init__(self, rule: str, *why: object) -> None:
        super().__init__(f"{rule}: " + ", ".join(map(str, why)))
        self.rule = rule


@dataclass(frozen=True)
class Gap:
    """A gap as an answer names it."""

    start: int
    end: int
    places: int
    cause: str | None


@dataclass(frozen=True)
class Given:
    """An answer."""

    candles: list[Candle]
    gaps: list[Gap]
    filled: list[Gap]
    is_open: bool
    open_flags: list[bool]
    clock_offset: float | None
    flags: dict[int, str]
    """The quality of candles that have one, by their open time."""

    @classmethod
    def of(cls, answer: Any) -> Given:
        """Read an answer of `marketdata`."""
        return cls(
            _candles(answer.columns),
            [_gap(one) for one in answer.missing],
            [_gap(one) for one in answer.filled or ()],
            answer.forming,
            [one.forming for one in answer],
            answer.clock_offset_ms,
            {_ms(one.open_time): one.quality for one in answer.quality or ()},
        )

    @classmethod
    def made(cls, columns: Any, gaps: list[Gap], *, is_open: bool) -> Given:
        """Make an answer from the result of the core."""
        candles = _candles(columns)
        flags = [False] * (len(candles) - is_open) + [True] * is_open
        return cls(candles, gaps, [], is_open, flags, None, {})


def _candles(columns: Any) -> list[Candle]:
    return [Candle(row[0], *map(float, row[1:6]), row[6]) for row in columns.rows()]


def _gap(one: Any) -> Gap:
    return Gap(_ms(one.start), _ms(one.end), one.bars, one.cause)


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)


def check(
    question: Question,
    given: Given,
    right: Expected,
    there: Iterable[Candle],
    told: Iterable[Candle],
    tightness: str,
    *,
    has_quality: bool = True,
) -> None:
    """Hold an answer to the rules.

    ``there`` are the candles that the exchange has, ``told`` any that it has ever told. How tightly
    gaps are held is "exact", "learned" or "moving".
    """
    rule_1_a_candle_is_what_the_exchange_gave(given, right, there, told)
    rule_4_start_is_inside_end_outside_limit_counts_candles(given, right)
    rule_6_a_revision_counts_once_it_was_told_and_no_sooner(given, right)
    if tightness != "moving":
        # Where the day moves at its end, that end is only known from a newer candle.
        rule_3_a_candle_is_closed_if_a_newer_one_exists_or_its_time_is_over(given, right)
    real = [one for one in given.candles if one.time not in right.filled]
    if tightness == "exact" and has_quality:
        rule_1_a_candle_off_the_calendar_says_so(given, right)
    if tightness == "exact" or (tightness == "learned" and len(real) > 2):
        rule_2_gaps_are_counted_on_the_calendar(given, right)
        rule_5_every_place_is_accounted_for_once(given, right)
    else:
        rule_5_every_place_is_accounted_for_roughly(given, right, is_learned=len(real) > 2)


def rule_1_a_candle_is_what_the_exchange_gave(
    given: Given, right: Expected, there: Iterable[Candle], told: Iterable[Candle]
) -> None:
    rule = "1: a candle is what the exchange gave"
    times = [one.time for one in given.candles]
    if times != sorted(set(times)):
        raise RuleError(rule, "doubled or out of order", times)
    real = dict(zip(times, given.candles, strict=True))
    for one in right.candles:
        if one.time in right.filled and one.time in real and not _same(real[one.time], one):
            raise RuleError("4: fill", "a filled candle is", real[one.time], "right is", one)
    versions = {(*one[:6],) for one in [*there, *told, *right.candles]}
    for one in given.candles:
        if (*one[:6],) not in versions:
            raise RuleError(rule, "not the exchange's", one)
    if times:
        dropped = [
            one for one in right.candles if times[0] < one.time < times[-1] and one.time not in real
        ]
        if dropped:
            raise RuleError(rule, "dropped", dropped)


def rule_1_a_candle_off_the_calendar_says_so(given: Given, right: Expected) -> None:
    off = {
        one.time
        for one in right.candles
        if one.time not in right.filled and right.calendar.place(one.time) != one.time
    }
    said = {time for time, quality in given.flags.items() if quality == "off_calendar"}
    if said != off:
        raise RuleError("1: off the calendar", sorted(said), "right are", sorted(off))


def rule_4_start_is_inside_end_outside_limit_counts_candles(given: Given, right: Expected) -> None:
    rule = "4: start is inside, end outside, limit counts candles"
    found, wanted = ({one.time for one in some.candles} for some in (given, right))
    if found != wanted:
        missing, beyond = sorted(wanted - found), sorted(found - wanted)
        raise RuleError(rule, len(found), "of", len(wanted), "missing", missing, "too many", beyond)


def rule_6_a_revision_counts_once_it_was_told_and_no_sooner(given: Given, right: Expected) -> None:
    for one, wanted in zip(given.candles, right.candles, strict=True):
        if not _same(one, wanted):
            raise RuleError("6: the version that counts", one, "right is", wanted)


def rule_3_a_candle_is_closed_if_a_newer_one_exists_or_its_time_is_over(
    given: Given, right: Expected
) -> None:
    rule = "3: open and closed"
    if any(given.open_flags[:-1]) or given.is_open != any(given.open_flags):
        raise RuleError(rule, "an open candle that is not the last")
    if right.is_open is not None and given.is_open != right.is_open:
        raise RuleError(rule, "the last candle is", "open" if right.is_open else "closed")
    if right.clocks_disagree not in (None, given.clock_offset is not None):
        raise RuleError("3: the clocks", "disagree" if right.clocks_disagree else "agree")


def rule_2_gaps_are_counted_on_the_calendar(given: Given, right: Expected) -> None:
    rule = "2: gaps are counted on the calendar"
    for gap in (*given.gaps, *given.filled):
        places = right.calendar.openings(gap.start, gap.end)
        if not places or places[0] != gap.start or right.calendar.following(places[-1]) != gap.end:
            raise RuleError(rule, "edges off the calendar", gap)
        if gap.places != len(places):
            raise RuleError(rule, "counts", gap.places, "places of", len(places))


def rule_5_every_place_is_accounted_for_once(given: Given, right: Expected) -> None:
    rule = "5: every place is accounted for once"
    named = dict[int, str | None]()
    for gap in given.gaps:
        for place in right.calendar.openings(gap.start, gap.end):
            if place in named:
                raise RuleError(rule, "twice", place)
            named[place] = gap.cause
    wrong = {
        place: (named.get(place, "-"), right.gaps.get(place, "-"))
        for place in named.keys() | right.gaps.keys()
        if place not in right.unsure
        and named.get(place, "-") != right.gaps.get(place, "-")
        and not (place in right.by_hours and named.get(place) == "no_trades")
    }
    if wrong:
        raise RuleError(rule, len(wrong), "wrong, named and right", sorted(wrong.items())[:5])
    ordered = sorted(given.gaps, key=lambda gap: gap.start)
    if list(given.gaps) != ordered:
        raise RuleError(rule, "gaps out of order")
    for one, other in pairwise(ordered):
        if one.end == other.start and one.cause == other.cause:
            raise RuleError(rule, "one gap named as two", one, other)
    places = {
        place for gap in given.filled for place in right.calendar.openings(gap.start, gap.end)
    }
    shown = {one.time for one in right.candles} & right.filled
    if places != shown:
        raise RuleError("4: fill", "filled gaps", sorted(places), "right is", sorted(shown))


def rule_5_every_place_is_accounted_for_roughly(
    given: Given, right: Expected, *, is_learned: bool
) -> None:
    rule = "5: every place is accounted for"
    # A single place may lie on this side of an edge or on that.
    sure = Counter(cause for place, cause in right.gaps.items() if place not in right.unsure)
    expected = {cause for cause, places in sure.items() if places > 1}
    if not {gap.cause for gap in given.gaps if gap.places > 1} <= set(right.gaps.values()):
        raise RuleError(rule, "causes", given.gaps, "right are", set(right.gaps.values()))
    if not expected <= {gap.cause for gap in given.gaps} and is_learned:
        raise RuleError(rule, "causes", given.gaps, "right are", expected)
    if not is_learned:
        return
    for one in given.candles:
        if any(gap.start <= one.time < gap.end for gap in given.gaps):
            raise RuleError(rule, "a candle in a gap", one)
    for one, other in pairwise(given.candles):
        lacking = [place for place in right.gaps if one.time < place < other.time]
        named = [gap for gap in given.gaps if one.time < gap.end and gap.start < other.time]
        if abs(len(lacking) - sum(gap.places for gap in named)) > (1 if lacking else 0):
            raise RuleError(rule, len(lacking), "places lack, named are", named)
    for one, other in zip(given.gaps, given.gaps[1:], strict=False):
        if other.start < one.end:
            raise RuleError(rule, "gaps that overlap", one, other)
    if any(gap.places < 1 or gap.start >= gap.end for gap in given.gaps):
        raise RuleError(rule, "a gap of no place", given.gaps)
    counted, wanted = sum(gap.places for gap in given.gaps), len(right.gaps)
    runs = 1 + sum(right.calendar.following(place) not in right.gaps for place in right.gaps)
    if abs(counted - wanted) > runs + len(right.unsure):
        raise RuleError(rule, counted, "places in gaps, right are", wanted)


def _same(one: Candle, other: Candle) -> bool:
    # Not every exchange counts trades.
    return one[:6] == other[:6] and one.trades in (other.trades, -1, None)
