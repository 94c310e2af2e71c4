"""The socket that the server listens on."""

from __future__ import annotations

import errno
import socket

__all__ = ["listen"]

_NO_SUCH_ADDRESS = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, socket.EAI_FAMILY, socket.EAI_NONAME)


def listen(host: str, port: int) -> socket.socket:
    """Open the listening socket, so that an address in use is an error at once; raises OSError.

    A name is resolved to its IPv4 address, or to its IPv6 address on machines without IPv4. On
    ``::`` it accepts both.
    """
    try:
        listener = _opened(host, port, socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        # An address is used as it is.
        if error.errno not in _NO_SUCH_ADDRESS or host.replace(".", "").isdigit() or ":" in host:
            raise
        listener = _opened(host, port, socket.AF_INET6)
    # Connections inherit both options. asyncio would set the first only for sockets with a named
    # protocol. Without it, the body of a response waits 40 ms until the client has acknowledged the
    # header. Without the second, a client that vanishes would keep its stream open forever.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    return listener


def _opened(host: str, port: int, family: socket.AddressFamily) -> socket.socket:
    both = host == "::" and socket.has_dualstack_ipv6()
    return socket.create_server((host, port), family=family, backlog=2048, dualstack_ipv6=both)
