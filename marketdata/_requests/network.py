"""Proxies and certificates from the environment."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies

from marketdata.errors import InvalidParameterError

CERTIFICATES = "SSL_CERT_FILE"


def check_proxies() -> bool:
    """Return whether a proxy is set; raise `InvalidParameterError` if it cannot be used.

    The error names the variable but not its value, which may contain a password.
    """
    proxies = dict(_proxies())
    for variable, url in proxies.items():
        wrong = _wrong_with(url)
        if wrong:
            raise InvalidParameterError(
                f"{variable}: {wrong}; write http://HOST:PORT.", details={"parameter": variable}
            )
    return bool(proxies)


def proxy_variable(host: str | None = None, port: int | None = None) -> str | None:
    """Return the variable that sets this proxy, or any proxy; None if there is none."""
    found = None
    for variable, url in _proxies():
        found = found or variable
        parts = _parts(url)
        if parts is not None and (parts.hostname, parts.port) == (host, port):
            return variable
    return found


def trusting(cafile: str) -> ssl.SSLContext:
    """Make a TLS context that trusts the authorities in a file.

    Raises `InvalidParameterError` if SSL_CERT_FILE is not such a file.
    """
    try:
        return ssl.create_default_context(cafile=cafile)
    except FileNotFoundError:
        wrong = f"there is no file {cafile}"
    except ssl.SSLError:
        wrong = f"{cafile} has no PEM certificate"
    except OSError as error:
        wrong = f"{cafile} cannot be read: {error.strerror}"
    raise InvalidParameterError(f"{CERTIFICATES}: {wrong}.", details={"parameter": CERTIFICATES})


def _proxies() -> Iterator[tuple[str, str]]:
    """Return the proxies in use, by the variable that sets each."""
    for scheme, url in getproxies().items():
        if scheme in ("http", "https", "ws", "wss"):
            # As in `getproxies`, lower case wins. Windows and macOS have system settings, too.
            names = (f"{scheme}_proxy", f"{scheme.upper()}_PROXY")
            set_here = (name for name in names if os.environ.get(name))
            yield next(set_here, f"The system's proxy for {scheme}"), url


def _parts(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for an invalid port
    except ValueError:
        return None
    return parts


def _wrong_with(url: str) -> str | None:
    scheme, there, _ = url.partition("://")
    if not there:
        return "the scheme is missing"
    if scheme.lower() not in ("http", "https"):
        known = scheme if scheme.isalnum() and len(scheme) < 10 else "this"
        return f"{known} is not a supported kind of proxy"
    parts = _parts(url)
    if parts is None or parts.port == 0:
        return "the port is a number from 1 to 65535"
    return None if parts.hostname else "the host is missing"
