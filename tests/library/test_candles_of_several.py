"""`candles` of several pairs returns a list of candles, which becomes one frame."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from waiting import soon as until

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gate import Gate, client_of
from .markets import NOW
from .test_number_types import with_errors

PAIRS = ["ETH/USDT", "BTC/USDT"]
WEEK: dict[str, Any] = {"start": NOW - timedelta(days=2), "end": NOW - timedelta(days=1)}


def test_each_pair_has_its_own_candles(client: md.Client) -> None:
    found = client.candles(PAIRS, "1h", **WEEK)
    assert [one.pair for one in found] == PAIRS
    assert found.errors == ()
    assert [list(one) for one in found] == [
        list(client.candles(pair, "1h", **WEEK)) for pair in PAIRS
    ]


def test_a_frame_has_the_pair_as_a_level(client: md.Client) -> None:
    found = client.candles(PAIRS, "1h", **WEEK)
    frame = found.to_pandas()
    assert frame.index.names == ["pair", "time"]
    assert list(frame.loc["BTC/USDT"]["close"]) == list(found[1].close)
    assert frame["close"].unstack("pair").shape == (24, 2)
    assert set(found.to_polars()["pair"]) == set(found.to_arrow()["pair"].to_pylist()) == set(PAIRS)


def test_failed_pairs_are_next_to_the_rest(client: md.Client) -> None:
    found = client.candles(["btc/usdt", "NOPE/USDT", "BTC-USDT"], limit=2)
    assert [one.pair for one in found] == ["BTC/USDT"]
    (missing,) = found.errors
    assert (missing.exchange, missing.pair) == ("binance", "NOPE/USDT")
    assert missing.code == "PAIR_NOT_SUPPORTED"


def test_an_exchange_that_fails_for_one_pair_gives_the_others(
    client: md.Client, sim: SimulatedExchange
) -> None:
    sim.faults.add(path="*/klines", status=400, times=1)
    found = client.candles(PAIRS, limit=2)
    assert len(found) == len(found.errors) == 1
    assert {found[0].pair, found.errors[0].pair} == set(PAIRS)


@pytest.mark.parametrize(
    ("pairs", "code"),
    [
        ([], "INVALID_PARAMETER"),
        ([5], "INVALID_PARAMETER"),
        (["NOPE/USDT", "NO/USDT"], "PAIR_NOT_SUPPORTED"),
        (["binance:BTCUSDT", "kraken:BTCUSDT"], "INVALID_PARAMETER"),
        ({"BTC/USDT": 1}, "INVALID_PARAMETER"),
    ],
)
def test_if_all_pairs_fail_an_error_is_raised(client: md.Client, pairs: Any, code: str) -> None:
    with pytest.raises(md.MarketDataError) as raised:
        client.candles(pairs)
    assert raised.value.code == code
    assert raised.value.details.get("operation") in ("candles", None)


def test_any_iterable_of_names_works(client: md.Client) -> None:
    for given in (tuple(PAIRS), dict.fromkeys(PAIRS).keys(), iter(["binance:ETHUSDT", "BTC/USDT"])):
        anything: Any = given
        assert [one.pair for one in client.candles(pair=anything, limit=1)] == PAIRS


def test_the_async_client_returns_the_same(sim: SimulatedExchange) -> None:
    async def run() -> md.Records[md.Candles]:
        async with md.AsyncClient("binance", endpoints={"binance": sim.url}) as client:
            return await client.candles(PAIRS, limit=1)

    assert [one.pair for one in asyncio.run(run())] == PAIRS


def test_all_pairs_are_requested_at_once(sim: SimulatedExchange) -> None:
    async def run(gate: Gate) -> None:
        async with client_of(gate) as client:
            await client.pairs()
            gate.shut("*/klines")
            asked = asyncio.create_task(client.candles(PAIRS, limit=1))
            await until(lambda: len(gate.came) == len(PAIRS))
            gate.open()
            assert len(await asked) == len(PAIRS)

    with Gate(sim.url) as gate:
        asyncio.run(run(gate))


def test_stored_candles_need_no_request(
    connect: Factory, sim: SimulatedExchange, tmp_path: Path
) -> None:
    client = connect(sim, home=tmp_path)
    client.history.download(PAIRS, "1h", **WEEK)
    client.pairs()
    sim.faults.add(path="*", status=500)
    assert len(client.candles(PAIRS, "1h", **WEEK).to_pandas()) == 48


PROGRAM = """
from decimal import Decimal
from typing import assert_type
import marketdata as md

exact = md.Client(numbers="decimal")
assert_type(md.candles("BTC/USDT"), md.Candles)
assert_type(md.candles(["BTC/USDT"], "1h", limit=3), md.Records[md.Candles])
assert_type(md.Client().candles("BTC/USDT"), md.Candles)
assert_type(md.Client().candles({"BTC/USDT"}), md.Records[md.Candles])
assert_type(exact.candles(("BTC/USDT",)), md.Records[md.Candles[Decimal]])
async def awaited(client: md.AsyncClient) -> None:
    assert_type(await client.candles("BTC/USDT"), md.Candles)
    assert_type(await client.candles(["BTC/USDT"]), md.Records[md.Candles])
md.candles(5)
md.candles(["BTC/USDT"], nothing=1)
exact.candles("BTC/USDT", fill="some")
"""


def test_type_checkers_know_which_type_is_returned(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    last = PROGRAM.count("\n")
    found = with_errors(PROGRAM, tmp_path, pytestconfig.cache.mkdir("mypy"))
    assert found == {last - 2, last - 1, last}
