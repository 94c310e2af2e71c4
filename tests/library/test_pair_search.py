"""A search in the lists of all exchanges on the disk, without a request."""

from __future__ import annotations

import asyncio
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest
from inside.markets import Facts, Lists

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .markets import DIALECTS
from .test_catalogue import DAMAGES, DAY, damage, grow_older, lists

PEPE = [(exchange, "PEPE/USDT") for exchange in sorted(DIALECTS)]
"""All of them list it."""


@pytest.fixture
def everywhere(sim: SimulatedExchange, connect: Factory) -> md.Client:
    """A client with the lists of all four exchanges on the disk, and no request so far."""
    filling = connect(sim)
    for exchange in DIALECTS:
        filling.pairs(exchange=exchange)
    sim.forget()
    return connect(sim)


def names(pairs: list[md.Pair]) -> list[tuple[str, str]]:
    return [(one.exchange, one.pair) for one in pairs]


def test_results_are_ordered_by_exchange_and_name_with_each_exchanges_values(
    everywhere: md.Client, sim: SimulatedExchange
) -> None:
    found = everywhere.pairs(search="pepe")
    assert names(found) == PEPE
    bitcoin = everywhere.pairs(search="btc")
    assert names(bitcoin) == sorted(names(bitcoin))
    assert sim.requests == []
    # Made without the exchange's module, and still the same to the last field.
    for exchange in DIALECTS:
        assert [one for one in bitcoin if one.exchange == exchange] == everywhere.pairs(
            exchange=exchange, search="btc"
        )
    assert sim.requests == []
    assert {one.simulated for one in found} == {True}


@pytest.mark.cold
def test_it_needs_neither_a_module_of_ccxt_nor_a_socket(everywhere: md.Client, python: Run) -> None:
    program = """
        import sys

        def watch(event, arguments):
            if event.startswith("socket.") and event != "socket.__new__":
                raise AssertionError(event)

        sys.addaudithook(watch)
        import marketdata as md

        print(len(md.pairs(search="pepe")))
        print([name for name in sys.modules if name.partition(".")[0] in ("ccxt", "aiohttp")])
    """
    assert python(program) == "4\n[]\n"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"search": "PePe"}, PEPE),
        ({"search": "pepe", "quote": "eur"}, []),
        ({"search": "tc/eur"}, [(exchange, "BTC/EUR") for exchange in sorted(DIALECTS)]),
        ({"search": "xbt/eur"}, [(exchange, "BTC/EUR") for exchange in sorted(DIALECTS)]),
        ({"search": "eur", "base": "xbt"}, [(one, "BTC/EUR") for one in sorted(DIALECTS)]),
        ({"search": "ltc", "quote": "btc"}, [(one, "LTC/BTC") for one in sorted(DIALECTS)]),
        ({"search": "xdg"}, [("kraken", "DOGE/USDT")]),
        ({"search": "pepe", "exchange": "okx"}, [("okx", "PEPE/USDT")]),
        ({"search": "%"}, []),
        ({"search": "' OR 1=1 --"}, []),
    ],
)
def test_matches(
    everywhere: md.Client, wanted: dict[str, str], found: list[tuple[str, str]]
) -> None:
    assert names(everywhere.pairs(**wanted)) == found


def test_decimals_are_those_of_each_exchange(everywhere: md.Client) -> None:
    settings = everywhere.settings.model_copy(update={"numbers": "decimal"})
    with md.Client(settings=settings) as exact:
        found = exact.pairs(search="pepe")
        assert names(found) == PEPE
        for one in found:
            assert isinstance(one.price_tick, Decimal)
            [same] = exact.pairs(exchange=one.exchange, search="pepe/usdt")
            assert one == same


def test_without_search_the_default_exchange_is_requested(
    sim: SimulatedExchange, connect: Factory, everywhere: md.Client
) -> None:
    client = connect(sim, "okx")
    assert {one.exchange for one in client.pairs(base="btc")} == {"okx"}
    assert {one.exchange for one in client.pairs()} == {"okx"}


@pytest.mark.parametrize(("age", "found"), [(2 * DAY, 4), (6.9 * DAY, 4)])
def test_lists_are_searched_as_long_as_they_are_stored(
    everywhere: md.Client, sim: SimulatedExchange, isolated: Path, age: float, found: int
) -> None:
    newest = everywhere.pairs(search="pepe")[0].received_at
    grow_older(isolated, age)
    pairs = everywhere.pairs(search="pepe")
    assert len(pairs) == found
    assert (newest - pairs[0].received_at).total_seconds() == pytest.approx(age, abs=0.01)
    assert sim.requests == []


def test_without_a_list_that_of_the_default_exchange_is_requested(
    sim: SimulatedExchange, connect: Factory, everywhere: md.Client, isolated: Path
) -> None:
    grow_older(isolated, 8 * DAY)
    for wanted, requests in (("pepe", 1), ("doge", 1)):
        assert {one.exchange for one in connect(sim).pairs(search=wanted)} == {"binance"}
        assert lists(sim) == len(sim.requests) == requests


