"""The right answer to a question about candles, by brute force from the rules of docs/candles.md.

Place by place, without anything of `marketdata`. The sections are those of the page.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from .wire import Sent
from .world import DAY, HOUR, KNOWN, MINUTE, OTHERS, PAIR, Candle, Exchange, length

DEFAULT = 100
FILLABLE = ("no_trades", "outage")


class Question(NamedTuple):
    """A question about candles; times are Unix milliseconds."""

    timeframe: str
    start: int | None = None
    end: int | None = None
    limit: int | None = None
    fill: Literal["none", "zero", "previous"] = "none"


class Clock(NamedTuple):
    """The clocks at the time of an answer."""

    date: int
    """The exchange's ``Date``, in milliseconds, of whole seconds."""
    ours: int


# ---------------------------------------------------------------- 2. The calendar


@dataclass(frozen=True)
class Calendar:
    """Where candles of a timeframe are expected."""

    openings: Callable[[int, int], Sequence[int]]
    """Lists the open times from one time to before another."""
    span: int
    """More than the longest place."""

    def place(self, time: int) -> int:
        """Return the place that a time is in, by its open time."""
        return self.openings(time - self.span, time + 1)[-1]

    def following(self, place: int) -> int:
        """Return the end of a place."""
        return self.openings(place + 1, place + self.span)[0]

    def before(self, place: int, count: int) -> list[int]:
        """List a number of places before one."""
        return list(self.openings(place - (count + 2) * self.span, place))[-count:]


def own_calendar(exchange: Exchange, timeframe: str) -> Calendar:
    """Return the calendar of candles that the exchange has."""
    return Calendar(
        lambda low, high: exchange.world.days.openings(timeframe, low, high),
        {"M": 62 * DAY, "y": 732 * DAY}.get(timeframe[-1]) or 2 * length(timeframe),
    )


def fixed_calendar(timeframe: str) -> Calendar:
    """Return the calendar of candles that are resampled."""
    count, unit = int(timeframe[:-1]), timeframe[-1]
    months = count * {"M": 1, "y": 12}.get(unit, 0)
    if not months:
        step, monday = length(timeframe), 4 * DAY if unit == "w" else 0
        return Calendar(lambda low, high: range(low + -(low - monday) % step, high, step), 2 * step)

    def opened(low: int, high: int) -> list[int]:
        first, end = (datetime.fromtimestamp(at / 1000, UTC).year for at in (low, high))
        firsts = [
            round(datetime(year, month, 1, tzinfo=UTC).timestamp() * 1000)
            for year in range(first, end + 1)
            for month in range(1, 13)
            if ((year - 1970) * 12 + month - 1) % months == 0
        ]
        return [at for at in firsts if low <= at < high]

    return Calendar(opened, 2 * 31 * months * DAY)


def resampled(timeframe: str, parts: Iterable[Candle]) -> list[Candle]:
    """Make the candles of a timeframe, each of all parts that open in its place."""
    calendar, found = fixed_calendar(timeframe), dict[int, list[Candle]]()
    for part in parts:
        found.setdefault(calendar.place(part.time), []).append(part)
    return [
        Candle(
            place,
            inside[0].open,
            max(one.high for one in inside),
            min(one.low for one in inside),
            inside[-1].close,
            sum(one.volume for one in inside),
            sum(one.trades for one in inside),
        )
        for place, inside in found.items()
    ]


# ---------------------------------------------------------------- 6. What is known


