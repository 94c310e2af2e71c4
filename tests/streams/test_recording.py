"""A recording has the unchanged frames of exchanges, whatever happens to the recorder."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from inside.recordings import exchanges_in, read

import marketdata as md
from marketdata.sim import SimulatedExchange

from .live import EXCHANGES, PAIR, client_of, held, refused, run, until
from .tapes import events, got, recorded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "streams.recording"


def lines(path: Path) -> list[Any]:
    """Return what any program reads from a recording: zcat, where the machine has it."""
    program = ["zcat"] if shutil.which("zcat") else [sys.executable, "-m", "gzip", "-d", "-"]
    with path.open("rb") as recording:
        done = subprocess.run(program, stdin=recording, capture_output=True, check=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("exchange", EXCHANGES)
def test_all_that_was_said_is_in_the_file(
    sim: SimulatedExchange, exchange: str, file: Path
) -> None:
    async def work() -> None:
        async with client_of(sim, exchange) as client:
            await recorded(client, sim, file)
            await until(lambda: not held(sim))
            frames = events(file, "got")
            # What is answered to the last messages comes when nobody listens any more.
            assert 0 <= sum(socket.sent for socket in sim.sockets) - len(frames) <= 2
            sent = [event.text for event in read(file) if event.kind == "sent"]
            heard = [text for socket in sim.sockets for text in socket.received]
            assert sorted(sent) == sorted(heard)
            opened = events(file, "open")
            assert {event.exchange for event in opened} == {exchange}
            assert len(opened) == len(sim.sockets) == len(events(file, "lost"))
            asked = [one for one in sim.requests if one.status == 200]
            assert len(events(file, "rest")) == len(asked)
            times = [event.time for event in read(file)]
            assert times == sorted(times)

    run(work())


def test_frames_are_as_they_were_on_the_wire(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with (
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{sim.url}/ws/btcusdt@depth@100ms") as bare,
        ):
            async with md.AsyncClient(endpoints=sim.endpoints) as client:
                await recorded(client, sim, file, what=["orderbook"], subjects=1)
            texts = [await bare.receive_str() for _ in range(sim.sockets[0].sent)]
        assert len(texts) == 100
        assert [one for one in got(file) if "depthUpdate" in one] == texts

    run(work())


def test_every_gzip_reader_understands_it(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file)

    run(work())
    found = lines(file)
    assert found[0] == {"marketdata": "recording", "version": 1}
    assert {row[2] for row in found[1:]} == {"open", "sent", "got", "lost", "rest"}
    with gzip.open(file, "rt") as unpacked:
        assert [json.loads(line) for line in unpacked] == found
    assert len(list(read(file))) == len(found) - 1


def test_what_is_told_of_a_recording(sim: SimulatedExchange, file: Path) -> None:
    told: list[md.Recorded] = []

    async def work() -> tuple[md.Recorded, float]:
        async with client_of(sim) as client:
            began = time.monotonic()
            recording = asyncio.create_task(
                client.record([PAIR], file, seconds=4, progress=told.append)
            )
            await until(lambda: len(held(sim)) == 2)
            await asyncio.sleep(0.1)
            await sim.advance(5)
            return await recording, time.monotonic() - began

    found, took = run(work())
    assert told
    assert found.frames == len(list(read(file)))
    assert found.size == file.stat().st_size
    assert 3.9 < found.seconds <= took + 0.001  # it is rounded
    assert {one.kind for one in found.streams} == {"trades", "orderbook"}
    [book] = [one for one in found.streams if one.kind == "orderbook"]
    assert book.messages == 50


def test_a_second_run_is_appended(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file)
            first = list(read(file))
            await recorded(client, sim, file)
            both = list(read(file))
            assert both[: len(first)] == first
            assert len(both) > len(first) + 50
            numbers = {event.connection for event in both if event.kind == "open"}
            assert len(numbers) == len(events(file, "open")) == 2

    run(work())
    assert sum(isinstance(row, dict) for row in lines(file)) == 2


@pytest.mark.parametrize("cut", [1, 300])
def test_a_torn_end_is_left_out_and_mended(sim: SimulatedExchange, file: Path, cut: int) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            await recorded(client, sim, file, advance=3)
            whole = file.stat().st_size
            await recorded(client, sim, file, advance=3)
            all_of_it = list(read(file))
            os.truncate(file, file.stat().st_size - cut)
            left = list(read(file))
            assert 0 < len(left) < len(all_of_it)
            assert left == all_of_it[: len(left)]
            assert file.stat().st_size > whole
            await recorded(client, sim, file, advance=3)
            after = list(read(file))
            assert after[: len(left)] == left
            assert len(after) > len(left) + 10
            assert len(lines(file)) > len(after)

    run(work())


def test_a_killed_recorder_loses_a_second_at_most(file: Path) -> None:
    program = """
        import sys, marketdata
        client = marketdata.Client("binance")
        told = lambda told: print(told.frames, flush=True)
        client.record(["BTC/USDT"], sys.argv[1], progress=told)
    """
    with SimulatedExchange() as sim:
        command = [sys.executable, "-c", textwrap.dedent(program), str(file)]
        given = {**os.environ, "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints)}
        with subprocess.Popen(command, env=given, stdout=subprocess.PIPE, text=True) as recorder:
            assert recorder.stdout is not None
            frames = 0
            while frames < 30:
                frames = int(recorder.stdout.readline())
            os.kill(recorder.pid, signal.SIGKILL)
            recorder.wait()
        assert recorder.returncode == -signal.SIGKILL
        found = list(read(file))
        assert len(found) >= frames - 40
        assert {"open", "sent", "got", "rest"} <= {event.kind for event in found}
        with md.Client("binance", endpoints=sim.endpoints) as client:
            more = client.record([PAIR], file, seconds=0.5)
        after = list(read(file))
        assert after[: len(found)] == found
        assert len(after) == len(found) + more.frames


def test_a_file_of_another_kind_is_refused_and_left_alone(tmp_path: Path) -> None:
    async def work() -> None:
        text = tmp_path / "notes.txt"
        text.write_text("my notes")
        packed = tmp_path / "notes.gz"
        packed.write_bytes(gzip.compress(b"my notes\n"))
        other = tmp_path / "rows.gz"
        other.write_bytes(gzip.compress(b"[1,2]\n"))
        async with md.AsyncClient("binance") as client:
            for path in (text, packed, other, tmp_path, tmp_path / "nowhere" / "file"):
                before = path.read_bytes() if path.is_file() else None
                error = await refused(client.record([PAIR], path, seconds=1))
                assert (error.code, error.details["parameter"]) == ("INVALID_PARAMETER", "path")
                assert before == (path.read_bytes() if path.is_file() else None)
                if path.is_file():
                    with pytest.raises(md.InvalidParameterError):
                        client.replay(path)

    run(work())


@pytest.mark.parametrize(
    "arguments",
    [
        {"pairs": []},
        {"pairs": ["BTC/USDT"], "what": ["everything"]},
        {"pairs": ["BTC/USDT"], "seconds": 0},
        {"pairs": ["BTC/USDT"], "depth": 0},
        {"pairs": ["BTC/USDT"], "timeframe": "soon"},
    ],
)
def test_wrong_arguments(tmp_path: Path, arguments: dict[str, Any]) -> None:
    async def work() -> None:
        path = tmp_path / "file"
        async with md.AsyncClient("binance") as client:
            with pytest.raises(md.InvalidParameterError):
                await client.record(path=path, **arguments)
            assert not path.exists()

    run(work())


def test_no_key_is_in_the_file(
    sim: SimulatedExchange, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for exchange in EXCHANGES:
        for name in ("API_KEY", "SECRET", "PASSWORD"):
            monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_{name}", f"CANARY{name}")

    async def work() -> None:
        for exchange in EXCHANGES:
            async with client_of(sim, exchange) as client:
                await recorded(client, sim, file, advance=2)

    run(work())
    assert {event.exchange for event in read(file) if event.exchange} == set(EXCHANGES)
    said = gzip.decompress(file.read_bytes())
    assert len(said) > 10_000
    for word in (b"CANARY", b"ignature", b"X-MBX", b"apiKey", b"api-key"):
        assert word not in said


def test_a_recording_that_is_refused_leaves_no_file(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            error = await refused(client.record([PAIR, "NOPE/USDT"], file, seconds=10))
            assert error.code == "PAIR_NOT_SUPPORTED"
            assert not file.exists()

    run(work())


def test_a_recording_of_nothing_is_an_error_and_leaves_no_file(
    sim: SimulatedExchange, file: Path
) -> None:
    told: list[md.Recorded] = []

    async def work() -> None:
        async with client_of(sim) as client:
            error = await refused(client.record([PAIR], file, seconds=1e-6, progress=told.append))
            assert (error.code, error.details["reason"]) == ("EXCHANGE_UNAVAILABLE", "silent")
            assert str(file) in error.message

    run(work())
    assert not file.exists()
    assert (told[-1].frames, told[-1].size) == (0, 0)


def test_several_exchanges_and_kinds_in_one_file(sim: SimulatedExchange, file: Path) -> None:
    kinds = ["ticker", "quote", "orderbook", "trades"]

    async def work() -> None:
        async with client_of(sim) as client:
            # Kraken and Coinbase have one channel for tickers and quotes.
            await recorded(
                client, sim, file, what=kinds, exchange=list(EXCHANGES), subjects=14, advance=2
            )

    run(work())
    opened = {event.exchange for event in events(file, "open")}
    assert opened == set(EXCHANGES)
    assert exchanges_in(file) == tuple(dict.fromkeys(e.exchange for e in read(file) if e.exchange))
