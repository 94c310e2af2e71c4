"""The command ``marketdata doctor``: checks of the machine and its settings."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable
from typing import Annotated, Any

import typer

from marketdata_cli import process
from marketdata_cli.options import Common, keyword
from marketdata_cli.text import Format

EXAMPLES = ("doctor", "doctor -e kraken", "doctor --offline -f json")


OFFLINE = keyword(
    "offline",
    Annotated[bool, typer.Option("--offline", help="Send no request to an exchange.")],
    False,
)


def doctor(context: typer.Context, *, offline: bool, **said: Any) -> Callable[[], int]:
    """Check this machine, the settings and the connection to the exchanges.

    Each check is one line, with advice if something is wrong. The exit code is 1 if a check failed.
    `marketdata mcp doctor` checks a server as well.
    """
    options = (context.obj or Common()).then(Common(**said))
    as_json = options.form_of((Format.TABLE, Format.JSON)) is Format.JSON
    return lambda: _run(options, offline=offline, as_json=as_json)


def _run(options: Common, *, offline: bool, as_json: bool) -> int:
    from marketdata import doctor as library

    gc.enable()
    found = []
    for check in library.run(exchange=options.exchange, sim=options.sim, offline=offline):
        found.append(check)
        if not as_json and (code := process.write(f"{check.line}\n")):
            return code
    if as_json:
        text = json.dumps(library.document(found), ensure_ascii=False, indent=2)
        if code := process.write(f"{text}\n"):
            return code
    return int(library.failed(found))