@dataclass
class Memory:
    """The candles that a client has received of the pair, by timeframe, and may have stored."""

    told: dict[str, dict[int, Candle]] = field(default_factory=dict)
    """Closed candles, as they were last sent."""
    empty: dict[str, set[int]] = field(default_factory=dict)
    """Places that had none, although a later candle was there, or a day had passed."""
    beside: bool = True
    """Whether that counts which an answer holds from behind the range that was requested: it is not
    said whether a request covers that."""

    def hear(self, exchange: Exchange, answers: Iterable[Sent]) -> None:
        """Note the content of responses."""
        for sent in answers:
            pair, timeframe, candles, now = sent[:4]
            if pair == PAIR:
                told = self.told.setdefault(timeframe, {})
                upto = None if self.beside else _reach(exchange, sent)
                for one in candles:
                    if one.high < one.low:
                        continue  # It counts as if it had not been sent.
                    if upto is not None and one.time >= upto:
                        continue
                    if is_final(exchange, timeframe, one, now):
                        told[one.time] = one
                    self.empty.setdefault(timeframe, set()).discard(
                        own_calendar(exchange, timeframe).place(one.time)
                    )

    def settle(self, exchange: Exchange, timeframe: str) -> None:
        """Note which places have no candle at the end of a call whose answer may be stored."""
        calendar, there = own_calendar(exchange, timeframe), exchange.candles(PAIR, timeframe)
        late = exchange.world.late
        if late is None or exchange.arrived or late.timeframe != timeframe:
            return  # Nothing can come that is not there yet.
        exchange.arrived = True
        absent = {one.time for one in exchange.candles(PAIR, timeframe)} - {
            one.time for one in there
        }
        exchange.arrived = False
        for place in map(calendar.place, absent):
            over = calendar.following(place)
            if there[-1].time >= over or exchange.now - over >= DAY:
                self.empty.setdefault(timeframe, set()).add(place)

    def candles(self, exchange: Exchange, timeframe: str) -> list[Candle]:
        """List the exchange's own candles as a right answer has them now.

        A revision counts once an answer has told it, and so does a candle that has come late, where
        its place was settled before.
        """
        told, empty = self.told.get(timeframe, {}), self.empty.get(timeframe, set())
        calendar = own_calendar(exchange, timeframe)
        return [
            told.get(one.time, one) if is_final(exchange, timeframe, one, exchange.now) else one
            for one in exchange.candles(PAIR, timeframe)
            if not empty or calendar.place(one.time) not in empty
        ]


def _reach(exchange: Exchange, sent: Sent) -> int | None:
    """Return when a range ends that was requested, without its last place; None: not in the answer.

    That place may be asked for to see what comes behind the range. How many places it has is
    counted on the calendar that is known of the exchange: candles only tell another one later.
    """
    if sent.start is None or not sent.candles:
        return None
    last = max(one.time for one in sent.candles)
    places = KNOWN[exchange.world.form].openings(sent.timeframe, sent.start, last + 1)
    return places[sent.limit - 1] if len(places) >= sent.limit else None


def is_final(exchange: Exchange, timeframe: str, candle: Candle, now: int) -> bool:
    """Return whether no more trading can come into a candle."""
    calendar = own_calendar(exchange, timeframe)
    # By a Date ahead a candle is over a little early; nothing is traded in that time.
    return calendar.following(calendar.place(candle.time)) <= now + max(0, exchange.world.date)


# ---------------------------------------------------------------- 3. Open and closed


@dataclass(frozen=True)
class Moment:
    """What is known of time: the clocks, and the newest candle, which the exchange's is not
    before."""

    clock: Clock
    newest: int

    @property
    def exchange(self) -> int:
        return max(self.clock.date, self.newest)

    @property
    def differs(self) -> bool:
        return abs(self.clock.date - self.clock.ours) > MINUTE

    def is_closed(self, end: int) -> bool:
        """Tell of a candle that ends then whether it is closed, where there is no newer one."""
        return end <= self.exchange and (not self.differs or end <= self.clock.ours)

    def disagrees(self, end: int) -> bool:
        return self.differs and (end <= self.exchange) != (end <= self.clock.ours)


# ---------------------------------------------------------------- 4. and 5. The answer


@dataclass
class Expected:
    """The right answer."""

    candles: list[Candle]
    gaps: dict[int, str]
    """The cause of each place that lacks, by its open time."""
    filled: set[int]
    """Candles that are not the exchange's."""
    is_open: bool | None
    """Of the last candle; None where both are right: only a candle that opens after ``end`` says
    that it is closed, and whether that is looked at is not said."""
    clocks_disagree: bool | None
    unsure: set[int]
    """Places of which the same is true, that they are over."""
    calendar: Calendar
    by_hours: set[int]
    """Places of an outage in an hour that is judged as a whole, in which there was trading: they
    may be without trades as well."""


