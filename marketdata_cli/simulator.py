"""The command ``marketdata sim``: the simulated exchange on a port."""

from __future__ import annotations

import asyncio
import functools
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketdata.arguments import instant
from marketdata.errors import InvalidParameterError
from marketdata_cli import process

if TYPE_CHECKING:
    from marketdata.sim import SimulatedExchange

EXAMPLES = (
    "sim --port 9000",
    "sim --port 9000 --seed 7 --pairs 2000",
    "sim --tape binance_BTC_USDT-1m.csv.gz --now 2023-03-24T12:00Z",
    "sim --fault 'binance:*/ticker*:status=429,retry_after=2,times=3'",
)


def simulator(
    port: Annotated[int, typer.Option(metavar="N", help="0 is any free port.", min=0)] = 0,
    host: Annotated[str, typer.Option(metavar="HOST", help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(metavar="N", help="What decides all prices.")] = 1,
    pairs: Annotated[
        int | None,
        typer.Option(metavar="N", help="Pairs that each exchange lists; a dozen otherwise.", min=1),
    ] = None,
    tape: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Replay recorded candles or trades (CSV, .gz too). May be repeated.",
        ),
    ] = None,
    now: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Where the clock stands: ISO-8601, Unix ms, or -7d."),
    ] = None,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="How to misbehave: EXCHANGE:PATH:EFFECT,... May be repeated.",
        ),
    ] = None,
) -> Callable[[], int]:
    """Serve the simulated exchange on a port until Ctrl-C.

    It speaks the wire formats of binance, kraken, coinbaseexchange and okx. Prints its address
    and the variable that sends this library there.
    """
    chosen: dict[str, Any] = {
        "seed": seed,
        "pairs": pairs,
        "tape": tape or None,
        "now": None if now is None else instant(now),
        "faults": fault or (),
    }
    return functools.partial(serve, chosen, host, port)


def serve(chosen: dict[str, Any], host: str, port: int) -> int:
    """Serve until a signal ends it and give the exit code."""
    from marketdata.sim import SimulatedExchange

    try:
        exchange = SimulatedExchange(**chosen)
    except (ValueError, OSError) as error:
        raise InvalidParameterError(f"sim: {error}") from error
    return asyncio.run(_serve(exchange, host, port))


async def _serve(exchange: SimulatedExchange, host: str, port: int) -> int:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    try:
        await exchange.start(host, port)
    except OSError as error:
        raise InvalidParameterError(
            f"sim: cannot listen on {host} port {port}: {error.strerror or error}.",
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
