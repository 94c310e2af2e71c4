"""A sequence of steps on one world and one store, with a socket; answers must follow the rules."""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import time_machine

import marketdata as md

from .rules import Given, RuleError, check
from .strategies import OWN, Advance, Arrive, Ask, Download, LookAfter, Revise, Sequence
from .truth import (
    Calendar,
    Clock,
    Expected,
    Memory,
    Question,
    answer,
    busy,
    fixed_calendar,
    own_calendar,
    resampled,
)
from .wire import PERIODS, Sent, Wire
from .world import DAY, KNOWN, PAIR, SECOND, Candle, Exchange, World, length

OFFERED = {
    "binance": [
        *("1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h"),
        *("4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"),
    ],
    "htx": list(PERIODS.values()),
}

MOST_REQUESTS = 100
"""The maximum requests of any call in these worlds: some pages, and some for other pairs."""


def run(sequence: Sequence, wire: Wire) -> None:
    """Run a sequence, starting with an empty store; a broken rule raises `RuleError`."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        session = _Session(sequence, wire, Path(home))
        with time_machine.travel(session.ours / 1000, tick=False) as travel, session.client():
            wire.on_tick = lambda: travel.move_to(session.ours / 1000)
            for step in sequence.steps:
                wire.on_tick()
                session.do(step)
            wire.on_tick = lambda: None


class _Session:
    def __init__(self, sequence: Sequence, wire: Wire, home: Path) -> None:
        self.world = sequence.world
        self.exchange = Exchange(sequence.world)
        self.memory, self.strictly = Memory(), Memory(beside=False)
        self.memories = (self.memory, self.strictly)
        self.told: list[Candle] = []
        self._wire, self._home = wire, home
        self._settled: set[tuple[object, ...]] = set()
        wire.exchange = self.exchange
        wire.sent.clear()

    @property
    def ours(self) -> int:
        return self.exchange.now + self.world.ours

    @contextmanager
    def client(self) -> Iterator[None]:
        form, named = self.world.form, {"home": self._home, "retries": 0}
        named["endpoints"] = {form: self._wire.url}
        with (
            md.Client(form, **named) as plain,
            md.Client(form, numbers="decimal", **named) as other,
        ):
            self._client, self._exact = plain, other
            yield

    def do(self, step: object) -> None:
        match step:
            case Advance(by):
                room = self.world.begin + self.world.units * self.world.unit - self.exchange.now
                self.exchange.now += min(by, room - 1)
            case Revise(back):
                self.exchange.revise(back)
            case Arrive():
                self.exchange.arrived = True
            case Ask():
                self._ask(step)
            case Download():
                self._download(step)
            case LookAfter():
                self._look_after()

    # ------------------------------------------------------------------ asking

    def _ask(self, step: Ask) -> None:
        question = step.question
        if question.timeframe in OWN and not is_known(self.world, question.timeframe):
            # Filled candles stand on a calendar that can only be learned.
            question = question._replace(fill="none")
        client = self._exact if step.exact else self._client
        with self._heard(question.timeframe) as sent:
            try:
                found = client.candles(
                    PAIR,
                    question.timeframe,
                    start=question.start,
                    end=question.end,
                    limit=question.limit,
                    fill=question.fill,
                    store=step.store,
                    refresh=step.refresh,
                )
            except Exception as error:
                raise RuleError("7: no error", type(error).__name__, error) from error
        if len(sent) > MOST_REQUESTS:
            raise RuleError("6: an answer takes a few requests", len(sent), "requests")
        source = self._source(question, found.resampled_from, sent)
        given = Given.of(found)
        moments = list(dict.fromkeys([one.now for one in sent] + [self.exchange.now]))
        ways = [(moment, memory) for moment in moments for memory in self.memories]
        for moment, memory in ways:
            try:
                right = self._hold(question, given, source, moment, memory)
                break
            except RuleError:
                # An answer may be of any moment of a call in which time passes.
                if (moment, memory) == ways[-1]:
                    raise
        if step.store and not step.exact:
            self._settle(source)
        if step.strict and tightness(self.world, question.timeframe) == "exact":
            self._ask_strictly(question, right, client)
            if not step.exact:
                self._settle(source)  # It may have asked for more, where pages are short.
        self._count_requests(step, question, source, sent)

    def _settle(self, timeframe: str) -> None:
        for memory in self.memories:
            memory.settle(self.exchange, timeframe)

    def _hold(
        self, question: Question, given: Given, source: str, moment: int, memory: Memory
    ) -> Expected:
        exchange, end = self.exchange, self.exchange.now
        exchange.now = moment
        try:
            calendar, candles, newest = self._candles(question.timeframe, source, memory)
            clock = Clock((moment + self.world.date) // SECOND * SECOND, moment + self.world.ours)
            is_busy = busy(exchange, source)
            unsound = exchange.unsound(source)
            candles = [one for one in candles if one.time != unsound]
            right = answer(question, calendar, candles, newest, clock, is_busy, unsound)
            if right.unsure and question.fill != "none":
                return right  # What is filled there follows from what cannot be told.
            check(
                question,
                given,
                right,
                candles,
                self.told,
                tightness(self.world, question.timeframe),
            )
            return right
        finally:
            exchange.now = end

    def _candles(
        self, timeframe: str, source: str, memory: Memory
    ) -> tuple[Calendar, list[Candle], int]:
        own = memory.candles(self.exchange, source)
        if source == timeframe:
            return own_calendar(self.exchange, timeframe), own, own[-1].time
        return fixed_calendar(timeframe), resampled(timeframe, own), own[-1].time

    def _source(self, question: Question, named: str | None, sent: list[Sent]) -> str:
        """Give the timeframe of the exchange that an answer was made of, and check that choice."""
        offered, timeframe = OFFERED[self.world.form], question.timeframe
        if timeframe in offered:
            if named is not None:
                raise RuleError("2: the source", timeframe, "resampled from", named)
            return timeframe
        rule = "2: the source"
        right = [
            one
            for one in offered
            if length_of(timeframe) % length_of(one) == 0 and self._has_all(one, timeframe)
        ]
        if named in offered and self.world.days != KNOWN[self.world.form]:
            # Its calendar is learned from the candles that the question is about.
            own = [one for one in sent if (one.pair, one.timeframe) == (PAIR, named)]
            times = {one.time for answered in own for one in answered.candles}
            low, high = question.start or 0, question.end or 1 << 60
            seen = [time for time in times if low <= time < high]
            if len(seen) < 3 or self.world.days.move or _has_no_place(question):
                return named  # Too little is seen of its calendar to tell that it does not fit.
        if named not in right:
            raise RuleError(rule, timeframe, "resampled from", named, "right are", right)
        if self.world.days == KNOWN[self.world.form] and named != right[-1]:
            raise RuleError(rule, timeframe, "resampled from", named, "longest is", right[-1])
        return named

    def _has_all(self, source: str, timeframe: str) -> bool:
        """Return whether candles of the exchange open wherever resampled ones do."""
        if timeframe[-1] in "smh":
            return source[-1] in "smh"  # Both stand on multiples of their length.
        low, high = self.world.begin - 400 * DAY, self.world.now + 60 * DAY
        own = self.world.days
        return all(
            own.openings(source, at, at + 1) for at in fixed_calendar(timeframe).openings(low, high)
        )

    def _ask_strictly(self, question: Question, right: Expected, client: Any) -> None:
        lacks = bool(right.gaps)
        try:
            with self._heard(question.timeframe):
                client.candles(PAIR, **question._asdict(), strict=True)
        except md.DataUnavailableError as error:
            if not lacks:
                raise RuleError("5: strict", "nothing lacks, but", error) from error
        except Exception as error:
            raise RuleError("7: no error", type(error).__name__, error) from error
        else:
            if lacks and not right.unsure and not self.world.tick:
                raise RuleError("5: strict", "answered although places lack")

    def _count_requests(self, step: Ask, question: Question, source: str, sent: list[Sent]) -> None:
        """Stored closed candles are not requested again."""
        if question.start is None or question.end is None or not step.store or step.exact:
            return
        if self.exchange.unsound(source) is not None:
            return  # What could not be used may be requested again each time.
        newest = self.exchange.candles(PAIR, source)[-1].time
        calendar = self._candles(question.timeframe, source, self.memory)[0]
        asked = (question.timeframe, question.start, question.end)
        last = calendar.openings(question.start, question.end)[-1:]
        if asked in self._settled and not step.refresh and sent:
            raise RuleError("6: stored candles are not requested again", len(sent), "requests")
        if last and calendar.following(last[0]) <= newest and question.limit is None:
            self._settled.add(asked)

    @contextmanager
    def _heard(self, timeframe: str) -> Iterator[list[Sent]]:
        """Remember what was sent meanwhile; the list is filled at the end.

        Longer candles than those of the question are only asked for to see where there are any.
        """
        self._wire.sent.clear()
        sent: list[Sent] = []
        try:
            yield sent
        finally:
            sent += self._wire.sent
            self.memory.hear(self.exchange, sent)
            longest = length_of(timeframe)
            own = [one for one in sent if length_of(one.timeframe) <= longest]
            self.strictly.hear(self.exchange, own)
            self.told += [one for answered in sent for one in answered.candles]

    # ------------------------------------------------------------------ the store

    def _download(self, step: Download) -> None:
        with self._heard(step.timeframe):
            [done] = self._client.history.download(
                [PAIR], step.timeframe, start=step.start, end=step.end, refresh=step.refresh
            )
        if done.error is not None:
            raise RuleError("7: no error", "download", done.error)
        self._settle(step.timeframe)

    def _look_after(self) -> None:
        history = self._client.history
        try:
            found = damage(history.verify())
            stored = history.list()
            for one in stored:
                self._export(one.timeframe)
            repaired = damage(history.repair())
        except Exception as error:
            raise RuleError("7: no error", type(error).__name__, error) from error
        if found or repaired:
            raise RuleError("7: what is stored can be verified", found, repaired)

    def _export(self, timeframe: str) -> None:
        path = self._home / "exported.csv"
        try:
            self._client.history.export(path, PAIR, timeframe)
        except md.DataUnavailableError:
            return  # Only gaps are stored.
        with path.open() as lines:
            rows = list(csv.reader(lines))[1:]
        told, strictly = (memory.told.get(timeframe, {}) for memory in self.memories)
        found = [_row(row) for row in rows]
        times = [one.time for one in found]
        if times != sorted(set(times)):
            raise RuleError("1: a candle is what the exchange gave", "doubled in the store", times)
        for one in found:
            wanted = told.get(one.time)
            if wanted is None:
                raise RuleError("3: open candles are never stored", one)
            if one[:6] not in (wanted[:6], strictly.get(one.time, wanted)[:6]):
                raise RuleError("6: the version that counts, in the store", one, "right is", wanted)


def damage(found: Iterable[md.Damage]) -> list[md.Damage]:
    """Leave out files that were replaced less than an hour ago.

    Delta Lake judges their age by the clock of the machine, on which these worlds are years ago.
    """
    return [one for one in found if one.problem != "file_left_over"]


def _row(row: list[str]) -> Candle:
    time = round(datetime.fromisoformat(row[0]).timestamp() * 1000)
    return Candle(time, *map(float, row[1:6]), 0)


def is_known(world: World, timeframe: str) -> bool:
    """Return whether candles open like those of the real exchange."""
    return timeframe[-1] in "mh" or world.days == KNOWN[world.form]


def _has_no_place(question: Question) -> bool:
    """Tell whether no candle of a resampled timeframe opens in a range: none is made of others."""
    start, end, calendar = question.start, question.end, fixed_calendar(question.timeframe)
    return start is not None and end is not None and not calendar.openings(start, end)


def tightness(world: World, timeframe: str) -> str:
    """Return how tightly gaps of a timeframe can be held, for `rules.check`."""
    if timeframe not in OWN or is_known(world, timeframe):
        return "exact"
    return "moving" if world.days.move else "learned"


def length_of(timeframe: str) -> int:
    """Return a timeframe that divides another one, such as days for months."""
    months = {"M": 1, "y": 12}.get(timeframe[-1])
    if months is None:
        return length(timeframe)
    return int(timeframe[:-1]) * months * 30 * 86_400_000
