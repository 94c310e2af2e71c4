"""Divides a candle into shorter candles, and a candle into trades, without losing a unit.

Prices need room: a candle's average price keeps an eighth of its range from both ends (`_ROOM`).
Every child is made so that this holds for it too; it can be, because it holds for the parent and
a child may at worst be as wide as its parent. It is what lets `priced` always succeed.
"""

from __future__ import annotations

from math import ceil, floor
from random import Random

from marketdata.sim.markets.bars import Bar

_ROOM = 8


def spread_units(units: int, parts: int, dice: Random) -> list[int]:
    """Divide ``units`` among ``parts``: about evenly when there are many, at random when few."""
    if units < 3 * parts:
        counts = [0] * parts
        for _ in range(units):
            counts[int(parts * dice.random())] += 1
        return counts
    weights = [0.5 + dice.random() for _ in range(parts)]
    scale = units / sum(weights)
    counts = [int(weight * scale) for weight in weights]
    for index in range(units - sum(counts)):
        counts[index % parts] += 1
    return counts


def split(parent: Bar, step: int, units: list[int], unit: int, dice: Random) -> list[Bar]:
    """Divide ``parent`` into candles of length ``step`` that have ``unit`` trades per unit.

    Children without units are left out. Each opens at the close of the one before it.
    """
    slots = [index for index, count in enumerate(units) if count]
    volumes = _volumes(parent.volume, [units[slot] for slot in slots], dice)
    quotes = _quotes(parent, volumes, dice)
    shapes = _shapes(parent, volumes, quotes, dice)
    children = []
    trade_id = parent.first_id
    for slot, volume, quote, (opening, high, low, close) in zip(
        slots, volumes, quotes, shapes, strict=True
    ):
        count = units[slot] * unit
        last_id = trade_id + count - 1
        start = parent.start + slot * step
        children.append(
            Bar(start, opening, high, low, close, volume, quote, count, trade_id, last_id)
        )
        trade_id = last_id + 1
    return children


def _volumes(volume: int, counts: list[int], dice: Random) -> list[int]:
    weights = [count * (0.5 + dice.random()) for count in counts]
    scale = volume / sum(weights)
    volumes = [int(weight * scale) for weight in weights]
    volumes[-1] += volume - sum(volumes)
    return volumes


def _quotes(parent: Bar, volumes: list[int], dice: Random) -> list[int]:
    """Divide the turnover so that the average prices lead from the open to the close.

    Turnover is only ever moved between two children, so the sum stays; the amounts moved keep
    every average inside the room.
    """
    quotes = [parent.quote * volume // parent.volume for volume in volumes]
    quotes[-1] += parent.quote - sum(quotes)
    mean = parent.quote / parent.volume
    room = (parent.high - parent.low) / _ROOM
    reach = max(0.0, min(parent.high - mean, mean - parent.low) - room)
    last = len(volumes) - 1
    lean = (parent.open - parent.close) / 2
    for left in range((last + 1) // 2):
        right = last - left
        wanted = lean * (1 - 2 * left / (last + 1)) + reach * (dice.random() - 0.5)
        moved = int(min(volumes[left], volumes[right]) * _within(wanted, 0.6 * reach))
        quotes[left] += moved
        quotes[right] -= moved
    for left in range(0, last, 2):
        wanted = 0.8 * reach * (dice.random() - 0.5)
        moved = int(min(volumes[left], volumes[left + 1]) * wanted)
        quotes[left] += moved
        quotes[left + 1] -= moved
    return quotes


def _shapes(parent: Bar, volumes: list[int], quotes: list[int], dice: Random) -> list[list[int]]:
    """Return open, high, low and close of each child; two of them reach the parent's extremes."""
    means = [quote / volume for quote, volume in zip(quotes, volumes, strict=True)]
    width = parent.high - parent.low
    jitter = width / len(means) ** 0.5 * 0.3
    shapes = []
    opening = parent.open
    for index, mean in enumerate(means):
        if index + 1 < len(means):
            close = round((mean + means[index + 1]) / 2 + jitter * (dice.random() - 0.5))
            close = min(parent.high, max(parent.low, close))
        else:
            close = parent.close
        wick = 0.12 * width
        high = max(opening, close, ceil(mean)) + int(wick * dice.random() ** 4)
        low = min(opening, close, floor(mean)) - int(wick * dice.random() ** 4)
        shape = [opening, min(parent.high, high), max(parent.low, low), close]
        _widen(shape, mean, parent)
        shapes.append(shape)
        opening = close
    top = max(range(len(shapes)), key=lambda index: shapes[index][1])
    shapes[top][1] = parent.high
    _widen(shapes[top], means[top], parent)
    bottom = min(range(len(shapes)), key=lambda index: shapes[index][2])
    shapes[bottom][2] = parent.low
    _widen(shapes[bottom], means[bottom], parent)
    return shapes


def _widen(shape: list[int], mean: float, parent: Bar) -> None:
    _, high, low, _ = shape
    if high == low:
        high, low = (high + 1, low) if high < parent.high else (high, low - 1)
    near = _ROOM - 1
    if (mean - low) * near < high - mean:
        low = max(parent.low, floor(mean - (high - mean) / near))
    if (high - mean) * near < mean - low:
        high = min(parent.high, ceil(mean + (mean - low) / near))
    shape[1], shape[2] = high, low


def _within(value: float, bound: float) -> float:
    return min(bound, max(-bound, value))


def priced(bar: Bar, groups: int, dice: Random) -> list[tuple[int, int]]:
    """Return ``groups`` (at least six) prices and amounts that make up ``bar`` exactly.

    The first is the open, the last the close, and every third one has at least two lots.
    """
    edge, rest, value = _edges(bar, groups)
    floor_price, above = divmod(value, rest)
    if 2 * above <= rest:
        centre, bulk, other, fine = floor_price, rest - above, floor_price + 1, above
    else:
        centre, bulk, other, fine = floor_price + 1, above, floor_price, rest - above
    if not fine:
        other, fine = centre, bulk // 3
        bulk -= fine
    inner = [(bar.high, edge), (bar.low, edge), (other, fine)]
    reach = min(centre - bar.low, bar.high - centre)
    extra = groups - 6
    usual = bulk // (extra + 1) - 2
    uniform = dice.random
    for _ in range(extra // 2):
        amount = 2 + int(usual * uniform())
        away = int(reach * uniform() ** 2)
        inner += [(centre - away, amount), (centre + away, amount)]
        bulk -= 2 * amount
    if extra % 2:
        amount = 2 + int(usual * uniform())
        inner.append((centre, amount))
        bulk -= amount
    inner.append((centre, bulk))
    inner.sort(key=lambda _: uniform())
    for index in range(1, len(inner), 3):
        if inner[index][1] < 2:
            inner[index], inner[index - 1] = inner[index - 1], inner[index]
    return [(bar.open, edge), *inner, (bar.close, edge)]


def _edges(bar: Bar, groups: int) -> tuple[int, int, int]:
    """Return the amount traded at each of the four prices, and volume and turnover of the rest.

    The rest must average a price inside the candle; the smaller the four, the surer it does.
    """
    corners = bar.open + bar.high + bar.low + bar.close
    edge = max(2, bar.volume // groups)
    while True:
        rest = bar.volume - 4 * edge
        value = bar.quote - edge * corners
        if edge == 2 or bar.low * rest <= value < bar.high * rest:
            return edge, rest, value
        edge = max(2, edge // 4)
