"""``python -m marketdata_cli`` is the command ``marketdata``."""

from marketdata_cli import main

if __name__ == "__main__":
    main()
