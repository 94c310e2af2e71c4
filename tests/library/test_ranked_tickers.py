"""Tickers sorted by a field, filtered by quote currency and volume, and cut to a limit."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import marketdata as md
from marketdata._candles.ranking import Ranking
from marketdata.models.lists import Records

from .markets import DIALECTS

FIELDS = ("quote_volume", "base_volume", "percentage", "last", "trades")


def ranked(every: list[md.Ticker], wanted: dict[str, Any]) -> list[str]:
    """Filter, sort and cut by brute force."""
    kept = [one for one in every if one.pair.endswith(f"/{wanted['quote']}")]
    kept = [one for one in kept if (one.quote_volume or -1) >= wanted["min_quote_volume"]]
    field = wanted["sort"]
    known = [one for one in kept if getattr(one, field) is not None]
    order: list[str] = []
    while known:
        choose = min if wanted["ascending"] else max
        best = choose(getattr(one, field) for one in known)
        order += [one.pair for one in known if getattr(one, field) == best]
        known = [one for one in known if getattr(one, field) != best]
    order += [one.pair for one in kept if one.pair not in order]
    return order[: wanted["limit"]]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_ranking_equals_sorting_all_tickers(client: md.Client, exchange: str) -> None:
    every = client.tickers(exchange=exchange)
    for field, ascending, least, limit in itertools.product(
        FIELDS, (False, True), (0.0, 5e6), (1, 4, None)
    ):
        wanted = {
            "sort": field,
            "ascending": ascending,
            "quote": "USDT",
            "min_quote_volume": least,
            "limit": limit,
        }
        assert [one.pair for one in Ranking(**wanted).applied(Records(_of(every, "USDT")))] == (
            ranked(every, wanted)
        )
    wanted["limit"] = 3
    assert [one.pair for one in client.tickers(exchange=exchange, **wanted)] == ranked(
        every, wanted
    )


def _of(every: list[md.Ticker], quote: str) -> list[md.Ticker]:
    return [one for one in every if one.pair.endswith(f"/{quote}")]


@pytest.mark.parametrize("text", ["quoteVolume", "quote_volume", "QUOTEVOLUME", " quotevolume "])
def test_fields_can_have_both_their_names(client: md.Client, text: str) -> None:
    volumes = [one.quote_volume for one in client.tickers(sort=text, quote="usdt")]
    assert volumes == sorted(volumes, key=lambda one: -(one or 0))


def test_another_field_is_refused_with_the_known_ones(client: md.Client) -> None:
    with pytest.raises(md.InvalidParameterError, match="sort is one of quoteVolume"):
        client.tickers(sort="beauty")


def test_named_pairs_are_ranked_as_well(client: md.Client) -> None:
    named = ["SOL/USDT", "BTC/USDT", "ETH/BTC", "ETH/USDT"]
    found = client.tickers(named, sort="last", quote="USDT", limit=2)
    assert [one.pair for one in found] == ["BTC/USDT", "ETH/USDT"]


def test_an_unused_quote_currency_gives_an_empty_list(client: md.Client) -> None:
    assert client.tickers(quote="XYZ") == []
