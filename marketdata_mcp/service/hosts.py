"""Checks the hosts and origins of requests, as a protection against web pages.

A page whose own name points here (DNS rebinding) is recognized by its ``Host`` and ``Origin``. Both
are parsed by RFC 3986 and RFC 9110 and compared as names, not as text.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address

from starlette.types import Scope

__all__ = ["Hosts", "bracketed"]

_AUTHORITY = re.compile(
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+,;=]|%[0-9A-Fa-f]{2})+)"
    r"(?::(?P<port>[0-9]*))?",
    re.ASCII,
)
"""A host with an optional port; a user is not allowed in either header."""
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Hosts:
    """The names that clients may use for a server."""

    def __init__(self, names: Iterable[str]) -> None:
        """Take hosts with or without a port; without a port, any port is allowed."""
        self._allowed = {
            found for name in (*_LOOPBACK, *names) if (found := _parse(bracketed(name))) is not None
        }

    def refuse(self, scope: Scope) -> tuple[int, str] | None:
        """Return the status and the text of a refusal; None if the request is allowed."""
        hosts = _values(scope, b"host")
        if len(hosts) != 1:
            # RFC 9112, 3.2: two of them could be read differently by a proxy and by us.
            return 400, "A request has one Host header"
        if not self._allows(hosts[0]):
            return 421, "Invalid Host header"
        for origin in _values(scope, b"origin"):
            scheme, colon, rest = origin.partition("://")
            if not (colon and scheme.lower() in ("http", "https") and self._allows(rest)):
                return 403, "Invalid Origin header"
        return None

    def _allows(self, authority: str) -> bool:
        found = _parse(authority)
        return found is not None and (found in self._allowed or (found[0], None) in self._allowed)


def _values(scope: Scope, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key == name]


def _parse(authority: str) -> tuple[str, int | None] | None:
    """Return host and port in a normal form for comparison; None if they are invalid."""
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        return None
    host = found["host"].lower()
    if host.startswith("["):
        try:
            host = str(ip_address(host[1:-1]))
        except ValueError:
            return None
    port = int(found["port"]) if found["port"] else None
    return (host, port) if port is None or port < 65536 else None


def bracketed(host: str) -> str:
    """Return a host as in a URL."""
    return f"[{host}]" if host.count(":") > 1 and not host.startswith("[") else host
