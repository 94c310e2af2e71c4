"""The MCP adapter stays small enough to read in ten minutes."""

from pathlib import Path

import marketdata_mcp

ADAPTER = Path(marketdata_mcp.__file__).parent


def test_the_adapter_has_few_lines() -> None:
    lines = {one.name: one.read_text().count("\n") for one in ADAPTER.glob("*.py")}
    assert sum(lines.values()) <= 2_500, lines
