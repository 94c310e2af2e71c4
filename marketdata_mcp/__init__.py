"""Spot market data for agents: the library's operations as MCP tools.

`main` is the command ``marketdata-mcp``. Only the standard library is imported before its arguments
are parsed.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with arguments, or with those of the process.

    Ends the process: with 0 when the client disconnects or on a signal, with 2 if the command line
    is wrong, and with 1 if it cannot listen on the address.
    """
    from marketdata_mcp.service.command.serve import main as serve

    serve(arguments)