def answer(
    question: Question,
    calendar: Calendar,
    candles: list[Candle],
    newest: int,
    clock: Clock,
    is_busy: Callable[[int, int], bool],
    unsound: int | None = None,
) -> Expected:
    """Return the right answer, from all candles of a timeframe that the exchange has.

    ``newest`` is the time of the newest of its own; ``is_busy`` tells of a span whether another
    pair has a candle with volume that opens in it. ``unsound`` is the time of a candle, none of
    those, that only ever came with numbers that cannot be.
    """
    start, end, limit = question.start, question.end, question.limit
    chosen = [
        one
        for one in candles
        if (start is None or one.time >= start) and (end is None or one.time < end)
    ]
    first = calendar.place(candles[0].time)
    moment = Moment(clock, newest)
    # What an answer that holds nothing from after its end says of time.
    seen = moment if not end else Moment(clock, max([0, *(one.time for one in chosen)]))

    # The places of the whole range, without regard to the limit.
    low = start if start is not None else first
    high = end
    if end is None:
        high = moment.exchange if start is not None else candles[-1].time + 1
    places = calendar.openings(low, max(low, high or 0))
    taken = {calendar.place(one.time) for one in candles}
    newest_place, last_seen = max(taken), max([0, *map(calendar.place, (o.time for o in chosen))])
    gaps, unsure, either = dict[int, str](), set[int](), set[int]()
    for place in places:
        if place in taken:
            continue
        over = calendar.following(place)
        is_over, seems_over = (
            place < last or (over <= known.exchange and over <= clock.ours)
            for last, known in ((newest_place, moment), (last_seen, seen))
        )
        if is_over or place < first:
            gaps[place] = "no_trades" if is_busy(place, over) else "outage"
            if place < first:
                gaps[place] = "not_served"
            elif _is_judged_by_hours(calendar, taken, place) and is_busy(*_hour(place)):
                either.add(place)
            elif unsound is not None and place == calendar.place(unsound):
                gaps[place] = "not_fetched"
        if is_over != seems_over:
            unsure.add(place)

    made = _fill(chosen, gaps, question.fill)
    for one in made:
        gaps.pop(one.time)
    given = sorted([*chosen, *made])
    wanted = limit or (None if start is not None else DEFAULT)
    if wanted is not None and len(given) >= wanted:
        given = given[:wanted] if start is not None else given[-wanted:]
        low, high = calendar.place(given[0].time), calendar.place(given[-1].time)
        gaps = {
            place: cause
            for place, cause in gaps.items()
            if (place < high if start is not None else place > low)
        }
    elif wanted is not None and start is None:
        lacking = wanted - len(given)
        before = calendar.place(given[0].time) if given else calendar.place(end or newest) + 1
        if not given and end is not None:
            before = end
        gaps |= dict.fromkeys(calendar.before(before, lacking), "not_served")

    filled = {one.time for one in made}
    is_open, disagree = False, False
    if given and given[-1].time not in filled:
        last = given[-1]
        over = calendar.following(calendar.place(last.time))
        said = [
            (not one.is_closed(over), one.disagrees(over)) if is_newest else (False, False)
            for one, is_newest in ((moment, last == candles[-1]), (Moment(clock, last.time), True))
        ]
        is_open, disagree = said[0]
        if said[0] != said[1]:
            is_open, disagree = None, None
    both = {place for place in either if gaps.get(place) == "outage"}
    return Expected(given, gaps, filled, is_open, disagree, unsure & set(gaps), calendar, both)


def _hour(place: int) -> tuple[int, int]:
    return place - place % HOUR, place - place % HOUR + HOUR


def _is_judged_by_hours(calendar: Calendar, taken: set[int], place: int) -> bool:
    """Return whether a place lies in a whole hour without candles, of candles shorter than that."""
    places = calendar.openings(*_hour(place))
    return len(places) > 1 and not taken.intersection(places)


def _fill(candles: list[Candle], gaps: dict[int, str], how: str) -> list[Candle]:
    """Make candles for places that lack: of zeros, or at the close before where that is known."""
    if how == "none":
        return []
    made, close = list[Candle](), None
    for time, cause, one in sorted(
        [(one.time, "", one) for one in candles]
        + [(place, cause, None) for place, cause in gaps.items()]
    ):
        if one is not None:
            close = one.close
        elif cause in FILLABLE and (how == "zero" or close is not None):
            prices = [0.0 if how == "zero" else close or 0.0] * 4
            made.append(Candle(time, *prices, 0.0, 0))
        else:
            close = None
    return made


def busy(exchange: Exchange, timeframe: str) -> Callable[[int, int], bool]:
    """Tell of spans whether the pairs that are always traded have candles with volume in them."""
    traded = sorted(
        one.time for pair in OTHERS for one in exchange.candles(pair, timeframe) if one.volume
    )

    def is_busy(low: int, high: int) -> bool:
        return bisect_right(traded, high - 1) > bisect_right(traded, low - 1)

    return is_busy
