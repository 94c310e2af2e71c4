"""The socket that the server listens on."""

from __future__ import annotations

import errno
import socket

__all__ = ["listen"]

_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, socket.EAI_FAMILY, socket.EAI_NONAME)


def listen(host: str, port: int) -> socket.socket:
    """Open the socket to serve on, so that a taken address is known at once; raises OSError.

    A name is looked up: its IPv4 address is taken, or the one of IPv6 where a machine has no other.
    On ``::`` it listens for both.
    """
    try:
        listener = _opened(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        # Who names an address means that one.
        if error.errno not in _NO_SUCH_ADDRESS or host.replace(".", "").isdigit() or ":" in host:
            raise
        listener = _opened(host, port, socket.AF_INET6)
    # Connections inherit both. asyncio would set the first only for sockets that name their
    # protocol, and without it an answer's body waits 40 ms for the client to acknowledge the
    # header; without the second a client that is gone without a word holds its stream for ever.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return listener


def _opened(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
