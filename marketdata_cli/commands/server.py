"""The command ``marketdata mcp``: the MCP server, which is a separate program."""

from __future__ import annotations

from collections.abc import Callable

import typer

from marketdata_cli import serve
from marketdata_cli.options import Common

ABOUT = """Serve agents over the Model Context Protocol, on pipes or over HTTP.

The rest of the command line is for the server: `marketdata mcp --help` shows its options and its
commands access, doctor and install. `marketdata-mcp` is the same program.
"""
EXAMPLES = ("mcp", "mcp --sim", "mcp install claude-code", "mcp --http 127.0.0.1:8000")


def server(context: typer.Context) -> Callable[[], int]:
    """Pass the rest of the command line to the server."""
    before = context.obj or Common()
    options = ["--sim"] if before.sim else []
    if before.exchange is not None:
        options += ["--exchange", before.exchange]
    return lambda: serve([*options, *context.args])
