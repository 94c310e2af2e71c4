"""One store for many processes and machines: nothing is lost or repeated, whoever dies."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import deltalake
import polars as pl
import pytest
from waiting import until

import marketdata as md
from marketdata._client import cluster
from marketdata.sim import SimulatedExchange

from .conftest import Connect, Play
from .programs import ended, running
from .tapes import at, minutes, ms, pages, rows, tables

# Delta Lake's library is for processes that were not forked.
pytestmark = pytest.mark.cold

LENGTH = 9000
HOLE = (4000, 4100)
DOWNLOAD = """
    import sys
    import marketdata as md

    sys.stdin.readline()
    [found] = md.history.download(["BTC/USDT"], "1m", start="2024-03-01", end=int(sys.argv[1]))
    print(found.bars, found.error)
"""


@pytest.fixture
def sim(play: Play) -> SimulatedExchange:
    return play("binance", LENGTH, HOLE, now=2 * LENGTH, others={"ETH/USDT": []})


def truth() -> list[tuple[Any, ...]]:
    return minutes(0, LENGTH, HOLE)


def check_stored(client: md.Client, sim: SimulatedExchange, location: str) -> None:
    """All is there, once, for us and for every other program that reads the live files."""
    sim.forget()
    found = client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH))
    assert rows(found) == truth()
    assert [(one.start, one.end, one.cause) for one in found.missing] == [
        (at(HOLE[0]), at(HOLE[1]), "no_trades")
    ]
    assert pages(sim) == 0
    assert client.history.verify() == []
    frame = pl.read_delta(location).filter(pl.col("cause").is_null()).sort("time")
    columns = ("open", "high", "low", "close", "volume")
    assert frame["time"].dt.timestamp("ms").to_list() == [row[0] for row in truth()]
    assert list(zip(*(frame[name].to_list() for name in columns), strict=True)) == [
        row[1:] for row in truth()
    ]
    # Two that found a part of the hole each have told of it in two rows.
    rows_of_all = deltalake.DeltaTable(location).to_pyarrow_table()
    assert rows_of_all.num_rows - rows_of_all["cause"].null_count in (1, 2)
    assert rows_of_all["cause"].null_count == len(truth())


def test_processes_that_download_one_series_at_once(
    sim: SimulatedExchange, connect: Connect
) -> None:
    end = str(ms(LENGTH))
    with (
        running(DOWNLOAD, sim.url, end) as one,
        running(DOWNLOAD, sim.url, end) as two,
        running(DOWNLOAD, sim.url, end) as three,
    ):
        for process in (one, two, three):
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        assert [ended(process) for process in (one, two, three)] == [f"{LENGTH - 100} None\n"] * 3
    client = connect(sim)
    [series] = client.history.list()
    assert (series.bars, series.missing, series.not_fetched) == (LENGTH - 100, 100, 0)
    check_stored(client, sim, series.location)


def test_threads_and_clients_that_request_the_same_range(
    sim: SimulatedExchange, connect: Connect, isolated: Path
) -> None:
    clients = [connect(sim) for _ in range(3)]

    def ask(number: int) -> bool:
        first = number * 700 % (LENGTH - 3000)
        found = clients[number % 3].candles("BTC/USDT", "1m", start=at(first), end=at(first + 3000))
        return rows(found) == minutes(first, first + 3000, HOLE)

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(16)))
    clients[0].candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH))
    check_stored(clients[1], sim, str(tables(isolated)[0]))


# ---------------------------------------------------------------------------- an object store


def test_a_bucket_supports_everything_that_a_folder_does(
    sim: SimulatedExchange,
    connect: Connect,
    bucket: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("MARKETDATA_STORE", bucket)
    client = connect(sim)
    assert client.history.list() == client.history.verify() == []
    for first in range(0, LENGTH, 3000):
        client.candles("BTC/USDT", "1m", start=at(first), end=at(first + 3000))
    [series] = client.history.list()
    assert series.location.startswith(f"{bucket}/simulated/")
    assert (series.start, series.end, series.bars) == (at(0), at(LENGTH), LENGTH - 100)
    check_stored(client, sim, series.location)
    check_stored(connect(sim), sim, series.location)

    written = client.history.export(tmp_path / "bars.parquet", "BTC/USDT", "1m")
    assert pl.read_parquet(written).height == LENGTH - 100

    # Damage, of a file and of the log.
    s3 = s3_of(bucket)
    table = series.location.removeprefix("s3://").partition("/")
    objects = s3.list_objects_v2(Bucket=table[0], Prefix=table[2])["Contents"]
    [data] = [one["Key"] for one in objects if one["Key"].endswith(".parquet")][:1]
    s3.delete_object(Bucket=table[0], Key=data)
    with pytest.raises(md.DataUnavailableError) as caught:
        connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH))
    assert "history verify" in str(caught.value)
    assert [one.problem for one in client.history.repair()] == ["file_missing"]
    client.candles("BTC/USDT", "1m", start=at(0), end=at(LENGTH))
    check_stored(client, sim, series.location)
    s3.put_object(
        Bucket=table[0], Key=f"{table[2]}/_delta_log/00000000000000000000.json", Body=b"\0"
    )
    assert [one.problem for one in client.history.repair()] == ["log_unreadable"]
    check_stored(client, sim, series.location)

    assert [one.bars for one in client.history.remove(["BTC/USDT"])] == [LENGTH - 100]
    assert client.history.list() == []
    left = s3.list_objects_v2(Bucket=table[0], Prefix=table[2])["Contents"]
    assert not [one["Key"] for one in left if one["Key"].endswith("parquet")]


def s3_of(bucket: str) -> Any:
    import boto3

    return boto3.client("s3", region_name="us-east-1")


def test_an_unreachable_bucket_is_a_marketdata_error(
    sim: SimulatedExchange, connect: Connect, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_STORE", "s3://there-is-no-such-bucket/candles")
    with pytest.raises(md.DataUnavailableError) as caught:
        connect(sim).candles("BTC/USDT", "1m", start=at(0), end=at(10))
    assert "s3://there-is-no-such-bucket/candles" in str(caught.value)


# ---------------------------------------------------------------------------- a cluster


@pytest.fixture
def dask_folder(tmp_path: Path) -> Iterator[None]:
    """Have Dask keep its files in the test's own folder, and not in the machine's."""
    import dask

    with dask.config.set({"temporary-directory": str(tmp_path)}):
        yield


@pytest.fixture
def workers(dask_folder: None) -> Iterator[Any]:
    """Three worker processes of a Dask client."""
    from distributed import Client, LocalCluster

    with (
        LocalCluster(
            n_workers=3,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            silence_logs=False,
        ) as local,
        Client(local) as client,
    ):
        yield client


def kill_one_at_work(workers: Any, sim: SimulatedExchange) -> None:
    """Kill a worker that is waiting for an answer."""
    until(lambda: pages(sim) >= 8)
    busy = [name for name, tasks in workers.processing().items() if tasks]
    pid = workers.run(os.getpid, workers=busy[:1])[busy[0]]
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("place", ["folder", "bucket"])
def test_workers_store_everything_once_after_one_is_killed(
    sim: SimulatedExchange,
    connect: Connect,
    isolated: Path,
    workers: Any,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    place: str,
) -> None:
    if place == "bucket":
        monkeypatch.setenv("MARKETDATA_STORE", request.getfixturevalue("bucket"))
        workers.run(os.environ.update, {k: v for k, v in os.environ.items() if k[:4] == "AWS_"})
    monkeypatch.setattr(cluster, "_PART_CANDLES", 3000)
    client = connect(sim, retries=2)
    # What is there already is nobody's part.
    client.candles("BTC/USDT", "1m", start=at(2000), end=at(2500))
    sim.forget()
    sim.faults.add(path="*/klines", latency=0.2)
    progress: list[md.Progress] = []

    async def download() -> Any:
        async with md.AsyncClient(settings=client.settings) as here:
            work = asyncio.ensure_future(
                here.history.download(
                    ["BTC/USDT"],
                    "1m",
                    start=at(0),
                    end=at(LENGTH),
                    scheduler=workers,
                    progress=progress.append,
                )
            )
            await asyncio.to_thread(kill_one_at_work, workers, sim)
            return await work

    [done] = asyncio.run(download())
    assert done.error is None
    assert (done.bars, done.fetched) == (LENGTH - 100, LENGTH - 500)
    assert (progress[-1].done, progress[-1].total) == (LENGTH, LENGTH)
    sim.faults.clear()
    [series] = client.history.list()
    assert (series.bars, series.not_fetched, series.simulated) == (LENGTH - 100, 0, True)
    check_stored(client, sim, series.location)


def test_an_unsuitable_cluster_is_an_error_with_the_reason(
    sim: SimulatedExchange, connect: Connect, workers: Any
) -> None:
    client = connect(sim)

    def download(scheduler: Any = workers) -> Any:
        [done] = client.history.download(
            ["BTC/USDT"], "1m", start=at(0), end=at(LENGTH), scheduler=scheduler
        )
        return done

    # The exchange goes away: what the workers say of it.
    sim.faults.add(path="*/klines", after=4, status=503)
    done = download()
    assert done.error["code"] == "EXCHANGE_UNAVAILABLE"
    sim.faults.clear()
    # Not what is wanted at all.
    for scheduler in ("tcp://127.0.0.1:8786", object()):
        with pytest.raises(md.InvalidParameterError):
            download(scheduler)
    # The workers fail at something that is none of ours.
    workers.run(_break_downloads)
    done = download()
    assert (done.error["code"], done.error["retryable"]) == ("DATA_UNAVAILABLE", True)
    assert "cluster" in done.error["message"]


def _break_downloads() -> None:
    from marketdata._client.session import Session

    async def broken(*arguments: object, **more: object) -> None:
        raise RuntimeError("broken")

    Session.ask = broken


def test_a_dask_client_of_the_running_loop_works(
    sim: SimulatedExchange, connect: Connect, isolated: Path, dask_folder: None
) -> None:
    from distributed import Client, LocalCluster

    client = connect(sim)

    async def download() -> Any:
        async with (
            LocalCluster(
                n_workers=1,
                processes=False,
                dashboard_address=":0",
                asynchronous=True,
            ) as local,
            Client(local, asynchronous=True) as scheduler,
            md.AsyncClient(settings=client.settings) as here,
        ):
            return await here.history.download(
                ["BTC/USDT"], "1m", start=at(0), end=at(LENGTH), scheduler=scheduler
            )

    [done] = asyncio.run(download())
    assert (done.error, done.bars) == (None, LENGTH - 100)
    check_stored(client, sim, str(tables(isolated)[0]))
