"""The options ``--open`` and ``--save``: an answer as a chart, in a browser or a file."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from marketdata.errors import InvalidParameterError
from marketdata_cli import answer, process
from marketdata_cli.options import Common, keyword

if TYPE_CHECKING:
    from collections.abc import Callable

    from marketdata.operations import Operation

DRAWN = frozenset(("Candles", "OrderBook", "Comparison", "ConsolidatedOrderBook"))
"""The record types that have a chart."""

OPTIONS = (
    keyword(
        "open",
        Annotated[bool, typer.Option("--open", help="Open a chart in the browser.")],
        False,
    ),
    keyword(
        "save",
        Annotated[
            Path | None,
            typer.Option(
                "--save",
                metavar="FILE",
                help="Save a chart: FILE.html, or FILE.png for candles.",
                show_default=False,
            ),
        ],
        None,
    ),
)


def ask(
    operation: Operation,
    given: dict[str, Any],
    options: Common,
    *,
    open: bool,  # noqa: A002 - the name of the option
    save: Path | None,
) -> Callable[[], int]:
    """Answer like any command, or with a chart if one is requested."""
    if not open and save is None:
        return functools.partial(answer.answer, operation, given, options)
    if save is not None:
        kinds = (".html", ".png") if operation.record == "Candles" else (".html",)
        if save.suffix.lower() not in kinds:
            raise InvalidParameterError(
                f"--save writes {' or '.join(kinds)} here; was '{save.name}'.",
                details={"parameter": "save"},
            )
    return functools.partial(_draw, operation, given, options, open, save)


def _draw(
    operation: Operation, given: dict[str, Any], options: Common, is_opened: bool, save: Path | None
) -> int:
    with answer.client(options) as asked:
        found = getattr(asked, operation.name)(**given)
    written = []
    if save is not None:
        try:
            if save.suffix.lower() == ".png":
                found.plot().savefig(save, dpi=144)
            else:
                found.chart().save(save)
        except OSError as error:
            raise InvalidParameterError(
                f"{save} cannot be written: {error.strerror}.", details={"parameter": "save"}
            ) from None
        written.append(save)
    if is_opened:
        written.append(found.chart().show())
    return process.write("".join(f"{path}\n" for path in written))
