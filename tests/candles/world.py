"""An exchange of a few dozen lines: what was traded on it, and the candles that it has of that.

Independent of `marketdata` and of its simulator. All times are Unix milliseconds, all prices and
amounts multiples of 1/8, so that sums of floats are exact in any order.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cache
from random import Random
from typing import NamedTuple
from zoneinfo import ZoneInfo

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
PAIR, OTHERS = "SOL/USDT", ("BTC/USDT", "ETH/USDT")
"""The requested pair, and the most traded pairs, which show outages."""


class Candle(NamedTuple):
    """A candle as the exchange gives it."""

    time: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    trades: int


@dataclass(frozen=True)
class Days:
    """When days open, and the weeks and months that are made of them."""

    zone: str = "UTC"
    """Days open at midnight there, with its summer time."""
    later: tuple[date, str] | None = None
    """A date from which on they open at midnight in another zone."""
    week: int = 0
    """The day on which weeks open; 0 is Monday."""
    months: str | None = None
    """The zone at whose midnight months and years open; None: that of the days."""

    @property
    def move(self) -> bool:
        """Whether days are of different lengths: the zone has summer time, or is changed."""
        return self.later is not None or "/" in self.zone.removeprefix("Etc/")

    def openings(self, timeframe: str, low: int, high: int) -> list[int]:
        """List when candles of a timeframe are expected to open, from ``low`` to before ``high``.

        Minutes and hours stand on multiples of their length since 1970, whatever days do.
        """
        if timeframe[-1] in "smh":
            step = length(timeframe)
            return list(range(-(-low // step) * step, high, step))
        opened = _opened(self, timeframe, low // (400 * DAY), high // (400 * DAY))
        return opened[bisect_left(opened, low) : bisect_left(opened, high)]

    def _midnight(self, day: date, zone: str | None = None) -> int:
        if zone is None:
            is_later = self.later is not None and day >= self.later[0]
            zone = self.later[1] if self.later is not None and is_later else self.zone
        at = datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone))
        return round(at.timestamp() * 1000)


KNOWN = {"binance": Days(), "htx": Days("Etc/GMT-8")}
"""When days open on the real exchanges, by their form."""


@cache
def _opened(days: Days, timeframe: str, first: int, last: int) -> list[int]:
    """List all openings of days or longer candles in a span of a few years.

    Three days count from 1970-01-02, as Binance's do.
    """
    day = datetime.fromtimestamp((first - 1) * 400 * DAY / 1000, UTC).date()
    end = datetime.fromtimestamp((last + 2) * 400 * DAY / 1000, UTC).date()
    found = []
    while day < end:
        is_third = timeframe == "3d" and (day - date(1970, 1, 2)).days % 3 == 0
        if timeframe == "1d" or is_third or (timeframe == "1w" and day.weekday() == days.week):
            found.append(days._midnight(day))
        elif day.day == 1 and (timeframe == "1M" or (timeframe == "1y" and day.month == 1)):
            found.append(days._midnight(day, days.months))
        day += timedelta(days=1)
    return found


def length(timeframe: str) -> int:
    """Return the length of a candle of seconds, minutes, hours, days or weeks."""
    unit = {"s": SECOND, "m": MINUTE, "h": HOUR, "d": DAY, "w": 7 * DAY}[timeframe[-1]]
    return int(timeframe[:-1]) * unit


@dataclass(frozen=True)
class Odd:
    """Candles of a timeframe that open off the calendar, of those expected in a span."""

    timeframe: str
    start: int
    end: int
    shift: int
    besides: bool = False
    """Whether the expected ones are there, too."""


@dataclass(frozen=True)
class Late:
    """A number of newest candles of a timeframe that arrive late."""

    timeframe: str
    newer: int
    count: int = 1


@dataclass(frozen=True)
class Unsound:
    """A closed candle of a timeframe with invalid numbers, counted back from the newest."""

    timeframe: str
    newer: int
    times: int | None = None
    """In how many answers; None: in all."""


@dataclass(frozen=True)
class World:
    """An exchange and its events, which all follow from these values."""

    begin: int
    """A midnight. Trading happens in units from here on, at most once in each."""
    unit: int
    units: int
    now: int
    form: str = "binance"
    seed: int = 0
    listed: int = 0
    """The unit in which the pair is first traded."""
    ended: int | None = None
    """The first unit in which it is not traded any more."""
    halts: tuple[tuple[int, int], ...] = ()
    """First units and lengths of times in which the pair was not traded."""
    outages: tuple[tuple[int, int], ...] = ()
    """The same of times in which nothing was."""
    quiet: float = 0.0
    """The probability of a unit without trades."""
    flat: bool = False
    """Whether times without trades have candles with volume 0."""
    days: Days = Days()
    date: int = 0
    """The difference of the ``Date`` header from the world's time."""
    ours: int = 0
    """The difference of our clock from the world's time."""
    tick: int = 0
    """How much time passes with each request."""
    odd: tuple[Odd, ...] = ()
    late: Late | None = None
    short: float = 0.0
    """The probability of a page with fewer candles than requested and available."""
    doubled: float = 0.0
    """How often the first or the last candle of an answer comes twice."""
    unsound: Unsound | None = None


