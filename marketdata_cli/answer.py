"""One question to the library, and its answer in the form that was asked for."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from marketdata_cli import process, text
from marketdata_cli.options import Common
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from marketdata.blocking import Client
    from marketdata.operations import Operation


def answer(operation: Operation, given: dict[str, Any], options: Common) -> int:
    """Ask, write the answer and give the exit code."""
    form = options.form
    with _client(options) as client:
        found = getattr(client, operation.name)(**given)
        code = process.write(written(operation, found, form))
        if code == 0 and form in (Format.CSV, Format.JSONL):
            _remark(found)
        return code


def written(operation: Operation, found: Any, form: Format | None) -> str:
    """Write an answer in a form; None: for eyes on a terminal, for programs elsewhere."""
    match form or (Format.TABLE if sys.stdout.isatty() else Format.JSON):
        case Format.TABLE:
            from marketdata_cli.page import page

            return page(operation, found)
        case Format.JSONL:
            return text.as_jsonl(found)
        case Format.CSV:
            return text.as_csv(operation, found)
    return text.as_json(found)


def _remark(found: Any) -> None:
    """Say on standard error what rows cannot: which bars are missing between them."""
    missing = getattr(found, "missing", ())
    if not missing:
        return
    from marketdata_cli.numbers import span

    count = sum(gap.bars for gap in missing)
    ranges = ", ".join(span(gap.start, gap.end) for gap in missing[:3])
    more = f" and {len(missing) - 3:,} more ranges, see --format json" if missing[3:] else ""
    process.complain(f"note: {count:,} missing bar{'' if count == 1 else 's'}: {ranges}{more}")


def _client(options: Common) -> Client:
    from marketdata.blocking import Client
    from marketdata.settings import Settings

    tape = options.tape or None
    sim = True if options.sim or tape else None
    return Client(settings=Settings.from_environment(sim=sim, sim_tape=tape))
