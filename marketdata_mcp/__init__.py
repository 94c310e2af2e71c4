"""Spot market data for agents: the library's operations as MCP tools.

`main` is the command ``marketdata-mcp``. Nothing but the standard library is imported before its
arguments are read.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Coroutine, Sequence
from typing import TYPE_CHECKING, NoReturn

from marketdata import __version__

if TYPE_CHECKING:
    from marketdata import AsyncClient

__all__ = ["main"]

PROGRAM = "marketdata-mcp"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the client leaves, or until SIGINT or SIGTERM; both end the process with 0.

    Ends with 2 where the command line or a MARKETDATA_* variable is wrong, with 1 where the
    address cannot be listened on.
    """
    if sys.stderr is None:  # closed by whoever started this; the free descriptor becomes 2
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    options = _parser().parse_args(arguments)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _leave())
    # Nothing that is imported goes away again; looking for it is a tenth of the time to start.
    gc.disable()
    if options.http is None:
        _serve_stdio(options)
    else:
        _serve_http(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Serve spot crypto market data to agents over the Model Context Protocol, "
        "on stdin and stdout unless --http is given.",
        epilog="MARKETDATA_* variables set the rest. Exit status: 0 when the client leaves, on "
        "Ctrl-C and on SIGTERM; 2 when the call was wrong; 1 when the address is taken.",
    )
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        type=_address,
        help="serve Streamable HTTP at http://HOST:PORT/mcp; port 0 takes a free one",
    )
    parser.add_argument(
        "--allow-remote",
        metavar="NAME",
        action="append",
        default=[],
        help="let HOST be other than this machine's loopback: everyone who reaches it may ask. "
        "NAME is the host in the URL that clients use; repeat for several",
    )
    parser.add_argument(
        "-e",
        "--exchange",
        metavar="ID[,ID...]",
        help="default exchange, or several in order of preference",
    )
    parser.add_argument(
        "--sim",
        action="store_true",
        default=None,
        help="answer from the simulated exchange, without the internet",
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    return parser


def _address(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not (colon and host and port.isascii() and port.isdigit() and int(port) < 65536):
        raise argparse.ArgumentTypeError(f"expected HOST:PORT, was '{text}'")
    return host, int(port)


def _serve_stdio(options: argparse.Namespace) -> None:
    from marketdata_mcp import wire

    try:
        incoming, outgoing = wire.claim()
    except OSError:
        _fail(2, "stdin and stdout must be open: the client is at their other ends.")
    if os.isatty(incoming):
        _say("waiting for a client to speak MCP on stdin; Ctrl-C ends it, --help says more.")
    client = _client(options)

    from marketdata_mcp import app, stdio

    _run(stdio.serve(app.build(client), incoming, outgoing))


def _serve_http(options: argparse.Namespace) -> None:
    host, port = options.http
    if not (options.allow_remote or _is_loopback(host)):
        _fail(
            2,
            f"refuses to listen on {host}, where others than this machine could ask. "
            "Use 127.0.0.1, or add --allow-remote NAME; see --help.",
        )
    client = _client(options)

    from marketdata_mcp import app, http

    try:
        listener = http.listen(host, port)
    except OSError as error:
        reason = (error.strerror or "").partition(" (")[0]
        _fail(1, f"cannot listen on {host}:{port}: {reason}.")
    url = http.url(listener)
    names = [host, *options.allow_remote]
    server = app.build(client, sessions=False)
    _run(http.serve(server, listener, names, ready=lambda: _say(f"serving {url}")))


def _is_loopback(host: str) -> bool:
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _client(options: argparse.Namespace) -> AsyncClient:
    from marketdata import AsyncClient, MarketDataError

    try:
        return AsyncClient(options.exchange, sim=options.sim)
    except MarketDataError as error:
        _fail(2, error.message)


def _run(serving: Coroutine[object, object, None]) -> None:
    import logging

    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    gc.freeze()
    gc.enable()

    async def serve() -> None:
        await serving
        _leave()

    asyncio.run(serve())


def _leave() -> NoReturn:
    # Everything is closed by now. An orderly exit would still wait for threads, for example for
    # one that asks a name server which does not answer, and take ccxt apart piece by piece.
    sys.stderr.flush()
    os._exit(0)


def _fail(status: int, message: str) -> NoReturn:
    _say(message)
    sys.exit(status)


def _say(message: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {message}\n")
    sys.stderr.flush()
