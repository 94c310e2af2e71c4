"""A recording on a failing disk: only written events are counted, and they stay readable."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from full_disk import full_disk
from inside.recordings import Event, Writer, read

import marketdata as md
from marketdata.errors import InternalError, InvalidParameterError
from marketdata.sim import SimulatedExchange

from .live import PAIR, client_of, held, run, until
from .tapes import recorded


@pytest.fixture
def file(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    return folder / "streams.recording"


def _event(number: int) -> Event:
    return Event(number, 1, "got", f"frame {number}")


def _is_whole(file: Path) -> bool:
    with gzip.open(file) as unpacked:
        return bool(unpacked.read())


async def _recording(
    client: md.AsyncClient, sim: SimulatedExchange, file: Path, spoil: Callable[[], object]
) -> InternalError:
    """Record until something is spoilt and then as long as it takes; give the error."""
    told: list[md.Recorded] = []
    recording = asyncio.create_task(client.record([PAIR], file, progress=told.append))
    await until(lambda: len(held(sim)) == 2)
    while not (told and told[-1].frames):
        await sim.advance(1)
        await asyncio.sleep(0.05)
    spoil()
    while not recording.done():
        await sim.advance(1)
        await asyncio.sleep(0.05)
    with pytest.raises(InternalError) as raised:
        await recording
    # Nothing is told that is not on the disk.
    assert told[-1].frames == raised.value.details["events"]
    return raised.value


def test_a_disk_that_fills_ends_the_recording_with_an_error(
    sim: SimulatedExchange, file: Path
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            with contextlib.ExitStack() as stack:
                error = await _recording(
                    client,
                    sim,
                    file,
                    lambda: stack.enter_context(full_disk(file.stat().st_size + 10)),
                )
            assert str(file) in error.message
            assert error.details["lost"] > 0
            kept = list(read(file))
            assert len(kept) == error.details["events"]
            assert _is_whole(file)
            # With room again, more is appended.
            await recorded(client, sim, file, advance=3)
            assert list(read(file))[: len(kept)] == kept
            assert len(list(read(file))) > len(kept)

    run(work())


def test_a_folder_that_vanishes_ends_the_recording_with_an_error(
    sim: SimulatedExchange, file: Path
) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            error = await _recording(client, sim, file, lambda: shutil.rmtree(file.parent))
            assert str(file) in error.message

    run(work())


def test_a_disk_that_is_full_from_the_start_is_told(sim: SimulatedExchange, file: Path) -> None:
    async def work() -> None:
        async with client_of(sim) as client:
            with full_disk(), pytest.raises(InvalidParameterError) as raised:
                await client.record([PAIR], file, seconds=5)
            assert str(file) in raised.value.message
            assert not file.exists()

    run(work())


@pytest.mark.parametrize("room", [0, 1, 20])
def test_no_part_of_a_failed_write_stays(file: Path, room: int) -> None:
    with Writer(file) as writer:
        writer.write(_event(1))
        writer.flush()
    before = file.read_bytes()
    writer = Writer(file)
    size = writer.size
    with full_disk(size + room):
        for number in range(2, 5):
            writer.write(_event(number))
        with pytest.raises(OSError, match=r"streams\.recording"):
            writer.flush()
        writer.write(_event(5))
    assert (writer.events, writer.lost) == (0, 4)
    with pytest.raises(OSError, match=r"streams\.recording"):
        writer.close()
    assert file.read_bytes()[: len(before)] == before
    assert file.stat().st_size == size
    assert list(read(file)) == [_event(1)]


@pytest.mark.parametrize("at", [0.4, 0.7])
def test_a_damaged_file_is_read_up_to_the_damage(file: Path, at: float) -> None:
    for number in range(1, 9):
        with Writer(file) as writer:
            for one in range(50):
                writer.write(_event(100 * number + one))
    whole = list(read(file))
    data = bytearray(file.read_bytes())
    place = int(len(data) * at)
    data[place : place + 40] = bytes(40)
    file.write_bytes(data)
    found: list[Event] = []
    with pytest.raises(ValueError, match="is damaged"):
        found.extend(read(file))
    assert 0 < len(found) < len(whole)
    assert [one.text for one in found] == [one.text for one in whole[: len(found)]]

    # Nothing is appended where nobody could read it, and what is behind the damage is not cut off.
    async def record() -> None:
        async with md.AsyncClient(sim=True) as client:
            await client.record([PAIR], file, seconds=1)

    with pytest.raises(InvalidParameterError, match="is damaged"):
        asyncio.run(record())
    assert file.read_bytes() == data
    with pytest.raises(InvalidParameterError, match="is damaged"):
        md.AsyncClient().replay(file)
