"""The command ``marketdata-mcp``: its options, and the parts that it assembles."""
