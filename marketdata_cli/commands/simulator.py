"""The command ``marketdata sim``: a server with simulated exchanges."""

from __future__ import annotations

import asyncio
import functools
import gc
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketdata.arguments import instant
from marketdata.errors import InvalidParameterError
from marketdata.machine import on_signal
from marketdata_cli import process

if TYPE_CHECKING:
    from marketdata.sim import SimulatedExchange

EXAMPLES = (
    "sim --port 9000",
    "sim --port 9000 --seed 7 --pairs 2000",
    "sim --tape binance_BTC_USDT-1m.csv.gz --now 2023-03-24T12:00Z",
    "sim --tape streams.recording --speed inf",
    "sim --fault 'binance:*/ticker*:status=429,retry_after=2,times=3'",
    "sim --fault 'kraken:stream/book/*:lose,every=100'",
)


def _option(metavar: str, text: str) -> Any:
    # The text has defaults and bounds, because some versions of typer import rich to write them.
    return typer.Option(metavar=metavar, help=text, show_default=False)


def simulator(
    port: Annotated[int, _option("N", "Port. [default: any free one]")] = 0,
    host: Annotated[str, _option("HOST", "Address to listen on. [default: 127.0.0.1]")] = (
        "127.0.0.1"
    ),
    seed: Annotated[int, _option("N", "Seed of all prices. [default: 1]")] = 1,
    pairs: Annotated[
        int | None, _option("N", "Pairs that each exchange lists. [default: a dozen]")
    ] = None,
    tape: Annotated[
        list[Path] | None,
        _option(
            "FILE",
            "Replay recorded candles or trades (CSV, .gz too; may be repeated), or one recording "
            "of streams.",
        ),
    ] = None,
    speed: Annotated[
        float,
        _option("X", "Speed of recorded streams; inf: as fast as they are read. [default: 1]"),
    ] = 1.0,
    wait_for: Annotated[
        int, _option("N", "Subscriptions after which recorded streams begin. [default: 1]")
    ] = 1,
    now: Annotated[
        str | None, _option("TIME", "Start of the clock: ISO-8601, Unix ms, or -7d.")
    ] = None,
    fault: Annotated[
        list[str] | None,
        _option("RULE", "Faults: EXCHANGE:PATH:EFFECT,... May be repeated."),
    ] = None,
) -> Callable[[], int]:
    """Serve the simulated exchange on a port until Ctrl-C.

    It has the formats of binance, kraken, coinbaseexchange and okx, over HTTP and WebSockets. It
    prints its address, and the variable with which this library uses it.
    """
    if not 0 <= port <= 65_535:
        raise InvalidParameterError(f"sim: --port is from 0 to 65535; was {port}.")
    if pairs is not None and pairs < 1:
        raise InvalidParameterError(f"sim: --pairs is at least 1; was {pairs}.")
    if not speed > 0:
        raise InvalidParameterError(f"sim: --speed is above 0; was {speed:g}.")
    if wait_for < 1:
        raise InvalidParameterError(f"sim: --wait-for is at least 1; was {wait_for}.")
    chosen: dict[str, Any] = {
        "seed": seed,
        "pairs": pairs,
        "tape": tape or None,
        "now": None if now is None else instant(now),
        "faults": fault or (),
        "speed": speed,
        "wait_for": wait_for,
    }
    return functools.partial(serve, chosen, host, port)


def serve(chosen: dict[str, Any], host: str, port: int) -> int:
    """Serve until a signal, and return the exit code."""
    from marketdata.sim import SimulatedExchange

    try:
        exchange = SimulatedExchange(**chosen)
    except (ValueError, OSError) as error:
        raise InvalidParameterError(f"sim: {error}") from error
    gc.enable()
    return asyncio.run(_serve(exchange, host, port))


async def _serve(exchange: SimulatedExchange, host: str, port: int) -> int:
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        on_signal(number, ended.set)
    try:
        await exchange.start(host, port)
    except OSError as error:
        # asyncio puts its own sentence into strerror.
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise InvalidParameterError(
            f"sim: cannot listen on {host} port {port}: {reason}.",
            details={"parameter": "port"},
        ) from error
    endpoints = json.dumps(exchange.endpoints, separators=(",", ":"))
    code = process.write(
        f"Simulated exchange on {exchange.url}\nexport MARKETDATA_ENDPOINTS='{endpoints}'\n"
    )
    if code == 0:
        await ended.wait()
    await exchange.stop()
    return code
