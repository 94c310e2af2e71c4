"""Runs a watch: passes records on until it ends, and then writes a summary."""

from __future__ import annotations

import asyncio
import math
import signal
from collections.abc import Awaitable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketdata.machine import on_signal
from marketdata.models._display.numbers import counted
from marketdata_cli import process, text
from marketdata_cli.live.output import Output
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from marketdata import AsyncWatch
    from marketdata.clients import AsyncClient
    from marketdata.models import Record, Stream
    from marketdata.operations import Operation

_SIGNALS = {signal.SIGINT: process.INTERRUPTED, signal.SIGTERM: process.TERMINATED}
_MOST = 10_000
"""Maximum number of records that are passed on together."""
GRACE = 0.3
"""Maximum seconds to wait at a hurried end for the reader, the terminal, and the connections."""


@dataclass(frozen=True)
class Limits:
    """When a watch ends by itself."""

    seconds: float | None = None
    records: int | None = None


class Sink:
    """A destination of records. Its methods return exit codes like `Output.write`; 0: continue."""

    patience: float | None = None
    """Seconds without a record after which `rest` is called."""

    def __init__(self) -> None:
        self.output = Output()

    async def begin(self) -> int:
        """Begin, before the first record."""
        return 0

    async def take(self, records: Sequence[Record]) -> int:
        """Handle new records."""
        raise NotImplementedError

    async def rest(self) -> int:
        """Handle a pause without new records."""
        return 0

    async def finish(self, *, interrupted: bool) -> int:  # noqa: ARG002
        """End, after the last record."""
        return 0

    async def restore(self) -> None:
        """Restore the terminal after any kind of end."""


class Lines(Sink):
    """One line for each record, or rows under one header."""

    def __init__(self, operation: Operation, form: Format, *, raw: bool) -> None:
        super().__init__()
        self._raw = raw
        self._operation = operation
        self._form = form

    async def begin(self) -> int:
        """Write the header, so that the output is valid CSV even without records."""
        if self._form is not Format.CSV:
            return 0
        return await self.output.write(text.stream_header(self._operation))

    async def take(self, records: Sequence[Record]) -> int:
        """Write them."""
        if self._form is Format.CSV:
            rows = text.stream_rows(self._operation, records, raw=self._raw)
            return await self.output.write(rows)
        return await self.output.write("".join(one.to_json() + "\n" for one in records))


class _Unattended(ThreadPoolExecutor):
    """Threads that the end does not wait for: one can be resolving a host name for minutes."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        super().shutdown(wait=False, cancel_futures=True)


async def watching(
    client: AsyncClient, watch: AsyncWatch[Any], sink: Sink, limits: Limits, *, quiet: bool
) -> int:
    """Pass records on until the end, and return the exit code.

    After a signal or a closed pipe, the end does not wait for anything that hangs.
    """
    over = until_signalled()

    def left() -> None:
        if not over.done():
            over.set_result(process.PIPE_CLOSED)

    sink.output.when_closed(left)
    handing_on = asyncio.create_task(_hand_on(watch, sink, limits, over))
    await asyncio.wait({handing_on, over}, return_when=asyncio.FIRST_COMPLETED)
    # Let a write in progress end with a complete line.
    await asyncio.wait({handing_on}, timeout=GRACE)
    streams = watch.streams
    handing_on.cancel()
    await asyncio.wait({handing_on}, timeout=GRACE)
    await in_a_hurry(sink.restore())
    error, code = _outcome(handing_on)
    if over.done():
        error, code = None, over.result()
    if not quiet and code in (0, *_SIGNALS.values()):
        for stream in streams:
            process.complain(summary(stream))
    await in_a_hurry(client.close())
    if error is not None:
        raise error
    return code


def _outcome(task: asyncio.Task[int]) -> tuple[BaseException | None, int]:
    """Return the error and the exit code of a task; 0 if it was cancelled."""
    if not task.done() or task.cancelled():
        return None, 0
    error = task.exception()
    return error, 0 if error is not None else task.result()


def until_signalled() -> asyncio.Future[int]:
    """Return a future that gets the exit code when a signal arrives."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(_Unattended())
    over: asyncio.Future[int] = loop.create_future()

    def end(code: int) -> None:
        if not over.done():
            over.set_result(code)

    for number, code in _SIGNALS.items():
        on_signal(number, end, code)
    return over


async def in_a_hurry(work: Awaitable[None]) -> None:
    """Wait for work that can hang, but only for a short time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE):
            await work


async def _hand_on(
    watch: AsyncWatch[Any], sink: Sink, limits: Limits, over: asyncio.Future[int]
) -> int:
    await watch.open()
    loop = asyncio.get_running_loop()
    ends = math.inf if limits.seconds is None else loop.time() + limits.seconds
    left = math.inf if limits.records is None else limits.records
    code = await sink.begin()
    while not code and left and not over.done():
        rest = ends - loop.time()
        if rest <= 0:
            break
        patience = min(rest, math.inf if sink.patience is None else sink.patience)
        records = await _taken(watch, int(min(left, _MOST)), patience, over)
        if records is None:
            code = await sink.rest()
        elif records:
            left -= len(records)
            code = await sink.take(records)
        else:
            break
    return code or await sink.finish(interrupted=over.done())


async def _taken(
    watch: AsyncWatch[Any], most: int, patience: float, over: asyncio.Future[int]
) -> Sequence[Record] | None:
    """Wait for records; empty at their end, None if there is nothing new."""
    taking = asyncio.create_task(watch.batch(most))
    either: set[asyncio.Future[Any]] = {taking, over}
    timeout = None if patience == math.inf else patience
    try:
        await asyncio.wait(either, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        return taking.result() if taking.done() else None
    finally:
        taking.cancel()


def summary(stream: Stream) -> str:
    """Write a summary of a stream."""
    name = f"{stream.exchange} {stream.pair} {stream.timeframe or ''} {stream.kind}"
    counts = {
        "message": stream.messages,
        "update": stream.updates,
        "dropped": stream.dropped,
        "gap": stream.gaps,
        "resync": stream.resyncs,
        "reconnect": stream.reconnects,
    }
    return f"{name}: {', '.join(_counted(count, noun) for noun, count in counts.items())}"


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if noun == "dropped" else counted(count, noun)
