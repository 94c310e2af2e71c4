"""One or several exchanges are named with `exchange=` or `exchanges=`, as one text or several."""

from __future__ import annotations

import asyncio
import inspect
from typing import Any

import pytest

import marketdata as md
from marketdata.operations import HISTORY, OPERATIONS, PLAN, RECORD, STREAMS
from marketdata.sim import SimulatedExchange

from .conftest import Factory

EVERY = [one.method for one in (*OPERATIONS, *HISTORY, PLAN, RECORD, *STREAMS)]
SEVERAL = [
    one
    for one in (*EVERY, md.AsyncClient.watch_consolidated_orderbook)
    if "exchanges" in inspect.signature(one).parameters
]


@pytest.mark.parametrize("method", SEVERAL, ids=lambda one: one.__name__)
def test_both_names_are_accepted_if_several_exchanges_can_be_named(method: Any) -> None:
    assert {"exchange", "exchanges"} <= inspect.signature(method).parameters.keys()


def test_operations_with_several_exchanges_are_known() -> None:
    assert {one.__name__ for one in SEVERAL} == {
        *("compare", "consolidated_orderbook", "execution_cost", "watch_consolidated_orderbook"),
        *("watch_ticker", "watch_quote", "watch_orderbook", "watch_trades", "watch_candles"),
        *("download", "plan", "list", "verify", "repair", "remove", "record"),
    }


@pytest.mark.parametrize(
    "named",
    [
        {"exchange": "kraken"},
        {"exchange": ["kraken"]},
        {"exchanges": "Kraken "},
        {"exchanges": ("kraken",)},
        {"exchanges": ["kraken"], "exchange": None},
    ],
    ids=str,
)
def test_one_or_several_with_either_name(
    sim: SimulatedExchange, connect: Factory, named: dict[str, Any]
) -> None:
    client = connect(sim)
    assert [row.exchange for row in client.compare("BTC/USDT", **named).rows] == ["kraken"]
    with client.watch_ticker("BTC/USDT", **named) as watch:
        assert next(watch).exchange == "kraken"
    given = {name: value for name, value in named.items() if value is not None}
    assert md.Client(**given).settings.exchange == ("kraken",)
    assert md.AsyncClient(**given).settings.exchange == ("kraken",)


def test_both_names_at_once_are_refused(sim: SimulatedExchange, connect: Factory) -> None:
    both: dict[str, Any] = {"exchange": "okx", "exchanges": ["kraken"]}
    client = connect(sim)
    for ask in (
        lambda: client.compare("BTC/USDT", **both),
        lambda: client.watch_ticker("BTC/USDT", **both),
        lambda: md.Client(**both),
        lambda: asyncio.run(md.AsyncClient().compare("BTC/USDT", **both)),
    ):
        with pytest.raises(md.InvalidParameterError, match="same argument") as caught:
            ask()
        assert caught.value.details["parameter"] in both


def test_none_means_not_given(sim: SimulatedExchange, connect: Factory) -> None:
    asked = connect(sim).compare("BTC/USDT").rows
    for named in ({"exchange": []}, {"exchanges": []}):
        found = connect(sim).compare("BTC/USDT", **named).rows
        assert [one.exchange for one in found] == [one.exchange for one in asked]
