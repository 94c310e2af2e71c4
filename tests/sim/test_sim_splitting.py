"""The parts of a split bar add up to it, to the last unit."""

from itertools import pairwise
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.sim.markets.bars import HOUR, MINUTE, Bar, merged
from marketdata.sim.markets.splitting import priced, split, spread_units


@st.composite
def bars(draw: st.DrawFn) -> Bar:
    """Bars as wide or narrow and as thin as the market model ever makes them."""
    low = draw(st.integers(1, 10**7))
    high = low + draw(st.integers(2, 10**6))
    opening, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    units = draw(st.integers(1, 900))
    volume = 8 * units * draw(st.integers(400, 10**12))
    share = draw(st.fractions(min_value="0.13", max_value="0.87"))
    quote = low * volume + int((high - low) * volume * share)
    return Bar(0, opening, high, low, close, volume, quote, 8 * units, 80, 80 + 8 * units - 1)


@given(bars(), st.integers(0, 2**32))
@settings(deadline=None, max_examples=200)
def test_a_bar_divides_into_bars_and_trades_without_remainder(bar: Bar, seed: int) -> None:
    dice = Random(seed)
    children = split(bar, MINUTE, spread_units(bar.trades // 8, HOUR // MINUTE, dice), 8, dice)
    assert merged(0, children) == bar
    for before, after in pairwise(children):
        assert before.close == after.open
        assert before.last_id + 1 == after.first_id
        assert before.start < after.start
    for child in children:
        groups = child.trades * 3 // 4
        parts = priced(child, groups, dice)
        prices = [price for price, _ in parts]
        assert len(parts) == groups
        assert (prices[0], max(prices), min(prices), prices[-1]) == child[1:5]
        assert sum(amount for _, amount in parts) == child.volume
        assert sum(price * amount for price, amount in parts) == child.quote
        assert all(
            amount >= (2 if index % 3 == 2 else 1) for index, (_, amount) in enumerate(parts)
        )


@given(st.integers(0, 50_000), st.integers(1, 100), st.integers(0, 2**32))
def test_units_are_spread_without_remainder(units: int, parts: int, seed: int) -> None:
    counts = spread_units(units, parts, Random(seed))
    assert len(counts) == parts
    assert sum(counts) == units
    assert min(counts) >= 0
