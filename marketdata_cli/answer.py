"""One question to the library, and its answer in the form that was asked for."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any

from marketdata_cli import process, text
from marketdata_cli.options import Common
from marketdata_cli.text import Format

if TYPE_CHECKING:
    from marketdata import Client
    from marketdata.operations import Operation


def answer(operation: Operation, given: dict[str, Any], options: Common) -> int:
    """Ask, write the answer and give the exit code."""
    form = options.form
    with contextlib.ExitStack() as kept:
        client = _client(options, kept)
        found = getattr(client, operation.name)(**given)
        return process.write(written(operation, found, form))


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


def _client(options: Common, kept: contextlib.ExitStack) -> Client:
    from marketdata import Client

    return Client(sim=options.sim or None)
