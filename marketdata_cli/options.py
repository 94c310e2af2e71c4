"""Options that every command has, before or after its name."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import typer

from marketdata.errors import InvalidParameterError
from marketdata_cli.completion import among
from marketdata_cli.text import Format


@dataclass(frozen=True)
class Common:
    """What was said with the options of all commands."""

    format: str | None = None
    sim: bool = False
    tape: list[Path] | None = None
    exchange: str | None = None

    @property
    def form(self) -> Format | None:
        """The form that was asked for; raises `InvalidParameterError` for an unknown one."""
        try:
            return None if self.format is None else Format(self.format.lower())
        except ValueError:
            raise InvalidParameterError(
                f"--format is one of {', '.join(Format)}; was '{self.format[:20]}'.",
                details={"parameter": "format"},
            ) from None

    def then(self, later: Common) -> Common:
        """Give these options, those said later on the command line winning."""
        said: dict[str, Any] = {
            field.name: getattr(later, field.name) or getattr(self, field.name)
            for field in fields(self)
        }
        return Common(**said)


def keyword(name: str, annotation: Any, default: Any) -> inspect.Parameter:
    """Give a parameter for a signature that typer reads."""
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
SIM = keyword(
    "sim",
    Annotated[
        bool,
        typer.Option("--sim", help="Ask the simulated exchange: no internet, made-up prices."),
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
            help="With --sim: replay recorded candles or trades. May be repeated.",
            show_default=False,
        ),
    ],
    None,
)
DEBUG = keyword(
    "debug",
    Annotated[
        bool,
        typer.Option(
            "--debug",
            # `run` looks for it before the command line is parsed.
            expose_value=False,
            help="Show the traceback of an error as well.",
        ),
    ],
    False,
)

COMMON = (FORMAT, SIM, TAPE)
"""What every operation's command takes besides its own parameters and DEBUG."""
