"""What every asset is worth in dollars on every day, from a seed."""

from __future__ import annotations

from functools import lru_cache
from math import exp, log
from zlib import crc32

from marketdata.sim.markets.listings import asset

_MASK = (1 << 64) - 1

# Days between the knots of each layer of noise, and how much of the swing it carries.
_LAYERS = ((701, 0.42), (179, 0.22), (43, 0.1), (11, 0.05), (3, 0.025))
_DAILY = 0.012


def mixed(*key: int) -> int:
    """Return 64 well mixed bits that depend on ``key`` only."""
    state = 0x9E3779B97F4A7C15
    for part in key:
        state = ((state ^ (part & _MASK)) * 0xBF58476D1CE4E5B9) & _MASK
        state ^= state >> 29
        state = (state * 0x94D049BB133111EB) & _MASK
        state ^= state >> 32
    return state


def unit(*key: int) -> float:
    """Return a number in [0, 1) that depends on ``key`` only."""
    return (mixed(*key) >> 11) / (1 << 53)


def name_key(name: str) -> int:
    """Return a number for ``name`` that is the same in every process."""
    return crc32(name.encode())


@lru_cache(maxsize=65_536)
def dollars(seed: int, name: str, day: int) -> float:
    """Return the worth of one ``name`` in dollars at the end of ``day`` (days since 1970)."""
    known = asset(name)
    if not known.swing:
        return known.dollars
    key = name_key(name)
    drift = _DAILY * (2 * unit(seed, key, 99, day) - 1)
    for layer, (period, share) in enumerate(_LAYERS):
        knot, inside = divmod(day, period)
        at = inside / period
        at = at * at * (3 - 2 * at)
        here = _knot(seed, key, layer, knot)
        drift += share * (here + (_knot(seed, key, layer, knot + 1) - here) * at)
    return exp(log(known.dollars) + known.swing * drift)


@lru_cache(maxsize=16_384)
def _knot(seed: int, key: int, layer: int, knot: int) -> float:
    return 2 * unit(seed, key, layer, knot) - 1
