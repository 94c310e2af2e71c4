"""The shell front end: one command per operation of `marketdata`, and the rendering of answers."""

from __future__ import annotations

import os
import sys
from typing import NoReturn

__all__ = ["main"]


def main() -> NoReturn:
    """Run the command line of this process and end it with the exit code."""
    try:
        from marketdata_cli import process

        process.prepare()
        from marketdata_cli.app import run

        code = run(sys.argv[1:])
    except KeyboardInterrupt:  # while importing
        os._exit(130)
    process.leave(code)
