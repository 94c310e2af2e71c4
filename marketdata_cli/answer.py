"""One call of the library, and its answer in the chosen format."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketdata.errors import InvalidParameterError
from marketdata_cli import process, text
from marketdata_cli.options import Common
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from collections.abc import Sequence

    from marketdata.clients import Client
    from marketdata.models import Interval
    from marketdata.operations import Operation
    from marketdata.settings import Settings


@dataclass(frozen=True)
class Shape:
    """The columns and the order of a list."""

    columns: list[str] | None = None
    sort: str | None = None
    """The field to sort by; a leading minus puts the highest first."""

    def check(self, form: Format) -> None:
        """Raise `InvalidParameterError` if columns were chosen for a format without columns."""
        if self.columns is not None and form not in (Format.TABLE, Format.CSV):
            raise InvalidParameterError(
                f"--columns is for tables and CSV, not for {form}: jq chooses fields of JSON.",
                details={"parameter": "columns"},
            )

    def sorted(self, found: Any) -> Any:
        """Return a list in the chosen order."""
        if self.sort is None:
            return found
        return found.sorted_by(self.sort.removeprefix("-"), ascending=self.sort[:1] != "-")


def answer(
    operation: Operation, given: dict[str, Any], options: Common, shape: Shape | None = None
) -> int:
    """Call the library, write the answer and return the exit code."""
    form, shape = options.form, shape or Shape()
    shape.check(chosen(form))
    with client(options) as asked:
        found = shape.sorted(getattr(asked, operation.name)(**given))
        is_long = operation.many and chosen(form) is Format.TABLE
        write = process.write_paged if is_long else process.write
        code = write(written(operation, found, options, shape.columns))
        if code == 0 and form in (Format.CSV, Format.JSONL):
            _remark(found)
        return code or (process.FAILED if _has_nothing(found) else 0)


def _has_nothing(found: Any) -> bool:
    """Return whether all exchanges of a comparison failed."""
    rows = getattr(found, "rows", None)
    return rows is not None and all(row.code is not None for row in rows)


def written(
    operation: Operation, found: Any, options: Common, columns: list[str] | None = None
) -> str:
    """Return an answer as text in the format of `chosen`; ``columns`` are those of a list."""
    match chosen(options.form):
        case Format.TABLE:
            from marketdata_cli.views.page import page

            return page(operation, found, columns=columns)
        case Format.JSONL:
            return str(found.to_jsonl())
        case Format.CSV:
            given = {} if columns is None else {"columns": columns}
            return str(found.to_csv(raw=options.raw, **given))
    return text.as_json(found)


def chosen(form: Format | None) -> Format:
    """Return the format; the default is a table on a terminal and JSON elsewhere."""
    return form or (Format.TABLE if sys.stdout.isatty() else Format.JSON)


def _remark(found: Any) -> None:
    """Write to standard error which candles between the rows are missing or filled."""
    for what, intervals in (
        ("missing", getattr(found, "missing", ())),
        ("filled", getattr(found, "filled", None) or ()),
    ):
        if intervals:
            process.complain(f"note: {_ranges(what, intervals)}")


def _ranges(what: str, intervals: Sequence[Interval]) -> str:
    from marketdata.models._display.gaps import by_cause, of_bars
    from marketdata.models._display.numbers import counted, span

    ranges = ", ".join(span(gap.start, gap.end) for gap in intervals[:3])
    left = counted(len(intervals) - 3, "more range")
    more = f" and {left}, see --format json" if intervals[3:] else ""
    causes = by_cause(intervals)
    why = f" ({causes})" if causes else ""
    return f"{of_bars(intervals, what)}{why}: {ranges}{more}"


def settings(options: Common) -> Settings:
    """Return the settings from the command line and the environment."""
    from marketdata.settings import Settings

    tape = options.tape or None
    sim = True if options.sim or tape else None
    return Settings.from_environment(sim=sim, sim_tape=tape)


def client(options: Common) -> Client:
    """Make the client for a command line."""
    from marketdata.clients import Client

    return Client(settings=settings(options))
