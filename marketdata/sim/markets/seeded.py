"""A market whose whole history follows from a seed.

A day's candle is computed from its number alone. A day is split into hours, an hour into minutes, a
minute into trades, and every split hands down exactly what the parent holds: its open, high, low
and close each end up in a child, its volume, turnover and trade count are divided without
remainder. So any moment can be reached without going through the ones before it, and whatever is
added up again gives the parent, to the last unit.

The trades of a pair are the same on all exchanges, so that their prices agree: arbitrage leaves
no more. An exchange has them in its own ticks and lots: a price is a few ticks higher or lower by
its `_PREMIUM`, always by as many, and an amount is a whole multiple. So sums stay exact, and the
books, which are its own, are never crossed with another exchange's at the same moment.

Eight trades are the smallest number that a minute may have when it has any: enough to reach four
prices and to make the turnover come out exactly. Of every four trades the last two are one order
that was filled in two parts; that is what makes aggregate trades countable (`aggregate_of`).
"""

from __future__ import annotations

import random
from bisect import bisect_right
from dataclasses import replace
from functools import lru_cache

from marketdata.sim.markets.bars import DAY, HOUR, MINUTE, Bar, Trade
from marketdata.sim.markets.listings import Listing, asset, coarsest
from marketdata.sim.markets.market import Market, between
from marketdata.sim.markets.prices import dollars, name_key, unit
from marketdata.sim.markets.splitting import priced, split, spread_units

UNIT = 8
_PREMIUM = 0.000005
"""The most that an exchange's prices are above or below the others', of the usual price."""


class SeededMarket(Market):
    """The made-up history of ``listing`` on ``exchange``."""

    fills = True
    ticks = True
    levels = (DAY, HOUR, MINUTE)

    def __init__(self, seed: int, exchange: str, listing: Listing) -> None:
        price_scale, amount_scale = coarsest(listing)
        self._pair = _pair(
            seed, replace(listing, price_scale=price_scale, amount_scale=amount_scale)
        )
        self._key = name_key(f"{seed} {exchange} {listing.pair}")
        self.listing = listing
        self.price_scale = listing.price_scale
        self.amount_scale = listing.amount_scale
        self.first = listing.since
        self.last = listing.until
        self.usual_lots = int(listing.size * 10**listing.amount_scale)
        worth = asset(listing.base).dollars / asset(listing.quote).dollars
        self.usual_price = int(worth * 10.0**self.price_scale)
        self._ticks = 10 ** (listing.price_scale - price_scale)
        share = _PREMIUM * (2 * unit(seed, self._key) - 1)
        self._premium = round(share * self.usual_price)
        fineness = 10 ** (listing.amount_scale - amount_scale)
        self._lots = max(1, int(fineness * (0.7 + 0.6 * unit(seed, self._key, 1))))
        self._trades_of = lru_cache(maxsize=256)(self._make_trades)

    def level(self, step: int, start: int, stop: int) -> list[Bar]:
        """Return the pair's candles in ticks and lots of this exchange."""
        ticks, premium, lots = self._ticks, self._premium, self._lots
        return [
            Bar(
                bar.start,
                bar.open * ticks + premium,
                bar.high * ticks + premium,
                bar.low * ticks + premium,
                bar.close * ticks + premium,
                bar.volume * lots,
                (bar.quote * ticks + bar.volume * premium) * lots,
                bar.trades,
                bar.first_id,
                bar.last_id,
            )
            for bar in self._pair.level(step, start, stop)
        ]

    def block_trades(self, block: Bar) -> list[Trade]:
        """Return the pair's trades of a minute in ticks and lots of this exchange."""
        return self._trades_of(block.start)

    def block_of(self, trade_id: int) -> int:
        """Find the minute from the even pace of days."""
        return self._pair.block_of(trade_id)

    def aggregate_of(self, trade_id: int) -> int:
        """Count the last two of every four trades as one."""
        return trade_id // 4 * 3 + min(trade_id % 4, 2)

    def first_of_aggregate(self, aggregate_id: int) -> int:
        """Undo `aggregate_of`."""
        return _first_of_aggregate(aggregate_id)

    def dice(self, *key: int) -> random.Random:
        """Seed by the market and ``key``."""
        return _dice(self._key, *key)

    def _make_trades(self, start: int) -> list[Trade]:
        ticks, premium, lots = self._ticks, self._premium, self._lots
        (minute,) = self._pair.level(MINUTE, start, start + MINUTE)
        return [
            Trade(one.id, one.nanos, one.price * ticks + premium, one.amount * lots, one.buy)
            for one in self._pair.block_trades(minute)
        ]


