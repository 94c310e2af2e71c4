"""``python -m marketdata_cli`` is the command ``marketdata``."""

from marketdata_cli import main

main()
