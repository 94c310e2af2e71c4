"""``python -m marketdata_mcp`` is the command ``marketdata-mcp``."""

from marketdata_mcp import main

main()
