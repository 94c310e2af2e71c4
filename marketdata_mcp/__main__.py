"""``python -m marketdata_mcp`` is the command ``marketdata-mcp``."""

from marketdata_mcp import main

if __name__ == "__main__":
    main()
