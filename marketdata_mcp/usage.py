"""The tool for the usage of an account."""

from __future__ import annotations

from marketdata_mcp import answers
from marketdata_mcp.answers import Answer
from marketdata_mcp.callers import Usage
from marketdata_mcp.served import Served
from marketdata_mcp.tools import server_tool

__all__ = ["get_usage"]


@server_tool(Usage)
async def get_usage(served: Served) -> Answer:
    """Get your account's usage: tier, quota, limits, calls and units used, left or remaining."""
    return answers.record(await served.admission.usage(served.caller))
