"""One question to the library, and its answer in the form that was asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from marketdata_cli import process, text
from marketdata_cli.options import Common
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketdata.clients import Client
    from marketdata.models import Interval
    from marketdata.operations import Operation
    from marketdata.settings import Settings


def answer(operation: Operation, given: dict[str, Any], options: Common) -> int:
    """Ask, write the answer and give the exit code."""
    form = options.form
    with client(options) as asked:
        found = getattr(asked, operation.name)(**given)
        code = process.write(written(operation, found, form))
        if code == 0 and form in (Format.CSV, Format.JSONL):
            _remark(found)
        return code


def written(operation: Operation, found: Any, form: Format | None) -> str:
    """Write an answer in a form; None: see `chosen`."""
    match chosen(form):
        case Format.TABLE:
            from marketdata_cli.views.page import page

            return page(operation, found)
        case Format.JSONL:
            return text.as_jsonl(found)
        case Format.CSV:
            return text.as_csv(operation, found)
    return text.as_json(found)


def chosen(form: Format | None) -> Format:
    """Choose for eyes on a terminal and for programs elsewhere, where no form was asked for."""
    return form or (Format.TABLE if sys.stdout.isatty() else Format.JSON)


def _remark(found: Any) -> None:
    """Say on standard error what rows cannot: which bars are missing between them, or made up."""
    for what, intervals in (
        ("missing", getattr(found, "missing", ())),
        ("filled", getattr(found, "filled", None) or ()),
    ):
        if intervals:
            process.complain(f"note: {_ranges(what, intervals)}")


def _ranges(what: str, intervals: Sequence[Interval]) -> str:
    from marketdata_cli.views.holes import by_cause, of_bars
    from marketdata_cli.views.numbers import counted, span

    ranges = ", ".join(span(gap.start, gap.end) for gap in intervals[:3])
    left = counted(len(intervals) - 3, "more range")
    more = f" and {left}, see --format json" if intervals[3:] else ""
    causes = by_cause(intervals)
    why = f" ({causes})" if causes else ""
    return f"{of_bars(intervals, what)}{why}: {ranges}{more}"


def settings(options: Common) -> Settings:
    """Read the settings that a command line and the environment make."""
    from marketdata.settings import Settings

    tape = options.tape or None
    sim = True if options.sim or tape else None
    return Settings.from_environment(sim=sim, sim_tape=tape)


def client(options: Common) -> Client:
    """Make the client that a command line asks for."""
    from marketdata.clients import Client

    return Client(settings=settings(options))
