"""Help pages: usage, description, arguments, options, common options, examples."""

from __future__ import annotations

import os
import sys
from typing import Any, get_args

import typer
import typer.core

from marketdata_cli.options import COMMON, DEBUG, SIM
from marketdata_cli.synonyms import in_our_names

PANELS = ("Data", "Several exchanges", "History", "Live", "Service")
"""Groups of commands on the first help page, in order."""
DATA, SEVERAL, STORED, LIVE, SERVICE = PANELS

_EVERYWHERE = {get_args(one.annotation)[1].help for one in (*COMMON, DEBUG)}
"""The description of the options in a separate section of an operation's page."""


class Command(typer.core.TyperCommand):
    """A command whose help page is the same with all versions of typer.

    It also accepts the usual synonyms of options.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the command line."""
        return super().parse_args(ctx, in_our_names(args, self.params))

    def collect_usage_pieces(self, _ctx: Any) -> list[str]:
        """Return the words after the name in the usage line."""
        return ["[OPTIONS]", *(_usage(one) for one in self.params if _is_argument(one))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, with the common options last."""
        arguments = [_record(one) for one in self.params if _is_argument(one)]
        divided = any(one.name == SIM.name for one in self.params)
        options: list[tuple[str, str]] = []
        everywhere: list[tuple[str, str]] = []
        for one in self.get_params(ctx):
            record = None if _is_argument(one) else one.get_help_record(ctx)
            if record is not None:
                apart = one.name == "help" or getattr(one, "help", "") in _EVERYWHERE
                (everywhere if divided and apart else options).append(record)
        _section(formatter, "Arguments", arguments)
        _section(formatter, "Options", options)
        if everywhere:
            names = ", ".join(names for names, _ in everywhere)
            with formatter.section(styled("Options of every command", bold=True)):
                formatter.write_text(f"{names}; see `marketdata --help`.")

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _examples(formatter, self.epilog)


class LateCommand(Command):
    """A command whose parameters are read when it is called: a process calls one of forty.

    Its function takes nothing and returns the function that has the parameters.
    """

    is_read = False

    def read(self) -> None:
        """Read the parameters, once."""
        if self.is_read or self.callback is None:
            return
        alone = typer.Typer(add_completion=False)
        alone.command()(self.callback())
        command = typer.main.get_command(alone)
        self.params, self.callback = command.params, command.callback
        self.is_read = True


class Group(typer.core.TyperGroup):
    """The help page of the program, commands first."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command with its parameters, None for an unknown one."""
        command = super().get_command(ctx, cmd_name)
        if isinstance(command, LateCommand):
            command.read()
        return command

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with their full summaries, then the options."""
        panels: dict[str, list[tuple[str, str]]] = {}
        for name in self.list_commands(ctx):
            command = self.commands[name]
            if not command.hidden:
                summary = (command.help or "").partition("\n\n")[0].replace("\n", " ")
                panels.setdefault(_panel(command), []).append((name, summary))
        for panel in sorted(panels, key=_place):
            _section(formatter, panel, panels[panel])
        records = [one.get_help_record(ctx) for one in self.get_params(ctx)]
        _section(formatter, "Options", [record for record in records if record is not None])

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _examples(formatter, self.epilog)


def _panel(command: Any) -> str:
    panel = command.rich_help_panel
    return panel if isinstance(panel, str) else "Commands"


def _place(panel: str) -> int:
    return PANELS.index(panel) if panel in PANELS else len(PANELS)


def _is_argument(parameter: Any) -> bool:
    return bool(parameter.param_type_name == "argument")


def _shown(argument: Any) -> str:
    name = str(argument.metavar or argument.name.upper())
    return f"{name}..." if argument.nargs == -1 else name


def _record(argument: Any) -> tuple[str, str]:
    return _shown(argument), argument.help or ""


def _usage(argument: Any) -> str:
    return _shown(argument) if argument.required else f"[{_shown(argument)}]"


def _section(formatter: Any, title: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(styled(title, bold=True)):
            formatter.write_dl([(styled(name, fg="cyan"), text) for name, text in records])


def styled(text: str, **style: Any) -> str:
    """Colour a text if the output is a terminal with colours."""
    is_plain = (
        not sys.stdout.isatty() or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"
    )
    return text if is_plain else typer.style(text, **style)


def _examples(formatter: Any, lines: str | None) -> None:
    if lines:
        with formatter.section(styled("Examples", bold=True)):
            for line in lines.splitlines():
                formatter.write(f"  {line}\n")
