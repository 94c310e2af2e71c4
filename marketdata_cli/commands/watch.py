"""The commands ``marketdata watch``: live data, drawn on the terminal or written as rows."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import math
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketdata.arguments import PlayedPath, Speed
from marketdata.errors import InvalidParameterError
from marketdata_cli import answer, binding
from marketdata_cli.completion import among
from marketdata_cli.options import QUIET, Common, keyword
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from marketdata.operations import Operation

ABOUT = """Live data: tickers, quotes, order books, trades and candles as they change.

A terminal shows tables and charts that are updated; elsewhere each record is one line. Ctrl-C ends
it.
"""

EXAMPLES = (
    "watch ticker BTC/USDT ETH/USDT -e binance,kraken",
    "watch orderbook BTC/USDT --depth 10",
    "watch trades BTC/USDT --for 1h --format csv > trades.csv",
)

FORMS = (Format.TABLE, Format.JSONL, Format.CSV)

LASTING = keyword(
    "lasting",
    Annotated[
        str | None,
        typer.Option(
            "--for",
            metavar="TIME",
            help="Stop after this time: 10s, 5m, 2h. [default: at Ctrl-C]",
            show_default=False,
            autocompletion=among(("10s", "5m", "2h")),
        ),
    ],
    None,
)
COUNT = keyword(
    "count",
    Annotated[
        int | None,
        typer.Option(
            "--count", metavar="N", help="Stop after this number of records.", show_default=False
        ),
    ],
    None,
)
FORMAT = keyword(
    "format",
    Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORM",
            help=f"{', '.join(FORMS)}: a table or chart that is updated on a terminal (elsewhere "
            "only the last one), one record per line, rows. "
            "[default: table on a terminal, jsonl elsewhere]",
            show_default=False,
            autocompletion=among(FORMS),
        ),
    ],
    None,
)


def _described(name: str, kind: object, default: object) -> inspect.Parameter:
    parameter = inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default)
    return binding.Parameter.of(parameter, kind).as_keyword()


REPLAY = _described("replay", PlayedPath, None)
SPEED = _described("speed", Speed, 1.0)

_TIME = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)([smh])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600}


def command(operation: Operation) -> Callable[..., Any]:
    """Make the function of one command of the group."""
    return binding.command(operation, _ask, LASTING, COUNT, REPLAY, SPEED, FORMAT, QUIET)


def shell_name(operation: Operation) -> str:
    """Return the name of an operation's command inside the group."""
    return operation.name.removeprefix("watch_")


@dataclass(frozen=True)
class _Recording:
    """A recording that is replayed instead of live data."""

    path: str
    speed: float


def _ask(
    operation: Operation,
    given: dict[str, Any],
    options: Common,
    *,
    lasting: str | None,
    count: int | None,
    replay: str | None,
    speed: str | None,
    quiet: bool,
) -> Callable[[], int]:
    if count is not None and count < 1:
        raise _wrong("count", f"is at least 1; was {count}.")
    length = None if lasting is None else seconds(lasting)
    options.form_of(FORMS)
    if replay is None and speed is not None:
        raise _wrong("speed", "is that of a recording: give --replay as well.")
    played = None if replay is None else _Recording(replay, _speed(speed))
    return functools.partial(_run, operation, given, options, length, count, played, quiet)


def seconds(text: str) -> float:
    """Parse the value of --for; raises `InvalidParameterError` if it is not a duration."""
    found = _TIME.fullmatch(text.strip())
    length = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not length:
        raise _wrong("for", f"is a number and one of s m h, for example 10s; was '{text[:20]}'.")
    return length


def _speed(text: str | None) -> float:
    try:
        speed = 1.0 if text is None else float(text)
    except ValueError:
        speed = math.nan
    if not speed > 0:
        raise _wrong("speed", f"is a number above 0, or infinity; was '{str(text)[:20]}'.")
    return speed


def _wrong(option: str, said: str) -> InvalidParameterError:
    return InvalidParameterError(f"--{option} {said}", details={"parameter": option})


def _run(
    operation: Operation,
    given: dict[str, Any],
    options: Common,
    length: float | None,
    count: int | None,
    played: _Recording | None,
    quiet: bool,
) -> int:
    from marketdata.clients import AsyncClient
    from marketdata_cli.live.watching import Limits, Lines, watching

    client = AsyncClient(settings=answer.settings(options))
    if played is not None:
        client = client.replay(played.path, played.speed)
    watch = getattr(client, operation.name)(**given)
    form = options.form_of(FORMS) or (Format.TABLE if sys.stdout.isatty() else Format.JSONL)
    if form is Format.TABLE:
        from marketdata_cli.live.picture import picture

        sink = picture(operation, client, watch)
    else:
        sink = Lines(operation, form, raw=options.raw)
    gc.enable()  # a long watch would use up the memory
    return asyncio.run(watching(client, watch, sink, Limits(length, count), quiet=quiet))
