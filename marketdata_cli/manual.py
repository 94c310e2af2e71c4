"""Help pages: usage, what it does, arguments, options, options of every command, examples."""

from __future__ import annotations

from typing import Any, get_args

import typer.core

from marketdata_cli.options import COMMON, DEBUG, SIM

_EVERYWHERE = {get_args(one.annotation)[1].help for one in (*COMMON, DEBUG)}
"""What is said of options that stand apart on the page of an operation."""


class Command(typer.core.TyperCommand):
    """A command whose help page is the same under all versions of typer."""

    def collect_usage_pieces(self, _ctx: Any) -> list[str]:
        """Give what follows the name in the usage line."""
        return ["[OPTIONS]", *(_usage(one) for one in self.params if _is_argument(one))]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, those of every command last."""
        arguments = [_record(one) for one in self.params if _is_argument(one)]
        divided = any(one.name == SIM.name for one in self.params)
        options: list[tuple[str, str]] = []
        everywhere: list[tuple[str, str]] = []
        for one in self.get_params(ctx):
            record = None if _is_argument(one) else one.get_help_record(ctx)
            if record is not None:
                apart = one.name in ("exchange", "help") or getattr(one, "help", "") in _EVERYWHERE
                (everywhere if divided and apart else options).append(record)
        _section(formatter, "Arguments", arguments)
        _section(formatter, "Options", options)
        _section(formatter, "Options of every command", everywhere)

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _examples(formatter, self.epilog)


class Group(typer.core.TyperGroup):
    """The page of the program itself, commands first."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands with their whole summaries, then the options."""
        commands = [(name, self.commands[name]) for name in self.list_commands(ctx)]
        summaries = [
            (name, (command.help or "").partition("\n\n")[0].replace("\n", " "))
            for name, command in commands
            if not command.hidden
        ]
        _section(formatter, "Commands", summaries)
        records = [one.get_help_record(ctx) for one in self.get_params(ctx)]
        _section(formatter, "Options", [record for record in records if record is not None])

    def format_epilog(self, _ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        _examples(formatter, self.epilog)


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
        with formatter.section(title):
            formatter.write_dl(records)


def _examples(formatter: Any, lines: str | None) -> None:
    if lines:
        with formatter.section("Examples"):
            for line in lines.splitlines():
                formatter.write(f"  {line}\n")
