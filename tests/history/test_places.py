"""Places of the store: writable and read-only folders, names, forks, simulations."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Literal

import pytest
from built import NEEDS_OTHERS
from inside.store import SeriesName, Store
from library.gateway import Answer, Gateway

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Before, Connect, Play
from .programs import run
from .series import bars
from .tapes import at, minutes, ms, opened, pages, rows, tables

# Delta Lake's library is for processes that were not forked.
pytestmark = pytest.mark.cold


@pytest.fixture
def sim(play: Play) -> SimulatedExchange:
    return play("binance", 500, now=5000, others={"ETH/USDT": []})


def ask(client: md.Client, **more: object) -> list[tuple[object, ...]]:
    return rows(client.candles("BTC/USDT", "1m", start=at(0), end=at(500), **more))


def in_the_way(folder: Path) -> Path:
    """Put a file in the place of a folder."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("no folder")
    return folder


def test_candles_work_without_the_default_folder(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    in_the_way(isolated / "candles")
    client = connect(sim)
    for _ in range(2):
        assert ask(client) == minutes(0, 500)
    assert pages(sim) == 2
    with pytest.raises(md.DataUnavailableError) as caught:
        client.history.list()
    assert "MARKETDATA_STORE" in str(caught.value)


def test_a_chosen_folder_that_cannot_be_created_is_an_error(
    sim: SimulatedExchange,
    connect: Connect,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    chosen = in_the_way(tmp_path / "file") / "store"
    monkeypatch.setenv("MARKETDATA_STORE", str(chosen))
    client = connect(sim)
    with pytest.raises(md.DataUnavailableError) as caught:
        ask(client)
    assert str(chosen) in str(caught.value)
    assert "MARKETDATA_STORE" in str(caught.value)
    [done] = client.history.download(["BTC/USDT"], "1m", start=at(0), end=at(500))
    assert done.error is not None
    assert ask(client, store=False) == minutes(0, 500)


_READING_ONLY = """
    import os, sys
    import marketdata as md

    ask = dict(start="2024-03-01", end=int(sys.argv[1]))
    # What is imported late may be root's, too.
    md.Client(home=sys.argv[2]).candles("BTC/USDT", "1m", **ask)
    if sys.argv[3]:
        os.environ["MARKETDATA_STORE"] = sys.argv[3]
    if os.getuid() == 0:
        os.setuid(65534)
    try:
        print(len(md.candles("BTC/USDT", "1m", **ask)))
    except md.MarketDataError as error:
        print(error.code, "Permission denied" in str(error))
"""


@NEEDS_OTHERS
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="has no permissions of this kind")
def test_read_only_folders(
    sim: SimulatedExchange, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        home = Path(place) / "home"
        monkeypatch.setenv("MARKETDATA_HOME", str(home))
        connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(300))
        folders = [home, *(one for one in home.rglob("*") if one.is_dir())]
        for folder in folders:
            folder.chmod(0o555)

        def read(minutes: int, store: str) -> tuple[str, int]:
            sim.forget()
            other = Path(place) / f"other-{minutes}-{bool(store)}"
            printed = run(_READING_ONLY, sim.url, str(ms(minutes)), str(other), store)
            return printed, pages(sim) - 1

        # The default store is done without. A chosen one is read, and an error where it would
        # have to be written to.
        store = str(home / "candles")
        assert read(500, "") == ("500\n", 1)
        assert read(300, store) == ("300\n", 0)
        assert read(500, store) == ("DATA_UNAVAILABLE True\n", 1)
        for folder in folders:
            folder.chmod(0o755)


_DEFAULT_FOR_READING_ONLY = """
    import json, logging, os, pathlib, sys
    import marketdata as md

    home, other = sys.argv[1:3]
    logging.getLogger("marketdata.candles").addHandler(logging.StreamHandler(sys.stdout))
    ask = dict(start="2024-03-01", end=int(sys.argv[3]))
    # What is imported late may be root's, too.
    md.Client(home=other).candles("BTC/USDT", "1m", **ask)
    for folder in (pathlib.Path(home), *pathlib.Path(home).rglob("*")):
        if folder.is_dir():
            folder.chmod(0o555)
    if os.getuid() == 0:
        os.setuid(65534)
    with md.Client(home=home) as client:
        for more in ({}, {}, {"refresh": True}, {"store": False}, {"limit": 490}):
            found = client.candles("BTC/USDT", "1m", **ask, **more)
            print(list(found.open) == [100.0 + one for one in range(more.get("limit", 500))])
        print([one.bars for one in client.history.list()], list(client.history.verify()))
        print(client.history.plan(["BTC/USDT"], "1m", **ask)[0].stored)
        stored = client.history
        for change, more in ((stored.download, ask), (stored.repair, {}), (stored.remove, {})):
            try:
                change(["BTC/USDT"], "1m", **more)
            except md.MarketDataError as error:
                print(error.code, error)
"""


@NEEDS_OTHERS
@pytest.mark.skipif(not hasattr(os, "getuid"), reason="has no permissions of this kind")
def test_a_read_only_default_store_is_read_and_logged_once(
    sim: SimulatedExchange, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tempfile.TemporaryDirectory() as place:
        Path(place).chmod(0o755)
        home = Path(place) / "home"
        monkeypatch.setenv("MARKETDATA_HOME", str(home))
        connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(300))
        sim.forget()
        args = (str(home), str(Path(place) / "other"), str(ms(500)))
        printed = run(_DEFAULT_FOR_READING_ONLY, sim.url, *args)
        for folder in [home, *(one for one in home.rglob("*") if one.is_dir())]:
            folder.chmod(0o755)
    refused = (
        f"The candle store {home}/candles cannot be used: Permission denied. Set MARKETDATA_STORE "
        "to another folder, or to 'none'."
    )
    told, *lines = printed.splitlines()
    assert told == f"Stored candles are read, but new ones are not stored. {refused}"
    assert lines == [*["True"] * 5, "[300] []", "300", *[f"DATA_UNAVAILABLE {refused}"] * 3]


def test_a_missing_default_folder_is_logged_once(
    sim: SimulatedExchange, connect: Connect, isolated: Path, caplog: pytest.LogCaptureFixture
) -> None:
    in_the_way(isolated / "candles")
    client = connect(sim)
    for _ in range(2):
        assert ask(client) == minutes(0, 500)
    [line] = [one.message for one in caplog.records if one.name == "marketdata.candles"]
    assert line.startswith("No candles are stored. The candle store ")


def test_reading_a_missing_store_creates_none(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    client = connect(sim)
    assert client.history.list() == client.history.verify() == []
    client.history.plan(["BTC/USDT"], "1m", start=at(0), end=at(500))
    assert client.history.remove(["BTC/USDT"]) == []
    assert not (isolated / "candles").exists()


def test_a_file_url_is_a_folder(
    sim: SimulatedExchange, connect: Connect, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_STORE", f"file://{tmp_path}/some where")
    client = connect(sim)
    assert ask(client) == minutes(0, 500)
    [table] = tables(tmp_path / "some where")
    assert opened(table) == list(range(500))
    assert client.history.list()[0].bars == 500


def test_a_store_deleted_under_a_running_program_is_created_again(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    import shutil

    client = connect(sim)
    ask(client)
    shutil.rmtree(isolated / "candles")
    assert ask(client) == minutes(0, 500)
    assert ask(client) == minutes(0, 500)
    assert pages(sim) == 2


def test_a_removed_series_can_be_stored_again(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    client, other = connect(sim), connect(sim)
    ask(client)
    ask(other)
    [series] = client.history.remove(["BTC/USDT"], dry_run=True)
    assert (series.bars, len(client.history.list())) == (500, 1)
    [series] = client.history.remove(["btcusdt"])
    assert series.bars == 500
    assert client.history.list() == other.history.list() == []
    assert not list(isolated.rglob("candles/**/*.parquet"))
    with pytest.raises(md.DataUnavailableError):
        client.history.export(isolated / "bars.csv", "BTC/USDT", "1m")
    assert not (isolated / "bars.csv").exists()
    assert ask(other) == minutes(0, 500)
    assert ask(client) == minutes(0, 500)
    assert [one.bars for one in client.history.list()] == [500]


@pytest.mark.skipif(sys.platform == "win32", reason="who may make links there is a setting")
@pytest.mark.parametrize("kind", ["csv", "parquet", "feather"])
def test_an_export_follows_no_link_that_somebody_put_in_its_folder(
    kind: Literal["csv", "parquet", "feather"],
    sim: SimulatedExchange,
    connect: Connect,
    tmp_path: Path,
) -> None:
    client = connect(sim)
    ask(client)
    folder, victim = tmp_path / "shared", tmp_path / "victim"
    folder.mkdir()
    victim.write_text("precious")
    for name in (f"bars.{kind}", f".bars.{kind}.part"):
        (folder / name).symlink_to(victim)
    client.history.export(folder / f"bars.{kind}", "BTC/USDT", "1m")
    assert victim.read_text() == "precious"
    assert not (folder / f"bars.{kind}").is_symlink()


# ---------------------------------------------------------------------------- names


@pytest.mark.parametrize(
    "pair",
    [
        "BTC/USDT",
        "1INCH/USDT",
        "../X",
        "X/..",
        "A-B/C",
        "币安人生/USDT",
        "a b/c$d",
        "./.",
        "~7e~/X",
    ],
)
@pytest.mark.parametrize("simulated", [None, "seed-1", "..", "../../x", ".", "a/b"])
def test_any_name_is_one_folder_in_the_store_and_back(
    tmp_path: Path, pair: str, simulated: str | None
) -> None:
    store = Store(str(tmp_path / "store"))
    name = SeriesName("binance", pair, "1m", simulated)
    store.table(name).add([bars(0, 3)])

    assert store.series() == [name]
    [table] = tables(tmp_path)
    parts = table.relative_to(tmp_path / "store").parts
    assert len(parts) == (3 if simulated is None else 5)
    assert not any(part.startswith(".") for part in parts)
    assert (parts[0] == "simulated") is (simulated is not None)


@pytest.mark.parametrize("exchange", ["../../etc", "binance/../..", "/", ".."])
def test_an_invalid_exchange_is_no_path(
    sim: SimulatedExchange, connect: Connect, tmp_path: Path, exchange: str
) -> None:
    client = connect(sim)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(md.ExchangeNotSupportedError):
        client.candles("BTC/USDT", "1m", start=at(0), end=at(5), exchange=exchange)
    [done] = client.history.download(
        ["BTC/USDT"], "1m", start=at(0), end=at(5), exchanges=[exchange]
    )
    assert done.error is not None
    assert done.error["code"] == "EXCHANGE_NOT_SUPPORTED"
    assert client.history.remove(["BTC/USDT"], exchanges=[exchange]) == []
    assert sorted(tmp_path.rglob("*")) == before


def test_other_folders_are_no_series(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    client = connect(sim)
    ask(client)
    store = isolated / "candles"
    for other in ("notes/2024/march", "binance/BTC-USDT/old", "x/~zz~-Y/1m", "simulated/a"):
        (store / other).mkdir(parents=True)
        (store / other / "a.parquet").write_bytes(b"x")
    (store / "binance" / "README").write_text("a file")

    assert [one.pair for one in client.history.list()] == ["BTC/USDT"]
    assert client.history.verify() == []
    assert client.history.repair() == []


# ---------------------------------------------------------------------------- simulated


def test_simulated_bars_are_separate_from_real_ones_and_each_other(
    play: Play, before: Before, connect: Connect, isolated: Path
) -> None:
    one, other = play("binance", 100, now=3000), play("binance", 200, now=3000)
    real: Gateway = before(one)

    def as_if_real(answer: Answer) -> Answer:
        answer.headers = {
            name: value for name, value in answer.headers.items() if "simulated" not in name.lower()
        }
        return answer

    real.change("*", as_if_real)

    def end(client: md.Client) -> md.Candles:
        return client.candles("BTC/USDT", "1m", start=at(0), end=at(100))

    for to, simulated in [(one, True), (other, True), (real, None)]:
        assert end(connect(to)).simulated is simulated
    everything = connect(one).history.list()
    assert [series.simulated for series in everything] == [None, True, True]
    folders = [table.relative_to(isolated / "candles").parts[0] for table in tables(isolated)]
    assert sorted(folders) == ["binance", "simulated", "simulated"]
    # What one has stored another does not take for its own.
    for sim in (one, other):
        sim.forget()
        end(connect(sim))
        assert pages(sim) == 0


def test_an_exchange_that_switches_its_recording_is_not_mixed_up(
    play: Play, before: Before, connect: Connect, isolated: Path
) -> None:
    gateway = before(play("binance", 500, now=3000))
    client = connect(gateway)
    client.candles("BTC/USDT", "1m", start=at(0), end=at(100))

    def other(answer: Answer) -> Answer:
        answer.headers["X-Marketdata-Plays"] = "tape-other"
        return answer

    gateway.change("*", other)
    with pytest.raises(md.DataUnavailableError) as caught:
        client.candles("BTC/USDT", "1m", start=at(0), end=at(200))
    assert caught.value.retryable
    client.candles("BTC/USDT", "1m", start=at(0), end=at(200))
    assert [len(opened(table)) for table in tables(isolated)] in ([100, 200], [200, 100])


# ---------------------------------------------------------------------------- forks


_FORK = """
    import os, sys, warnings
    import marketdata as md

    warnings.simplefilter("ignore", DeprecationWarning)  # of forks beside threads
    client = md.Client()
    ask = dict(start="2024-03-01", end="2024-03-01T05:00")
    print(len(client.candles("BTC/USDT", "1m", **ask)), flush=True)
    child = os.fork()
    if child == 0:
        print(len(client.candles("BTC/USDT", "1m", **ask)), flush=True)
        print(len(md.candles("BTC/USDT", "1m", **ask)), flush=True)
        for call in (client.history.list, md.history.verify):
            try:
                call()
            except md.DataUnavailableError as error:
                print(error.code, "spawn" in str(error), flush=True)
        sys.exit(0)
    print(os.waitpid(child, 0)[1], len(client.candles("BTC/USDT", "1m", **ask)))
    print(len(client.history.list()))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no forks")
def test_a_forked_child_works_without_the_store(sim: SimulatedExchange) -> None:
    printed = run(_FORK, sim.url)
    assert printed.splitlines() == [
        *["300"] * 3,
        *["DATA_UNAVAILABLE True"] * 2,
        "0 300",
        "1",
    ]
    # The parent once, the child twice, and no more.
    assert pages(sim) == 3


@pytest.mark.skipif(not hasattr(os, "fork"), reason="has no forks")
def test_a_forked_child_of_a_parent_without_stored_bars_has_the_store(
    sim: SimulatedExchange,
) -> None:
    printed = run(
        """
        import os, sys, warnings
        import marketdata as md

        warnings.simplefilter("ignore", DeprecationWarning)
        print(md.ticker("BTC/USDT").pair, flush=True)
        child = os.fork()
        if child == 0:
            ask = dict(start="2024-03-01", end="2024-03-01T05:00")
            md.candles("BTC/USDT", "1m", **ask)
            print(len(md.candles("BTC/USDT", "1m", **ask)), len(md.history.list()), flush=True)
            sys.exit(0)
        print(os.waitpid(child, 0)[1])
        """,
        sim.url,
    )
    assert printed.splitlines() == ["BTC/USDT", "300 1", "0"]
    assert pages(sim) == 1


def test_spawned_processes_share_a_store(sim: SimulatedExchange, isolated: Path) -> None:
    program = """
        import marketdata as md

        found = md.history.download(["BTC/USDT"], "1m", start="2024-03-01", end="2024-03-01T05:00")
        print(found[0].bars, found[0].fetched)
    """
    assert run(program, sim.url) == "300 300\n"
    assert run(program, sim.url) == "300 0\n"
    assert pages(sim) == 1
    assert json.loads(json.dumps([len(opened(table)) for table in tables(isolated)])) == [300]
    assert sys.version_info >= (3, 11)
