"""The shell front end: one command per operation of `marketdata`, and the rendering of answers."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from _ccxt_marketdata import check_library


def main() -> NoReturn:
    """Run the command line of this process and end it with the exit code."""
    check_library()
    try:
        if sys.argv[1:2] == ["mcp"]:
            # An MCP client waits for it, so skip the imports of the other commands.
            code = serve(sys.argv[2:])
        else:
            from marketdata_cli import process

            process.prepare()
            from marketdata_cli.app import run

            code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while importing
        os._exit(130)
    process.leave(code)


def serve(arguments: Sequence[str]) -> int:
    """Run the MCP server with these arguments; it ends the process itself."""
    # Imported by name, because neither front end may import the other.
    importlib.import_module("marketdata_mcp").main(arguments)
    return 0
