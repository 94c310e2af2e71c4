"""Times and lists of numpy and pandas are accepted."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

import marketdata as md
from marketdata.arguments import instant

from .markets import ms

NOW = datetime(2024, 3, 31, 12, 30, tzinfo=UTC)
WANTED = ms("2024-03-01T12:00")


@pytest.mark.parametrize(
    "value",
    [
        np.datetime64("2024-03-01T12:00"),
        np.datetime64("2024-03-01T12:00:00.000000000"),
        np.int64(WANTED),
        pd.Timestamp("2024-03-01T12:00"),
        pd.Timestamp("2024-03-01T13:00", tz="Europe/Berlin"),
        pd.Timestamp("2024-03-01T12:00").to_datetime64(),
        pd.to_datetime(["2024-03-01T12:00"])[0],
        np.int64(WANTED // 1000),
        np.float64(WANTED / 1000),
        pd.Timestamp("2024-03-01T12:00").value,
    ],
)
def test_times_of_numpy_and_pandas(value: Any) -> None:
    assert instant(value) == WANTED


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("now", "2024-03-31T12:30"),
        (" NOW ", "2024-03-31T12:30"),
        ("-1M", "2024-02-29T12:30"),
        ("-13M", "2023-02-28T12:30"),
        ("-3M", "2023-12-31T12:30"),
        ("-1y", "2023-03-31T12:30"),
        ("-1m", "2024-03-31T12:29"),
        ("-2w", "2024-03-17T12:30"),
    ],
)
def test_ages_follow_the_calendar(text: str, wanted: str) -> None:
    assert instant(text, now=NOW) == ms(wanted)


@pytest.mark.parametrize(
    "value", [np.datetime64("NaT"), pd.NaT, np.array([1, 2]), "-9999y", object(), None]
)
def test_invalid_times(value: Any) -> None:
    with pytest.raises(md.InvalidParameterError):
        instant(value)


@pytest.mark.parametrize(
    "pairs",
    [
        {"BTC/USDT", "ETH/USDT"},
        ("BTC/USDT", "ETH/USDT"),
        {"BTC/USDT": 1, "ETH/USDT": 2}.keys(),
        pd.Series(["BTC/USDT", "ETH/USDT"]),
        pd.Index(["BTC/USDT", "ETH/USDT"]),
        np.array(["BTC/USDT", "ETH/USDT"]),
    ],
    ids=lambda pairs: type(pairs).__name__,
)
def test_pairs_in_any_iterable(client: md.Client, pairs: Any) -> None:
    assert {one.pair for one in client.tickers(pairs)} == {"BTC/USDT", "ETH/USDT"}


def test_pairs_of_a_generator(client: md.Client) -> None:
    found = client.tickers(name for name in ["ETH/USDT", "BTC/USDT"])
    assert [one.pair for one in found] == ["ETH/USDT", "BTC/USDT"]


@pytest.mark.parametrize("pairs", [5, b"BTC/USDT", {"BTC/USDT": 1}])
def test_invalid_lists_of_pairs(client: md.Client, pairs: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        client.tickers(pairs)
    assert caught.value.details["parameter"] == "pairs"
