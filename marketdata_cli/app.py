"""The command ``marketdata``: its options, its commands, and the run of one command line."""

from __future__ import annotations

import functools
import inspect
import traceback
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias, cast

import typer

from marketdata.arguments import likely
from marketdata.errors import (
    InternalError,
    InvalidParameterError,
    MarketDataError,
    MissingParameterError,
    did_you_mean,
)
from marketdata.operations import HISTORY, OPERATIONS, RECORD, STREAMS, Operation
from marketdata_cli import answer, binding, manual, process
from marketdata_cli.commands import doctor, drawing, history, record, server, simulator, watch
from marketdata_cli.options import COLUMNS, COMMON, CONTEXT, DEBUG, NAME, SORT, VERSION, Common

ABOUT = """Market data of spot crypto exchanges, in one shape from any of them.

Answers are tables on a terminal and JSON in a pipe. No key is needed.
"""

EXAMPLES = (
    "ticker BTC/USDT",
    "orderbook BTC/USDT -e kraken --depth 5",
    "candles BTC/USDT -t 1m --start -1d -f csv > day.csv",
    "--sim ticker BTC/USDT",
    "sim --port 9000",
)

_OF_SEVERAL = ("Comparison", "ConsolidatedOrderBook", "ExecutionCost")

Job: TypeAlias = Callable[[], int]
"""Runs one command and returns the exit code."""


# Since 0.26, typer contains its own copy of click, and this is its only public error.
_UsageError = cast(type[Exception], typer.BadParameter.__mro__[1])


def run(arguments: Sequence[str]) -> int:
    """Run a command line, without the name of the program, and return the exit code."""
    # With --debug, an error in the command line itself shows its traceback too.
    debug = "--debug" in arguments
    try:
        job = _read(arguments or ("--help",))
        return job() if callable(job) else int(job or 0)
    except MarketDataError as error:
        return _refuse(error, error, debug)
    except _UsageError as error:
        return _refuse(_wrong(error), error, debug)
    except (KeyboardInterrupt, typer.Abort):
        return process.INTERRUPTED
    except SystemExit as end:
        # Raised by shell completion, and by a closed pipe while typer writes help.
        return end.code if isinstance(end.code, int) else 0
    except Exception as error:  # noqa: BLE001 - the top level: every error becomes one line
        said = f"{type(error).__name__}: {error}".rstrip(".")
        bug = InternalError(f"{said}. This is a bug in the package; --debug shows where.")
        return _refuse(bug, error, debug)


def _read(arguments: Sequence[str]) -> Any:
    """Read a command line: give its job, or an exit code where typer did all there was to do."""
    try:
        return _program().main(list(arguments), prog_name=NAME, standalone_mode=False)
    except OSError as error:  # typer writes help and the version itself
        return process.refuse_output(error)


@functools.cache
def _program() -> Any:
    """Make the commands of `application`, once for each process."""
    return typer.main.get_command(application())


def _refuse(refusal: MarketDataError, error: BaseException, debug: bool) -> int:
    if debug:
        traceback.print_exception(error)
    return process.refuse(refusal)


def _wrong(error: Any) -> MarketDataError:
    """Convert typer's error about a command line to an error of the library."""
    said = _with_ours(error, error.format_message())
    place = NAME if error.ctx is None else error.ctx.command_path
    kind = MissingParameterError if said.startswith("Missing ") else InvalidParameterError
    return kind(f"{said.rstrip('.?')}{'?' if said.endswith('?') else '.'} Try '{place} --help'.")


def _with_ours(error: Any, said: str) -> str:
    """Suggest our option for one of another program, such as --interval."""
    name = getattr(error, "option_name", None)
    if name is None or error.ctx is None or not said.startswith("No such option"):
        return said
    ours = {one.name: one for one in error.ctx.command.params}
    near = likely(name.strip("-"), ours)
    if not near:
        return said
    flags = [next((flag for flag in ours[one].opts if flag[0] == "-"), "") for one in near]
    words = [flag or one.upper() for flag, one in zip(flags, near, strict=True)]
    return f"No such option: {name}.{did_you_mean(words[:2])}"


