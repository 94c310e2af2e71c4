"""Spot market data for agents: the library's operations as MCP tools.

`main` is the command ``marketdata-mcp``. Nothing but the standard library is imported before its
arguments are read.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command with arguments, or with those of the process.

    Ends the process: with 0 when the client leaves and on a signal, with 2 where the call was
    wrong, with 1 where the address cannot be listened on.
    """
    from marketdata_mcp.service.command.serve import main as serve

    serve(arguments)
