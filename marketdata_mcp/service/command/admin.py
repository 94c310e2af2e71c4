"""The commands of ``marketdata-mcp`` for setup and administration."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, NoReturn, cast

import typer

from marketdata.errors import InvalidRequestError, MarketDataError
from marketdata_mcp.service.access.commands import app as access
from marketdata_mcp.service.doctor import doctor
from marketdata_mcp.setup.install import install
from marketdata_mcp.setup.program import PROGRAM

__all__ = ["application", "run"]

_WRONG_CALL = 2
_FAILED = 1
_INTERRUPTED = 130

# Since 0.26, typer contains its own copy of click, and this is its only public error.
_UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])


def application() -> typer.Typer:
    """Make the application."""
    app = typer.Typer(
        name=PROGRAM,
        # Any other mode imports rich for the help pages.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.add_typer(access, name="access")
    app.command()(install)
    app.command()(doctor)
    return app


def run(arguments: Sequence[str]) -> NoReturn:
    """Run a command line, without the name of the program, and end the process.

    The exit code is 2 if the command line or a MARKETDATA_* variable is wrong, 1 for other errors,
    and 130 after Ctrl-C. Errors are one line on standard error.
    """
    try:
        command = typer.main.get_command(application())
        code = command.main(list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except MarketDataError as error:
        _end(error.message, _WRONG_CALL if isinstance(error, InvalidRequestError) else _FAILED)
    except _UsageError as error:
        _end(_wrong(error), _WRONG_CALL)
    except OSError as error:
        file = f"{error.filename}: " if error.filename else ""
        _end(f"{file}{error.strerror or error}.", _FAILED)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(_INTERRUPTED)
    sys.exit(int(code or 0))


def _wrong(error: Any) -> str:
    place = PROGRAM if error.ctx is None else error.ctx.command_path
    return f"{error.format_message().rstrip('.')}. Try '{place} --help'."


def _end(message: str, code: int) -> NoReturn:
    typer.echo(f"{PROGRAM}: {' '.join(message.split())}", err=True)
    sys.exit(code)
