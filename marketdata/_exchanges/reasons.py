"""Why an exchange could not be reached: a word for programs, and a message.

The word is ``details["reason"]`` of every `ExchangeUnavailableError`.
"""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Mapping
from typing import NamedTuple

from marketdata._requests.network import CERTIFICATES, proxy_variable
from marketdata.errors import ExchangeUnavailableError, MarketDataError

_REJECTS = {401: "rejected the user and password", 403: "refuses to connect to it"}
_REJECTS[407] = _REJECTS[401]


class Why(NamedTuple):
    """The reason for a failed connection."""

    reason: str
    said: str
    """The message after the name of the exchange."""
    retryable: bool = True


_UNKNOWN_NAME = Why(
    "name_not_resolved",
    "cannot be reached: its host name cannot be resolved. Is this machine online?",
    False,
)
_NO_NAMES = Why(
    "name_not_resolved",
    "cannot be reached: host names cannot be resolved now. Is this machine online?",
)
_REFUSED = Why("refused", "cannot be reached: it refuses the connection. Try later.")
_NO_ROUTE = Why("no_route", "cannot be reached: there is no route to it. Is this machine online?")
_LOST = Why("connection_lost", "closed the connection. Try later.")
_NO_TLS = Why("tls_failed", "cannot be reached: the TLS handshake failed. Try later.")
_TIMED_OUT = Why("timed_out", "did not respond in time. Try later.")


def why_unreachable(error: BaseException | None) -> Why | None:
    """Return the reason for a connection's error; None if the error is not of the connection."""
    if error is None:
        return None
    if isinstance(error, socket.gaierror):
        return _NO_NAMES if error.errno == socket.EAI_AGAIN else _UNKNOWN_NAME
    if type(error).__module__.partition(".")[0] != "aiohttp":
        return _of_system(error) if isinstance(error, OSError) else None
    import aiohttp

    if isinstance(error, aiohttp.ClientHttpProxyError):
        return why_refused_by_proxy(error.status)
    if isinstance(error, aiohttp.ClientProxyConnectionError):
        inner = why_unreachable(error.os_error)
        how = "is not found" if inner in (_NO_NAMES, _UNKNOWN_NAME) else "cannot be reached"
        return _proxy(how, None, error.host, error.port)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return _certificate()
    if isinstance(error, aiohttp.ClientSSLError):
        return _NO_TLS
    if isinstance(error, aiohttp.ClientConnectorError):
        return why_unreachable(error.os_error) or _REFUSED
    if isinstance(error, TimeoutError):
        return _TIMED_OUT
    return (_of_system(error) if isinstance(error, OSError) else None) or _LOST


def why_refused_by_proxy(status: int) -> Why:
    """Return the reason for the HTTP status of a proxy's response."""
    return _proxy(_REJECTS.get(status, f"responds with HTTP {status}"), status)


def _of_system(error: OSError) -> Why | None:
    if isinstance(error, ConnectionRefusedError):
        return _REFUSED
    if isinstance(error, TimeoutError):
        return _TIMED_OUT
    if error.errno in (errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ENETDOWN, errno.EADDRNOTAVAIL):
        return _NO_ROUTE
    return _LOST if isinstance(error, ConnectionError) else None


def _proxy(how: str, status: int | None, host: str | None = None, port: int | None = None) -> Why:
    variable = proxy_variable(host, port) or "HTTPS_PROXY"
    said = f"cannot be reached: the proxy in {variable} {how}. Correct that variable."
    # A broken proxy may recover; one that refuses will not.
    return Why("proxy_failed", said, status is not None and status >= 500)


def _certificate() -> Why:
    file = os.environ.get(CERTIFICATES)
    what = (
        f"none of the certificates in {CERTIFICATES} ({file}) is its authority"
        if file
        else f"if a proxy inspects connections, set {CERTIFICATES} to its certificate"
    )
    said = f"cannot be reached: its certificate is not trusted; {what}."
    return Why("certificate_not_trusted", said, False)


_IN_SHORT = {
    "name_not_resolved": "host names cannot be resolved",
    "refused": "connections are refused",
    "no_route": "there is no route to them",
    "connection_lost": "connections break off",
    "timed_out": "no response in time",
    "tls_failed": "the TLS handshake fails",
    "certificate_not_trusted": "certificates are not trusted",
    "proxy_failed": "the proxy blocks requests",
    "location_refused": "requests from this location are refused",
    "server_error": "servers are failing",
    "maintenance": "under maintenance",
    "rate_limited": "too many requests",
}


def in_short(reason: str | None) -> str:
    """Return a reason in a few words."""
    return _IN_SHORT.get(reason or "", "failing")


def none_reached(failures: Mapping[str, MarketDataError]) -> ExchangeUnavailableError:
    """Combine the errors of all requested exchanges: each reason once, and what to do.

    ``failures`` has at least two.
    """
    by_reason: dict[str, list[str]] = {}
    for name, error in failures.items():
        by_reason.setdefault(str(error.details.get("reason", "failing")), []).append(name)
    parts = [f"{in_short(reason)} ({', '.join(names)})" for reason, names in by_reason.items()]
    waits = [error.retry_after for error in failures.values() if error.retry_after is not None]
    every = len(waits) == len(failures)
    return ExchangeUnavailableError(
        f"None of the exchanges could be reached: {'; '.join(parts)}; `marketdata doctor` looks "
        "for the cause, HTTPS_PROXY sets a proxy, and --sim (sim=True) needs no internet.",
        retryable=any(error.retryable for error in failures.values()),
        retry_after=min(waits) if every else None,
        details={
            **({"reason": next(iter(by_reason))} if len(by_reason) == 1 else {}),
            "exchanges": {name: error.to_dict() for name, error in failures.items()},
        },
    )