def test_lists_from_other_endpoints_are_not_searched(
    sim: SimulatedExchange, connect: Factory, everywhere: md.Client, isolated: Path
) -> None:
    with SimulatedExchange(pairs=20) as other:
        client = connect(other, endpoints={"okx": sim.url})
        assert names(client.pairs(search="pepe")) == [("okx", "PEPE/USDT")]
        client.pairs(exchange="kraken")
        assert {one.exchange for one in client.pairs(search="pepe")} == {"okx", "kraken"}
        assert names(everywhere.pairs(search="pepe")) == PEPE
    # A real one's list counts for clients that would ask the real one.
    raw = {"symbol": "PEPE/EUR", "base": "PEPE", "quote": "EUR", "id": "PEPEEUR"}
    facts = Facts(4, {"taker": 0.0025})
    Lists(isolated).plant("bitvavo", [raw], facts=facts)
    [real] = md.Client().pairs(search="pepe")
    assert (real.exchange, real.pair, real.taker, real.simulated) == (
        *("bitvavo", "PEPE/EUR"),
        *(0.0025, None),
    )
    assert names(everywhere.pairs(search="pepe"))[0] == ("binance", "PEPE/USDT")
    assert ("bitvavo", "PEPE/EUR") in names(everywhere.pairs(search="pepe"))


def test_all_simulated_exchanges_are_searched(isolated: Path) -> None:
    with md.Client(sim=True) as client:
        assert names(client.pairs(search="pepe")) == PEPE
        assert names(client.pairs(search="pepe", refresh=True)) == PEPE
    assert not isolated.exists()


def test_a_file_of_an_older_version_is_rebuilt(
    everywhere: md.Client, sim: SimulatedExchange, isolated: Path
) -> None:
    with sqlite3.connect(isolated / "catalogue.sqlite") as connection:
        connection.executescript("ALTER TABLE listing DROP COLUMN facts; PRAGMA user_version = 1;")
    connection.close()
    assert {one.exchange for one in everywhere.pairs(search="pepe")} == {"binance"}
    assert lists(sim) == 1


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_counts_as_none(
    everywhere: md.Client, sim: SimulatedExchange, isolated: Path, how: str
) -> None:
    damage(isolated / "catalogue.sqlite", how)
    assert {one.exchange for one in everywhere.pairs(search="pepe")} == {"binance"}
    assert lists(sim) == 1


# ---------------------------------------------------------------------------- fetching lists


def test_refresh_requests_the_list_of_the_exchange_first(
    everywhere: md.Client, sim: SimulatedExchange
) -> None:
    before = everywhere.pairs(search="pepe")
    everywhere.pairs(refresh=True, base="BTC")
    assert lists(sim) == len(sim.requests) == 1
    after = everywhere.pairs(search="pepe")
    assert after[0].received_at > before[0].received_at, "binance comes first"
    assert after[1:] == before[1:]


def test_refresh_with_only_search_requests_all_lists_and_keeps_old_ones(
    sim: SimulatedExchange, connect: Factory, everywhere: md.Client, isolated: Path
) -> None:
    before = {one.exchange: one.received_at for one in everywhere.pairs(search="pepe")}
    sim.faults.add(exchange="kraken", status=503)

    async def work() -> list[md.Pair]:
        settings = everywhere.settings.model_copy(update={"timeout": 20.0})
        async with md.AsyncClient(settings=settings) as client:
            # Of the others there is nothing on the loopback.
            bounded = client.preferring("binance", among=DIALECTS)
            return await bounded.pairs(search="pepe", refresh=True)

    found = asyncio.run(work())
    assert names(found) == PEPE
    newer = {one.exchange for one in found if one.received_at > before[one.exchange]}
    assert newer == {*DIALECTS} - {"kraken"}


def test_a_client_with_some_exchanges_searches_only_those(everywhere: md.Client) -> None:
    async def work() -> list[tuple[str, str]]:
        async with md.AsyncClient(settings=everywhere.settings) as client:
            bounded = client.preferring("kraken", among=["kraken", "okx"])
            assert names(await client.pairs(search="pepe")) == PEPE
            assert await bounded.page_of_pairs("pepe", limit=1, offset=1) == (
                2,
                await bounded.pairs(search="pepe", exchange="okx"),
            )
            return names(await bounded.pairs(search="pepe"))

    assert asyncio.run(work()) == [("kraken", "PEPE/USDT"), ("okx", "PEPE/USDT")]


@pytest.mark.parametrize("sim_too", [False, True])
def test_pages_are_parts_of_the_results(everywhere: md.Client, sim_too: bool) -> None:
    async def work() -> None:
        settings = everywhere.settings.model_copy(update={"sim": sim_too})
        async with md.AsyncClient(settings=settings) as client:
            whole = await client.pairs(search="usd")
            assert len(whole) > 20
            for offset, limit in ((0, 5), (5, 7), (len(whole) - 2, 10), (len(whole), 3)):
                page = await client.page_of_pairs("usd", offset=offset, limit=limit)
                assert page == (len(whole), whole[offset : offset + limit])

    asyncio.run(work())