class _Pair:
    """The candles and trades of a pair on all exchanges, in the coarsest tick and lot."""

    def __init__(self, seed: int, listing: Listing) -> None:
        self.listing = listing
        self.first = listing.since
        self.last = listing.until
        self._seed = seed
        self._key = name_key(f"{seed} {listing.pair}")
        self._opening = listing.since // DAY
        self._usual_lots = int(listing.size * 10**listing.amount_scale)
        self._day = lru_cache(maxsize=4_096)(self._make_day)
        self._hours = lru_cache(maxsize=256)(self._make_hours)
        self._minutes = lru_cache(maxsize=256)(self._make_minutes)
        self._trades_of = lru_cache(maxsize=256)(self._make_trades)

    def level(self, step: int, start: int, stop: int) -> list[Bar]:
        """Split days as far as ``step`` asks for."""
        start = max(start, self.first)
        stop = stop if self.last is None else min(stop, self.last)
        if start >= stop:
            return []
        if step == DAY:
            return [self._day(day) for day in range(-(-start // DAY), -(-stop // DAY))]
        if step == HOUR:
            found = [
                bar for day in range(start // DAY, -(-stop // DAY)) for bar in self._hours(day)
            ]
        else:
            found = [
                bar
                for hour in self.level(HOUR, start - start % HOUR, stop)
                for bar in self._minutes(hour)
            ]
        return between(found, start, stop)

    def block_trades(self, block: Bar) -> list[Trade]:
        """Make the trades of a minute."""
        return self._trades_of(block)

    def block_of(self, trade_id: int) -> int:
        """Find the minute from the even pace of days."""
        units = max(0, trade_id) // UNIT
        # The day's first id is at most one day's pace away from its even share.
        low = max(0, units // self.listing.pace - 2)
        day = bisect_right(range(low, low + 5), units, key=self._units_before) + low - 1
        start = (self._opening + day) * DAY
        if self.last is not None and start >= self.last:
            return self.last
        for step in (HOUR, MINUTE):
            span = DAY if step == HOUR else HOUR
            inside = self.level(step, start, start + span)
            start = inside[bisect_right(inside, trade_id, key=_first_id) - 1].start
        return start

    def _units_before(self, day: int) -> int:
        pace = self.listing.pace
        return pace * day + int(0.5 * pace * unit(self._key, 1, day)) if day > 0 else 0

    def _close(self, day: int) -> int:
        listing, seed = self.listing, self._seed
        price = dollars(seed, listing.base, day) / dollars(seed, listing.quote, day)
        return max(50, round(price * 10.0**listing.price_scale))

    def _make_day(self, day: int) -> Bar:
        start, key = day - self._opening, self._key
        first = self._units_before(start) * UNIT
        count = self._units_before(start + 1) * UNIT - first
        opening, close = self._close(day - 1), self._close(day)
        reach = (0.004 + 0.03 * unit(key, 2, day) ** 2) * max(opening, close)
        high = max(opening, close) + 1 + int(reach * unit(key, 3, day))
        low = max(1, min(opening, close) - 1 - int(reach * unit(key, 4, day)))
        volume = count * max(50, int(self._usual_lots * (0.7 + 0.6 * unit(key, 5, day))))
        quote = volume * (opening + high + low + close) // 4
        return Bar(
            day * DAY, opening, high, low, close, volume, quote, count, first, first + count - 1
        )

    def _make_hours(self, day: int) -> list[Bar]:
        parent = self._day(day)
        dice = _dice(self._key, 6, day)
        return split(parent, HOUR, spread_units(parent.trades // UNIT, 24, dice), UNIT, dice)

    def _make_minutes(self, hour: Bar) -> list[Bar]:
        dice = _dice(self._key, 7, hour.start)
        return split(hour, MINUTE, spread_units(hour.trades // UNIT, 60, dice), UNIT, dice)

    def _make_trades(self, minute: Bar) -> list[Trade]:
        dice = _dice(self._key, 5, minute.start)
        groups = minute.trades * 3 // 4
        moments = sorted(dice.sample(range(MINUTE), groups))
        trades: list[Trade] = []
        price, buy = minute.open, dice.random() < 0.5
        for group, (at, amount) in enumerate(priced(minute, groups, dice)):
            buy = dice.random() < 0.5 if at == price else at > price
            price = at
            nanos = (minute.start + moments[group]) * 1_000_000
            trade_id = minute.first_id + _first_of_aggregate(group)
            if group % 3 == 2:
                half = amount // 2
                trades.append(Trade(trade_id, nanos, at, amount - half, buy))
                trades.append(Trade(trade_id + 1, nanos + 1_000, at, half, buy))
            else:
                trades.append(Trade(trade_id, nanos, at, amount, buy))
        return trades


@lru_cache(maxsize=512)
def _pair(seed: int, listing: Listing) -> _Pair:
    return _Pair(seed, listing)


def _dice(*key: int) -> random.Random:
    number = 0
    for part in key:
        number = number << 48 | part
    return random.Random(number)  # noqa: S311 a repeatable market, no secret


def _first_of_aggregate(aggregate_id: int) -> int:
    return aggregate_id // 3 * 4 + aggregate_id % 3


def _first_id(bar: Bar) -> int:
    return bar.first_id
