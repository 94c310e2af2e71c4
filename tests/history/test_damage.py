"""A damaged store reports it, is repaired, and returns the rest again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from inside.store import findings

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Connect, Play
from .series import bars, read, table_in
from .tapes import at, minutes, opened, pages, rows, tables

LENGTH = 4000


def data(table: Path) -> list[Path]:
    return sorted(table.glob("*.parquet"))


def log(table: Path) -> list[Path]:
    return sorted((table / "_delta_log").glob("*.json"))


def flip(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 0x10
    path.write_bytes(bytes(content))


def no_last_half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


OF_FILES: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing": (lambda path: path.unlink(), "file_missing"),
    "half": (no_last_half, "file_unreadable"),
    "empty": (lambda path: path.write_bytes(b""), "file_unreadable"),
    "with a flipped bit": (lambda path: flip(path, path.stat().st_size // 3), "file_unreadable"),
    "something else": (lambda path: path.write_bytes(b"no Parquet" * 100), "file_unreadable"),
}

OF_LOGS: dict[str, Callable[[Path], None]] = {
    "deleted": lambda table: shutil.rmtree(table / "_delta_log"),
    "emptied": lambda table: [one.unlink() for one in log(table)] and None,
    "without its first commit": lambda table: log(table)[0].unlink(),
    "with a gap": lambda table: log(table)[1].unlink(),
    "with a commit of something else": lambda table: (
        log(table)[-1].write_bytes(b"\0" * 99) and None
    ),
    "with half a commit": lambda table: no_last_half(log(table)[-1]),
}


@pytest.fixture
def sim(play: Play) -> SimulatedExchange:
    return play("binance", LENGTH, now=2 * LENGTH, others={"ETH/USDT": []})


def ask(client: md.Client, first: int = 0, last: int = LENGTH) -> md.Candles:
    return client.candles("BTC/USDT", "1m", start=at(first), end=at(last))


@pytest.fixture
def table(sim: SimulatedExchange, connect: Connect, isolated: Path) -> Path:
    """A table of four files that a client has stored."""
    client = connect(sim)
    # The newest first: each is one page then, without the candle before it.
    for first in reversed(range(0, LENGTH, 1000)):
        ask(client, first, first + 1000)
    [table] = tables(isolated)
    assert len(data(table)) == 4
    return table


def check_refusal(client: md.Client) -> None:
    with pytest.raises(md.DataUnavailableError) as caught:
        ask(client)
    assert "history verify" in str(caught.value)
    assert caught.value.code == "DATA_UNAVAILABLE"


@pytest.mark.parametrize("what", OF_FILES)
def test_a_damaged_data_file_is_found_removed_and_downloaded_again(
    sim: SimulatedExchange, connect: Connect, table: Path, what: str
) -> None:
    damage, problem = OF_FILES[what]
    damage(data(table)[1])
    client = connect(sim)
    check_refusal(client)
    # The rest of the series is read as ever.
    assert rows(ask(client, 2000, 4000)) == minutes(2000, 4000)

    [found] = client.history.verify()
    assert (found.problem, found.start, found.end) == (problem, at(1000), at(2000))
    assert (found.path, found.repaired) == (Path(found.path or "").name, None)
    [mended] = client.history.repair()
    assert (mended.problem, mended.path, mended.repaired) == (problem, found.path, True)
    assert client.history.verify() == []
    sim.forget()
    assert rows(ask(client)) == minutes(0, LENGTH)
    assert pages(sim) == 2  # the bar before the hole comes along
    assert opened(table) == list(range(LENGTH))


@pytest.mark.parametrize("what", OF_LOGS)
def test_a_damaged_log_is_rebuilt_from_the_files(
    sim: SimulatedExchange, connect: Connect, table: Path, what: str
) -> None:
    OF_LOGS[what](table)
    client = connect(sim)

    [found] = client.history.verify()
    assert (found.problem, found.path) == ("log_unreadable", None)
    assert [one.repaired for one in client.history.repair()] == [True]
    assert client.history.verify() == []
    sim.forget()
    assert rows(ask(client)) == minutes(0, LENGTH)
    assert pages(sim) == 0
    assert opened(table) == list(range(LENGTH))


@pytest.mark.parametrize("what", [one for one in OF_LOGS if one not in ("deleted", "emptied")])
@pytest.mark.parametrize("call", ["candles", "download", "plan", "export"])
def test_a_damaged_log_is_a_marketdata_error_with_advice(
    sim: SimulatedExchange, connect: Connect, table: Path, tmp_path: Path, what: str, call: str
) -> None:
    OF_LOGS[what](table)
    client = connect(sim)
    match call:
        case "candles":
            check_refusal(client)
        case "download":
            [done] = client.history.download(["BTC/USDT"], "1m", start=at(0), end=at(LENGTH))
            assert done.error is not None
            assert done.error["code"] == "DATA_UNAVAILABLE"
        case "plan":
            with pytest.raises(md.DataUnavailableError):
                client.history.plan(["BTC/USDT"], "1m", start=at(0), end=at(LENGTH))
        case "export":
            with pytest.raises(md.DataUnavailableError):
                client.history.export(tmp_path / "bars.csv", "BTC/USDT", "1m")
    assert rows(ask_unstored(client)) == minutes(0, LENGTH)
    assert client.history.list() == []


def ask_unstored(client: md.Client) -> md.Candles:
    return client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH), store=False)


def test_a_damaged_series_can_be_removed(
    sim: SimulatedExchange, connect: Connect, table: Path
) -> None:
    log(table)[0].unlink()
    client = connect(sim)
    client.history.remove(["BTC/USDT"])
    assert not data(table)
    assert client.history.verify() == []
    assert rows(ask(client)) == minutes(0, LENGTH)


def test_a_rebuilt_log_uses_the_newest_of_overlapping_files(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    table = table_in(isolated)
    table.add([bars(0, 100)])
    table.replace([bars(0, 100, volume=2.0)])
    table.add([bars(100, 200)])
    table.replace([bars(0, 200, volume=3.0)])
    table.replace([bars(199, 200, volume=4.0)])
    shutil.rmtree(Path(table.url, "_delta_log"))

    found = table_in(isolated)
    found.adopt()
    [stretch] = read(found, 0, 200)
    assert list(stretch.columns.volume) == [3.0] * 199 + [4.0]
    assert findings(found) == []


def test_other_files_in_a_series_folder_are_left_alone(isolated: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = table_in(isolated)
    table.add([bars(0, 100)])
    folder = Path(table.url)
    pq.write_table(pa.table({"a": [1]}), folder / "other.parquet")
    (folder / "broken.parquet").write_bytes(b"x")
    shutil.rmtree(folder / "_delta_log")
    found = table_in(isolated)
    found.adopt()
    assert read(found, 0, 100) == [bars(0, 100)]
    assert findings(found) == []


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    stored = bars(0, 40, (10, 12))
    table.add([stored])
    [path] = data(Path(table.url))
    whole = path.read_bytes()
    for place in range(0, len(whole), 7):
        flip(path, place)
        if not findings(table):
            # What is not data can be changed without a change of what is read.
            assert read(table_in(tmp_path), 0, 40) == [stored], place
        path.write_bytes(whole)


def test_wrong_bars_and_rows_of_any_writer_are_found(tmp_path: Path) -> None:
    table = table_in(tmp_path)
    wrong_price = bars(0, 10)
    wrong_price.columns.low[3] = 5000.0
    gap = bars(20, 30)
    gap.columns = gap.columns[:4]
    table.add([wrong_price])
    table.add([gap])
    table.add([bars(40, 50)])
    later = table.data.write(bars(45, 55))
    assert table._commit([later], [])

    problems = [(one.problem, one.path) for one in findings(table)]
    files = table.files()
    assert problems == [
        ("bars_wrong", files[0].path),
        ("rows_wrong", files[1].path),
        ("overlap", later.path),
    ]


@pytest.mark.parametrize("what", ["price", "overlap"])
def test_repair_removes_everything_that_verify_finds(
    sim: SimulatedExchange, connect: Connect, table: Path, isolated: Path, what: str
) -> None:
    inside = table_in(isolated)
    inside = type(inside)(str(table), "1m")
    inside.refresh()
    if what == "price":
        bad = bars(3000, 3500)
        bad.columns.low[3] = 5000.0
        inside.replace([bad])
    else:
        assert inside._commit([inside.data.write(bars(500, 1500))], [])
    client = connect(sim)
    assert [one.problem for one in client.history.verify()] == [
        "bars_wrong" if what == "price" else "overlap"
    ]
    client.history.repair()
    assert client.history.verify() == []
    assert rows(ask(client)) == minutes(0, LENGTH)
    assert opened(table) == list(range(LENGTH))
