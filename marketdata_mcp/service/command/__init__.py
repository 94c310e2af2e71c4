"""The command ``marketdata-mcp``: what it is told, and what it puts together of the other rooms."""
