"""What the command line, the installers and the checks of a setup have in common."""

from __future__ import annotations

import argparse

PROGRAM = "marketdata-mcp"


def address(text: str) -> tuple[str, int]:
    """Read HOST:PORT; raises `argparse.ArgumentTypeError`."""
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
