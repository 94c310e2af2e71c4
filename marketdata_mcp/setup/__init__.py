"""Adds the server to the configuration of MCP clients."""
