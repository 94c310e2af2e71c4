"""The lists of pairs on disk: shared, renewed, and only a cache."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import marketdata as md
from marketdata._exchanges.markets_cache import Catalogue, Facts, Fetched, Market, Packed
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .gateway import Gateway
from .markets import DIALECTS, minutes, record

LIST = "/api/v3/exchangeInfo"
DAY = 24 * 3600


def lists(of: SimulatedExchange | Gateway) -> int:
    """The number of requests for the list of pairs."""
    if isinstance(of, Gateway):
        return sum(LIST in request for request in of.requests)
    return sum(request.path == LIST for request in of.requests)


def grow_older(home: Path, seconds: float) -> None:
    with sqlite3.connect(home / "catalogue.sqlite") as connection:
        connection.execute("UPDATE listing SET fetched_at = fetched_at - ?", [seconds])
    connection.close()


@pytest.fixture
def program() -> str:
    return "import marketdata as md; print(md.ticker('BTC/USDT').pair)"


def test_the_list_is_stored_below_the_home(client: md.Client, isolated: Path) -> None:
    assert not isolated.exists()
    client.pairs()

    assert [path.name for path in isolated.iterdir()] == ["catalogue.sqlite"]


def test_clients_share_the_list(sim: SimulatedExchange, connect: Factory) -> None:
    for _ in range(3):
        connect(sim).ticker("BTC/USDT")
    assert lists(sim) == 1


def test_an_endpoint_has_its_own_list(sim: SimulatedExchange, connect: Factory) -> None:
    connect(sim).pairs()
    with SimulatedExchange(pairs=20) as other:
        assert len(connect(other).pairs()) > len(connect(sim).pairs())
        assert lists(other) == 1
    assert lists(sim) == 1


@pytest.mark.parametrize(("age", "fetched"), [(DAY - 60, 1), (DAY + 60, 2), (365 * DAY, 2)])
def test_a_list_is_renewed_after_a_day(
    sim: SimulatedExchange, connect: Factory, isolated: Path, age: float, fetched: int
) -> None:
    connect(sim).ticker("BTC/USDT")
    grow_older(isolated, age)
    connect(sim).ticker("BTC/USDT")

    assert lists(sim) == fetched


def test_a_list_from_the_far_future_is_renewed(
    sim: SimulatedExchange, connect: Factory, isolated: Path
) -> None:
    connect(sim).ticker("BTC/USDT")
    grow_older(isolated, -30 * DAY)  # the clock was wrong when it was fetched
    connect(sim).ticker("BTC/USDT")

    assert lists(sim) == 2


def test_pairs_have_the_time_of_their_list(
    sim: SimulatedExchange, connect: Factory, isolated: Path
) -> None:
    connect(sim).pairs()
    grow_older(isolated, 3600)
    ages = {time.time() - pair.received_at.timestamp() for pair in connect(sim).pairs()}

    assert all(3600 <= age < 3700 for age in ages)


def add_pair(gateway: Gateway, base: str) -> None:
    def edit(sent: Any) -> None:
        new = json.loads(json.dumps(sent["symbols"][0]).replace("BTC", base))
        sent["symbols"].append(new)

    gateway.edit("*/exchangeInfo", edit)


def test_a_new_pair_is_found_once_the_list_is_ten_minutes_old(
    gateway: Gateway, connect: Factory, isolated: Path
) -> None:
    client = connect(gateway)
    client.ticker("BTC/USDT")
    add_pair(gateway, "NEW")
    with pytest.raises(md.PairNotSupportedError):
        client.pairs() and client.ticker("NEW/USDT")
    assert lists(gateway) == 1

    grow_older(isolated, 700)
    gateway.edit("*/24hr", lambda sent: sent)
    with pytest.raises(md.PairNotSupportedError) as caught:
        client.ticker("NEW/USDT")  # listed now, but the simulated exchange has no ticker of it
    assert lists(gateway) == 2
    assert "does not trade this pair now" in str(caught.value)
    assert "NEW/USDT" in {pair.pair for pair in client.pairs()}


def test_a_missing_pair_does_not_request_the_list_each_time(
    sim: SimulatedExchange, connect: Factory, isolated: Path
) -> None:
    client = connect(sim)
    client.pairs()
    grow_older(isolated, 700)
    for _ in range(4):
        with pytest.raises(md.PairNotSupportedError):
            client.ticker("NOPE/USDT")

    assert lists(sim) == 2


def test_an_unlisted_pair_disappears_with_the_next_list(
    gateway: Gateway, connect: Factory, isolated: Path
) -> None:
    client = connect(gateway)
    client.ticker("DOGE/USDT")

    def delist(sent: Any) -> None:
        for symbol in sent["symbols"]:
            if symbol["symbol"] == "DOGEUSDT":
                symbol["status"] = "BREAK"

    gateway.edit("*/exchangeInfo", delist)
    grow_older(isolated, DAY)
    assert "DOGE/USDT" not in {pair.pair for pair in client.pairs()}
    with pytest.raises(md.PairNotSupportedError):
        connect(gateway).ticker("DOGE/USDT")


def test_an_exchange_that_suddenly_lists_nothing_keeps_its_pairs(
    gateway: Gateway, connect: Factory, isolated: Path
) -> None:
    client = connect(gateway)
    client.pairs()
    gateway.edit("*/exchangeInfo", lambda sent: {**sent, "symbols": []})
    grow_older(isolated, DAY)
    with pytest.raises(md.DataUnavailableError):
        client.pairs()

    grow_older(isolated, -DAY)
    assert client.pairs()


def damage(file: Path, how: str) -> None:
    content = file.read_bytes()
    match how:
        case "text":
            file.write_text("not a database at all " * 100)
        case "empty":
            file.write_bytes(b"")
        case "half":
            file.write_bytes(content[: len(content) // 2])
        case "header":
            file.write_bytes(content[:20] + b"\xff" * 80 + content[100:])
        case "pages":
            middle = len(content) // 3
            file.write_bytes(content[:4096] + b"\xa5" * middle + content[4096 + middle :])
        case "values":
            file.write_bytes(content.replace(b'{"', b"<<"))
        case "tables":
            with sqlite3.connect(file) as connection:
                connection.execute("DROP TABLE market")
            connection.close()
        case "columns":
            with sqlite3.connect(file) as connection:
                connection.execute("DROP TABLE market")
                connection.execute("CREATE TABLE market (source TEXT, other TEXT)")
            connection.close()
        case "rows":
            with sqlite3.connect(file) as connection:
                connection.execute("DELETE FROM market")
            connection.close()


DAMAGES = ["text", "empty", "half", "header", "pages", "values", "tables", "columns", "rows"]


@pytest.mark.parametrize("how", DAMAGES)
@pytest.mark.parametrize("operation", ["ticker", "pairs"])
def test_a_damaged_file_counts_as_none(
    sim: SimulatedExchange, connect: Factory, isolated: Path, how: str, operation: str
) -> None:
    connect(sim).pairs()
    damage(isolated / "catalogue.sqlite", how)
    sim.forget()

    if operation == "ticker":
        assert connect(sim).ticker("BTC/USDT").pair == "BTC/USDT"
    else:
        assert "BTC/USDT" in {one.pair for one in connect(sim).pairs()}
    assert lists(sim) == 1
    connect(sim).ticker("ETH/USDT")
    assert lists(sim) == 1


@pytest.mark.parametrize("how", ["text", "values"])
def test_exchanges_are_described_again_if_the_file_is_damaged(
    connect: Factory, sim: SimulatedExchange, isolated: Path, how: str
) -> None:
    known = connect(sim).exchanges()
    damage(isolated / "catalogue.sqlite", how)

    assert connect(sim).exchanges() == known


def test_a_description_from_another_version_is_replaced(client: md.Client, isolated: Path) -> None:
    known = client.exchanges()
    with sqlite3.connect(isolated / "catalogue.sqlite") as connection:
        connection.execute("""UPDATE described SET exchanges = '[{"id": "old", "colour": 1}]'""")
    connection.close()

    assert client.exchanges() == known


@pytest.mark.parametrize("blocked", ["home is a file", "file is a folder"])
def test_an_unwritable_home_costs_requests_but_no_answers(
    sim: SimulatedExchange, connect: Factory, isolated: Path, blocked: str
) -> None:
    if blocked == "home is a file":
        isolated.write_text("in the way")
    else:
        (isolated / "catalogue.sqlite").mkdir(parents=True)
    client = connect(sim)
    client.ticker("BTC/USDT")
    client.ticker("ETH/USDT")
    assert lists(sim) == 1
    assert client.pairs()

    connect(sim).ticker("BTC/USDT")
    assert lists(sim) == 2


@pytest.mark.parametrize(("mode", "above"), [(0o500, 0o755), (0o700, 0o000)])
def test_a_home_that_can_be_neither_written_nor_read(
    python: Run, isolated: Path, mode: int, above: int
) -> None:
    # Root may do everything, so root becomes somebody else, once all is imported.
    program = """
        import os, pathlib, sys
        import marketdata as md

        home, mode, above = pathlib.Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
        with md.Client(home=home / "other") as client:
            client.ticker("BTC/USDT")
        (home / "below" / "home").mkdir(parents=True)
        (home / "below" / "home").chmod(mode)
        (home / "below").chmod(above)
        if os.geteuid() == 0:
            os.setuid(65534)
        with md.Client(home=home / "below" / "home") as client:
            print(client.ticker("BTC/USDT").pair, client.ticker("ETH/USDT").pair)
        if os.geteuid() != 65534:
            (home / "below").chmod(0o700)
    """
    assert python(program, str(isolated), str(mode), str(above)) == "BTC/USDT ETH/USDT\n"


def test_a_file_locked_by_another_process(
    sim: SimulatedExchange, connect: Factory, isolated: Path
) -> None:
    connect(sim).pairs()
    with sqlite3.connect(isolated / "catalogue.sqlite") as connection:
        connection.execute("BEGIN EXCLUSIVE")
        assert connect(sim).ticker("BTC/USDT").pair == "BTC/USDT"
        connection.rollback()
    connection.close()


def test_concurrent_processes_without_a_list(
    sim: SimulatedExchange, python: Run, program: str, isolated: Path
) -> None:
    with ThreadPoolExecutor(3) as threads:
        printed = list(threads.map(lambda _: python(program), range(3)))

    assert printed == ["BTC/USDT\n"] * 3
    assert 1 <= lists(sim) <= 3
    sim.forget()
    assert python(program) == "BTC/USDT\n"
    assert lists(sim) == 0


def test_lists_of_several_exchanges_are_stored_separately(
    sim: SimulatedExchange, connect: Factory
) -> None:
    for exchange in DIALECTS:
        connect(sim, exchange).pairs()
    sim.forget()
    for exchange in DIALECTS:
        assert {pair.exchange for pair in connect(sim, exchange).pairs()} == {exchange}
    assert sim.requests == []


def test_the_simulated_exchange_leaves_nothing_behind(
    isolated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record(tmp_path, minutes("2024-01-01", "2024-01-01T01:00"))
    monkeypatch.setenv("MARKETDATA_SIM_TAPE", str(path))
    with md.Client(sim=True) as taped:
        assert [pair.pair for pair in taped.pairs()] == ["BTC/USDT"]
    monkeypatch.delenv("MARKETDATA_SIM_TAPE")
    with md.Client(sim=True) as seeded:
        assert len(seeded.pairs()) > 5
    assert not isolated.exists()


def test_a_market_with_two_thousand_pairs_is_listed_completely(connect: Factory) -> None:
    with SimulatedExchange(pairs=2_000) as sim:
        pairs = connect(sim).pairs()
        names = [pair.pair for pair in pairs]

    assert len(names) == len(set(names)) == 1_999  # one of them is no longer traded
    assert names == sorted(names)


def test_many_lists_at_once_are_written_one_by_one(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # SQLite waits half a second for a lock: side by side, some of twenty would never be on disk.
    catalogue, names = Catalogue(isolated), [f"exchange{number}" for number in range(20)]
    writing, most = 0, 0
    replace = catalogue.replace

    def slowly(*given: Any, **named: Any) -> None:
        nonlocal writing, most
        writing += 1
        most = max(most, writing)
        time.sleep(0.002)
        replace(*given, **named)
        writing -= 1

    monkeypatch.setattr(catalogue, "replace", slowly)
    market = Market("BTC/USDT", {"symbol": "BTC/USDT", "base": "BTC", "quote": "USDT"})

    async def fetch() -> Fetched:
        return Fetched([market], Facts(), simulated=False)

    async def every() -> None:
        await asyncio.gather(*[catalogue.renew(name, 60.0, fetch) for name in names])

    asyncio.run(every())
    assert most == 1
    assert [list(Catalogue(isolated).names(name)) for name in names] == [["BTC/USDT"]] * 20


def test_packed_markets_equal_the_markets() -> None:
    markets = [
        Market(f"{base}/USDT", {"base": base, "step": 1e-08, "info": {"filters": [None, "1"]}})
        for base in ("BTC", "ETH", "SOL")
    ]
    packed = Packed(markets)
    assert len(packed) == 3
    assert list(packed) == markets
    assert packed[-1] == markets[-1]
    assert packed[1:] == markets[1:]
    assert list(Packed([Market("\ud800/USDT", {"base": "\ud800"}), *markets])) == markets
