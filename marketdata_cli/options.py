"""The options that every command has, before or after its name."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from marketdata import __version__
from marketdata.errors import InvalidParameterError
from marketdata_cli.completion import among
from marketdata_cli.text import Format

NAME = "marketdata"


@dataclass(frozen=True)
class Common:
    """The values of the common options."""

    format: str | None = None
    sim: bool = False
    tape: list[Path] | None = None
    exchange: str | None = None
    raw: bool = False

    @property
    def form(self) -> Format | None:
        """The chosen format; raises `InvalidParameterError` for an unknown one."""
        return self.form_of(Format)

    def form_of(self, forms: Iterable[Format]) -> Format | None:
        """Return the chosen format if it is one of ``forms``; raises like `form`."""
        if self.format is None:
            return None
        names = tuple(forms)
        if (form := self.format.lower()) in names:
            return Format(form)
        raise InvalidParameterError(
            f"--format is one of {', '.join(names)}; was '{self.format[:20]}'.",
            details={"parameter": "format"},
        )

    def then(self, later: Common) -> Common:
        """Return these options, replaced by those that come later on the command line."""
        said: dict[str, Any] = {
            field.name: getattr(later, field.name) or getattr(self, field.name)
            for field in fields(self)
        }
        return Common(**said)


def keyword(name: str, annotation: object, default: object) -> inspect.Parameter:
    """Return a parameter for a signature for typer."""
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation
    )


CONTEXT = keyword("context", typer.Context, inspect.Parameter.empty)

FORMAT = keyword(
    "format",
    Annotated[
        str | None,
        typer.Option(
            "--format",
            "-f",
            metavar="FORM",
            help=f"{', '.join(Format)}. [default: table on a terminal, json elsewhere]",
            show_default=False,
            autocompletion=among(tuple(Format)),
        ),
    ],
    None,
)
RAW = keyword(
    "raw",
    Annotated[
        bool,
        typer.Option(
            "--raw",
            help="Do not escape CSV texts that a spreadsheet would run as formulas.",
        ),
    ],
    False,
)
SIM = keyword(
    "sim",
    Annotated[
        bool,
        typer.Option("--sim", help="Use simulated exchanges: no internet, made-up prices."),
    ],
    False,
)
TAPE = keyword(
    "tape",
    Annotated[
        list[Path] | None,
        typer.Option(
            "--tape",
            metavar="FILE",
            help="Use simulated exchanges that replay this recording. May be repeated.",
            show_default=False,
        ),
    ],
    None,
)
DEBUG = keyword(
    "debug",
    Annotated[bool, typer.Option("--debug", help="Also show the traceback of an error.")],
    False,
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"{NAME} {__version__}")
        raise typer.Exit


QUIET = keyword(
    "quiet",
    Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress and no summary.")],
    False,
)
YES = keyword(
    "yes", Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")], False
)

COLUMNS = keyword(
    "columns",
    Annotated[
        str | None,
        typer.Option(
            "--columns",
            metavar="FIELD,...",
            help="Only these fields, in this order, in a table or CSV: pair,last,percentage.",
            show_default=False,
        ),
    ],
    None,
)
SORT = keyword(
    "sort",
    Annotated[
        str | None,
        typer.Option(
            "--sort",
            metavar="FIELD",
            help="Sort by this field; -FIELD sorts highest first.",
            show_default=False,
        ),
    ],
    None,
)

VERSION = keyword(
    "version",
    Annotated[
        bool,
        typer.Option(
            "--version",
            callback=_tell_version,
            is_eager=True,
            help="Show the version and exit.",
        ),
    ],
    False,
)

COMMON = (FORMAT, RAW, SIM, TAPE)
"""The options of every operation's command, besides its own parameters and DEBUG."""

UNSEEN = (DEBUG, VERSION)
"""Options that commands ignore, because they take effect before the command runs."""