def application() -> typer.Typer:
    """Make the application.

    A command returns its `Job` instead of running it, because typer would write its own messages
    for Ctrl-C and for a closed pipe.
    """
    exchange = next(
        parameter.as_keyword()
        for operation in OPERATIONS
        for parameter in binding.parameters(operation)
        if parameter.name == "exchange"
    )
    everywhere = [CONTEXT, exchange, *COMMON, DEBUG]
    app = _group(NAME, ABOUT, EXAMPLES)
    app.callback()(binding.shaped(_remember, "common", [*everywhere, VERSION]))
    for operation in OPERATIONS:
        for name in (operation.command, *operation.aliases):
            app.command(
                name,
                cls=manual.LateCommand,
                help=operation.description,
                epilog=examples(operation.examples),
                hidden=name != operation.command,
                rich_help_panel=manual.SEVERAL if operation.record in _OF_SEVERAL else manual.DATA,
            )(_late(_command, operation))
    app.command(
        "record",
        cls=manual.LateCommand,
        help=RECORD.description,
        epilog=examples(RECORD.examples),
        rich_help_panel=manual.LIVE,
    )(record.command)
    live = _group("watch", watch.ABOUT, watch.EXAMPLES)
    for operation in STREAMS:
        live.command(
            watch.shell_name(operation),
            cls=manual.LateCommand,
            help=operation.description,
            epilog=examples(operation.examples),
        )(_late(watch.command, operation))
    stored = _group("history", history.ABOUT, history.EXAMPLES)
    for operation in HISTORY:
        stored.command(
            operation.name,
            cls=manual.LateCommand,
            help=operation.description,
            epilog=examples(operation.examples),
        )(_late(history.command, operation))
    for group, panel in ((live, manual.LIVE), (stored, manual.STORED)):
        group.callback(invoke_without_command=True)(binding.shaped(_help, "common", everywhere))
        app.add_typer(group, rich_help_panel=panel)
    app.command(
        "sim",
        cls=manual.Command,
        epilog=examples(simulator.EXAMPLES),
        rich_help_panel=manual.SERVICE,
    )(binding.extended(simulator.simulator, DEBUG))
    app.command(
        "doctor",
        cls=manual.Command,
        epilog=examples(doctor.EXAMPLES),
        rich_help_panel=manual.SERVICE,
    )(binding.shaped(doctor.doctor, "doctor", [*everywhere, doctor.OFFLINE]))
    app.command(
        "mcp",
        cls=manual.Command,
        help=server.ABOUT,
        epilog=examples(server.EXAMPLES),
        rich_help_panel=manual.SERVICE,
        add_help_option=False,
        context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    )(server.server)
    return app


def _group(name: str, about: str, lines: Iterable[str]) -> typer.Typer:
    return typer.Typer(
        name=name,
        help=about,
        epilog=examples(lines),
        # Any other mode imports rich for the help pages.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        cls=manual.Group,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def examples(lines: Iterable[str]) -> str:
    """Write example command lines."""
    return "\n".join(f"{NAME} {line}" for line in lines)


def _remember(context: typer.Context, **said: Any) -> None:
    context.obj = (context.obj or Common()).then(Common(**said))


def _help(context: typer.Context, **said: Any) -> None:
    """Note the options of a group; without a command after them, show its help page."""
    _remember(context, **said)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def _late(
    make: Callable[[Operation], Callable[..., Any]], operation: Operation
) -> Callable[[], Callable[..., Any]]:
    """Return what makes an operation's command, in the form that `manual.LateCommand` takes."""
    return lambda: make(operation)


def _command(operation: Operation) -> Callable[..., Any]:
    if operation.record in drawing.DRAWN:
        return binding.command(operation, drawing.ask, *drawing.OPTIONS)
    return binding.command(operation, _ask, *_of_lists(operation))


def _of_lists(operation: Operation) -> list[inspect.Parameter]:
    """Return the options of all commands with lists, except those that the command has itself."""
    own = {one.name for one in binding.parameters(operation)}
    return [one for one in (COLUMNS, SORT) if operation.many and one.name not in own]


def _ask(
    operation: Operation,
    given: dict[str, Any],
    options: Common,
    *,
    columns: str | None = None,
    sort: str | None = None,
) -> Job:
    names = None if columns is None else [one.strip() for one in columns.split(",") if one.strip()]
    shape = answer.Shape(names, sort)
    return functools.partial(answer.answer, operation, given, options, shape)
