"""Recordings of streams, and their replay."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from marketdata._client.session import Session
from marketdata._exchanges.recording import Writer, exchanges_in, is_recording
from marketdata.errors import ExchangeUnavailableError, InternalError, InvalidParameterError
from marketdata.models import Recorded

if TYPE_CHECKING:
    from marketdata._streams.watch import AsyncWatch
    from marketdata.models import StreamKind
    from marketdata.settings import Settings

_TELLS_EVERY = 1.0
"""Seconds between two progress reports."""


async def record(
    settings: Settings,
    pairs: Sequence[str],
    path: Path,
    *,
    what: Sequence[StreamKind],
    exchanges: Sequence[str] | None,
    timeframe: str,
    depth: int,
    seconds: float | None,
    progress: Callable[[Recorded], Any] | None,
) -> Recorded:
    """Record on separate connections, so that the file holds only these streams."""
    began = time.monotonic()
    with _writing(path) as writer:
        async with Session(settings, recorder=writer.write) as session:

            def told() -> Recorded:
                return Recorded(
                    path=str(path),
                    frames=writer.events,
                    size=writer.size,
                    seconds=round(time.monotonic() - began, 3),
                    streams=tuple(session.streams()),
                )

            watches = [
                _watch(session, kind, pairs, exchanges, timeframe, depth)
                for kind in dict.fromkeys(what)
            ]
            reading = [asyncio.ensure_future(_read(watch)) for watch in watches]
            ended = told()
            try:
                while (left := _left(began, seconds)) > 0:
                    done, _ = await asyncio.wait(
                        reading,
                        timeout=min(left, _TELLS_EVERY),
                        return_when=asyncio.FIRST_COMPLETED,
                    )
                    _check(writer)
                    for one in done:
                        one.result()
                        reading.remove(one)
                    if progress is not None:
                        progress(told())
                    if not reading:
                        break
            finally:
                for one in reading:
                    one.cancel()
                with contextlib.suppress(Exception):
                    await asyncio.gather(*reading, return_exceptions=True)
                ended = told()
                for watch in watches:
                    await watch.close()
                with contextlib.suppress(OSError):  # `_check` reports it
                    writer.flush()
                ended = ended.model_copy(update={"frames": writer.events, "size": writer.size})
                if _is_without_frames(writer):  # the file is removed
                    ended = ended.model_copy(update={"frames": 0, "size": 0})
                if progress is not None:
                    progress(ended)
                _check(writer)
        if _is_without_frames(writer):
            raise ExchangeUnavailableError(
                f"Nothing was received within {ended.seconds:g} s, so {path} was not written. "
                "Record for longer.",
                details={"reason": "silent"},
            )
        return ended


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[Writer]:
    """Open a file, and close it when it is completely on disk; otherwise raise `InternalError`.

    If nothing was streamed, for example because a pair does not exist, no file is left.
    """
    writer = _open(path)
    try:
        with writer:
            yield writer
    except OSError as error:
        raise _broken_off(writer, error) from None
    finally:
        if _is_without_frames(writer):
            with contextlib.suppress(OSError):  # it may be gone, and its folder too
                writer.path.unlink()


def _is_without_frames(writer: Writer) -> bool:
    return writer.is_new and not writer.frames


def _check(writer: Writer) -> None:
    """Stop if the disk is full, because later events would be lost."""
    if writer.error is not None:
        raise _broken_off(writer, writer.error)


def _broken_off(writer: Writer, error: OSError) -> InternalError:
    return InternalError(
        f"{writer.path} cannot be written: {error.strerror or error}. The recording has stopped; "
        f"{writer.events} events are in the file, {writer.lost} that came later are lost.",
        details={"path": str(writer.path), "events": writer.events, "lost": writer.lost},
    )


def _left(began: float, seconds: float | None) -> float:
    return math.inf if seconds is None else began + seconds - time.monotonic()


def _open(path: Path) -> Writer:
    try:
        return Writer(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise InvalidParameterError(
            f"{path} cannot be recorded to: {reason}.", details={"parameter": "path"}
        ) from None


def _watch(
    session: Session,
    kind: StreamKind,
    pairs: Sequence[str],
    exchanges: Sequence[str] | None,
    timeframe: str,
    depth: int,
) -> AsyncWatch[Any]:
    return session.watch(
        kind,
        pairs,
        exchanges,
        depth=depth if kind == "orderbook" else 0,
        timeframe=timeframe if kind == "candles" else None,
    )


async def _read(watch: AsyncWatch[Any]) -> None:
    """Read the stream, so that its final error is raised."""
    async for _ in watch:
        await asyncio.sleep(0.1)


def replayed(settings: Settings, path: Path, speed: float, wait_for: int) -> Settings:
    """Return the settings of a client that replays a recording."""
    if not is_recording(path):
        raise InvalidParameterError(
            f"{path} is not a readable recording. `record` creates one.",
            details={"parameter": "path"},
        )
    try:
        exchanges = exchanges_in(path)
    except ValueError as error:
        raise InvalidParameterError(f"{error}.", details={"parameter": "path"}) from None
    return settings.model_copy(
        update={
            "sim": True,
            "sim_tape": (path,),
            "sim_speed": speed,
            "sim_wait_for": wait_for,
            "exchange": exchanges or settings.exchange,
            "endpoints": {},
        }
    )