@dataclass
class Exchange:
    """An exchange at a moment."""

    world: World
    now: int = field(init=False)
    revised: dict[int, float] = field(default_factory=dict)
    """The revisions of the volume of trades, by their time."""
    arrived: bool = False

    def __post_init__(self) -> None:
        self.now = self.world.now
        self._chance = Random(self.world.seed)
        self._unsound_sent = 0

    def trading(self, pair: str) -> list[Candle]:
        """List all trading of a pair, each as a candle of one moment, with volume 0 where a unit
        passed in which nobody traded."""
        world, chance, price = self.world, Random(f"{self.world.seed} {pair}"), 800
        # A candle that is over by a Date ahead must not be traded any more.
        moments = (0, world.unit // 2, world.unit - 1 if world.date <= 0 else 0)
        found = []

        def trade(at: int, move: float, wick: float, size: float) -> None:
            nonlocal price
            last, price = price, max(80, price + int(move * 9) - 4)
            high, low = max(last, price) + int(wick * 3), min(last, price) - int(wick * 3)
            volume = (1 + int(size * 80)) / 8
            if pair == PAIR:
                volume += self.revised.get(at, 0.0)
            found.append(
                Candle(at, last / 8, high / 8, low / 8, price / 8, volume, 1 + int(size * 9))
            )

        for unit in range(world.units):
            moment, move, wick, size, wanted = (chance.random() for _ in range(5))
            if not self._is_open(pair, unit):
                continue
            is_traded = wanted >= (world.quiet if pair == PAIR else 0.0) or unit == world.listed
            at = world.begin + unit * world.unit
            if not is_traded:
                found.append(Candle(at, *(price / 8,) * 4, 0.0, 0))
                continue
            trade(at + moments[int(moment * 3)], move, wick, size)
            if world.tick and world.date <= 0 and moment < 2 / 3:
                # A unit may end while it is asked for: what it was a moment before is not final.
                for early in (900, 500, 200, 1):
                    trade(at + world.unit - early, size, move, wick)
        return found

    def _is_open(self, pair: str, unit: int) -> bool:
        def inside(spans: tuple[tuple[int, int], ...]) -> bool:
            return any(first <= unit < first + count for first, count in spans)

        world = self.world
        ended = world.units if world.ended is None else world.ended
        own = pair != PAIR or (world.listed <= unit < ended and not inside(world.halts))
        return own and not inside(world.outages)

    def candles(self, pair: str, timeframe: str) -> list[Candle]:
        """List the candles that it has by now; the last one may be open."""
        world, trading = self.world, self._known_trading(pair)
        opened = self._opened(timeframe)
        over = self._over.setdefault((pair, timeframe, *self.revised.items()), [])
        del over[max(0, len(opened) - 1) :]
        begun = opened[len(over) :]
        ends = [bisect_left(trading, (at,)) for at in begun]
        for at, first, last in zip(begun, ends, [*ends[1:], len(trading)], strict=True):
            inside = [one for one in trading[first:last] if one.time <= self.now]
            traded = [one for one in inside if one.volume]
            exists = traded or (inside and world.flat)
            over.append(_together(at, traded or inside) if exists else None)
        found = [one for one in over if one is not None]
        # The last one may be open; those before it stay as they are.
        del over[-1:]
        late = world.late
        if late is not None and not self.arrived and (PAIR, late.timeframe) == (pair, timeframe):
            # Those that were the newest when all began.
            end = len([one for one in found if one.time <= world.now]) - late.newer
            del found[max(1, end - late.count) : max(1, end)]
        return found

    def _known_trading(self, pair: str) -> list[Candle]:
        key = (pair, tuple(self.revised.items()))
        if key not in self._made:
            self._made[key] = self.trading(pair)
        return self._made[key]

    _made: dict[object, list[Candle]] = field(default_factory=dict, repr=False)
    _over: dict[object, list[Candle | None]] = field(default_factory=dict, repr=False)
    """The candles of a timeframe except the last, in order; None for a missing one."""

    def _opened(self, timeframe: str) -> list[int]:
        world = self.world
        low = world.begin + world.listed * world.unit - 400 * DAY
        if timeframe[-1] in "smh":
            low = world.begin - length(timeframe)
        opened = set(world.days.openings(timeframe, low, self.now + 1))
        for odd in world.odd:
            if odd.timeframe == timeframe:
                usual = world.days.openings(timeframe, odd.start, odd.end)
                opened = (opened if odd.besides else opened - set(usual)) | {
                    at + odd.shift for at in usual
                }
        return sorted(at for at in opened if at <= self.now)

    def page(self, pair: str, timeframe: str, start: int | None, limit: int) -> list[Candle]:
        """Return one answer: the first candles from a time on, or the newest; oldest first."""
        found = self.candles(pair, timeframe)
        if start is not None:
            found = [one for one in found if one.time >= start]
        count = min(limit, len(found))
        if count > 1 and self._chance.random() < self.world.short:
            count = self._chance.randrange(1, count)
        found = found[:count] if start is not None else found[len(found) - count :]
        if found and self._chance.random() < self.world.doubled:
            found = self._chance.choice([[found[0], *found], [*found, found[-1]]])
        wrong = self.unsound(timeframe) if pair == PAIR else None
        if wrong in [one.time for one in found]:
            self._unsound_sent += 1
            found = [
                one._replace(high=one.low - 1 / 8) if one.time == wrong else one for one in found
            ]
        return found

    def unsound(self, timeframe: str) -> int | None:
        """Return the time of the candle that is sent with numbers that cannot be, while it is."""
        chosen = self.world.unsound
        if chosen is None or chosen.timeframe != timeframe:
            return None
        if chosen.times is not None and self._unsound_sent >= chosen.times:
            return None
        times = [one.time for one in self.candles(PAIR, timeframe) if one.time <= self.world.now]
        at = len(times) - 1 - chosen.newer
        return times[at] if 0 < at < len(times) - 1 else None

    def revise(self, back: int) -> None:
        """Revise a past trade, counted back from the newest."""
        traded = [one.time for one in self._known_trading(PAIR) if one.volume]
        traded = [time for time in traded if time <= self.now]
        if back < len(traded):
            time = traded[-1 - back]
            self.revised[time] = self.revised.get(time, 0.0) + 0.125


def _together(at: int, parts: list[Candle]) -> Candle:
    if len(parts) == 1:
        return parts[0]._replace(time=at)
    return Candle(
        at,
        parts[0].open,
        max(one.high for one in parts),
        min(one.low for one in parts),
        parts[-1].close,
        sum(one.volume for one in parts),
        sum(one.trades for one in parts),
    )
