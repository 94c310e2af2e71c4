"""Installers: the configuration of MCP clients, changed so that they use the server."""
