"""Recording what exchanges stream, and playing it again."""

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
from marketdata.errors import InvalidParameterError
from marketdata.models import Recorded

if TYPE_CHECKING:
    from marketdata._streams.watch import AsyncWatch
    from marketdata.models import StreamKind
    from marketdata.settings import Settings

__all__ = ["record", "replayed"]

_TELLS_EVERY = 1.0
"""Seconds between two tellings of the progress."""


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
    """Record, on connections of its own, so that the file holds nothing else."""
    began = time.monotonic()
    writer = _open(path)
    with writer, _removed_if_empty(writer):
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
                writer.flush()
                ended = ended.model_copy(update={"frames": writer.events, "size": writer.size})
                if progress is not None:
                    progress(ended)
        return ended


@contextlib.contextmanager
def _removed_if_empty(writer: Writer) -> Iterator[None]:
    """Leave no file behind where nothing was streamed, as when a pair does not exist."""
    try:
        yield
    finally:
        if writer.is_new and not writer.frames:
            writer.path.unlink()


def _left(began: float, seconds: float | None) -> float:
    return math.inf if seconds is None else began + seconds - time.monotonic()


def _open(path: Path) -> Writer:
    try:
        return Writer(path)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is another kind of file"
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
    """Read, so that an error that cannot be mended is heard of."""
    async for _ in watch:
        await asyncio.sleep(0.1)


def replayed(settings: Settings, path: Path, speed: float, wait_for: int) -> Settings:
    """Give the settings of a client that is served from a recording."""
    if not is_recording(path):
        raise InvalidParameterError(
            f"{path} is not a recording that can be read; `record` makes one.",
            details={"parameter": "path"},
        )
    return settings.model_copy(
        update={
            "sim": True,
            "sim_tape": (path,),
            "sim_speed": speed,
            "sim_wait_for": wait_for,
            "exchange": exchanges_in(path) or settings.exchange,
            "endpoints": {},
        }
    )
