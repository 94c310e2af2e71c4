"""Functions that the command line, the installers and the checks share."""

from __future__ import annotations

import argparse

PROGRAM = "marketdata-mcp"


def address(text: str) -> tuple[str, int]:
    """Parse HOST:PORT; raises `argparse.ArgumentTypeError`."""
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, was '{text}'")
    return host, int(port)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
