"""Serves: its arguments, and the parts that they need.

Only the standard library is imported before the arguments are parsed.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import marketdata
from _ccxt_marketdata import DISTRIBUTION, check_library
from marketdata_mcp.catalogue.groups import GROUPS
from marketdata_mcp.setup.program import PROGRAM, address, is_loopback

if TYPE_CHECKING:
    from marketdata import AsyncClient
    from marketdata_mcp.service.observe import Observer

__all__ = ["main"]

_COMMANDS = ("access", "doctor", "install")
"""The other commands; each has its own --help."""

_TRACES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
"""OpenTelemetry's variables with the destination of traces."""

_GUARDED = {"max_calls": 100, "trip_after": 5}
"""Settings that keep one slow or unreachable exchange from slowing down the others."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the client disconnects, or SIGINT or SIGTERM; the exit code is then 0.

    The exit code is 2 if the command line or a MARKETDATA_* variable is wrong, and 1 if it cannot
    listen on the address.
    """
    check_library()
    if sys.stderr is None:  # the parent process has closed it; the next descriptor becomes 2
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w")
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] and arguments[0] in _COMMANDS:
        from marketdata_mcp.service.command.admin import run

        run(arguments)
    if arguments[:1] and not arguments[0].startswith("-"):
        _fail(
            2,
            f"there is no command '{arguments[0][:40]}'; there are {', '.join(_COMMANDS)}, and "
            "without a command it serves. See --help.",
        )
    options = _parser().parse_args(arguments)
    _check(options)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: _leave())
    # Imported objects are never freed; collecting them takes a tenth of the start-up time.
    gc.disable()
    if options.http is None:
        _serve_stdio(options)
    else:
        _serve_http(options)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Serve spot crypto market data to agents over the Model Context Protocol, "
        "on stdin and stdout unless --http is given. Other commands, each with a --help: "
        "access (accounts, keys, usage), doctor (what is wrong with a setup), install (in a "
        "client's configuration).",
        epilog="MARKETDATA_* variables set the rest. Exit status: 0 when the client leaves, on "
        "Ctrl-C and on SIGTERM; 2 when the call was wrong; 1 when the address is taken.",
    )
    parser.add_argument(
        "--http",
        metavar="HOST:PORT",
        type=address,
        help="serve Streamable HTTP at http://HOST:PORT/mcp; port 0 takes a free one",
    )
    parser.add_argument(
        "--allow-remote",
        metavar="NAME",
        action="append",
        default=[],
        help="allow a HOST besides the loopback: without --access, everyone who can reach it can "
        "send requests. NAME is the host in the URL that clients use; may be repeated",
    )
    parser.add_argument(
        "--access",
        action="store_true",
        help="require a key: `marketdata-mcp access` makes accounts and keys",
    )
    parser.add_argument(
        "--policy",
        metavar="FILE",
        type=Path,
        help="with --access: tiers and OAuth from a TOML file; without it policy.toml in "
        "MARKETDATA_HOME, or the shipped tiers",
    )
    parser.add_argument(
        "--redis",
        metavar="URL",
        help="with --http: share accounts, counters, request budgets and lists of pairs with "
        "other machines there (MARKETDATA_REDIS)",
    )
    parser.add_argument(
        "--sse",
        action="store_true",
        help="with --http: serve the deprecated HTTP+SSE transport at /sse, too",
    )
    parser.add_argument("--tls-cert", metavar="FILE", type=Path, help="with --http: serve over TLS")
    parser.add_argument("--tls-key", metavar="FILE", type=Path, help="key of --tls-cert")
    parser.add_argument(
        "--retries",
        metavar="N",
        type=int,
        help="retries of a failed request within its call's time; 0: none (MARKETDATA_RETRIES)",
    )
    parser.add_argument(
        "--log-json",
        action="store_true",
        help="log each call and each other event as a line of JSON on stderr",
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
        help="use the simulated exchange, without internet",
    )
    parser.add_argument(
        "--tools",
        metavar="GROUP[,GROUP...]",
        type=_groups,
        action="extend",
        default=[],
        help="serve only some groups of tools: market, history, watch. chart is served only if it "
        "is named: get_chart, a picture of candles for hosts that show images",
    )
    version = f"{PROGRAM} {marketdata.__version__}"
    parser.add_argument("--version", action="version", version=version)
    return parser


def _check(options: argparse.Namespace) -> None:
    """Exit if options conflict."""
    for name in ("access", "allow_remote", "redis", "sse", "tls_cert", "tls_key"):
        if getattr(options, name) and options.http is None:
            _fail(2, f"--{name.replace('_', '-')} goes with --http.")
    if options.policy and not options.access:
        _fail(2, "--policy goes with --access.")
    if bool(options.tls_cert) != bool(options.tls_key):
        _fail(2, "--tls-cert and --tls-key go together.")


def _serve_stdio(options: argparse.Namespace) -> None:
    from marketdata_mcp.service.pipes import wire

    ends: tuple[int, int] | None = None
    try:
        for descriptor in (0, 1):
            os.fstat(descriptor)
        talks = os.isatty(0)
        if sys.platform != "win32":
            ends = wire.claim()
    except OSError:
        _fail(2, "stdin and stdout must be open, because the client uses them.")
    if talks:
        _say("waiting for a client to speak MCP on stdin; Ctrl-C ends it, --help says more.")
    client = _client(options)

    from marketdata_mcp import app
    from marketdata_mcp.service.admission import GatedAdmission
    from marketdata_mcp.service.pipes import stdio

    admission = GatedAdmission(client, None, *_call_logs(options))
    server = app.Service(client, admission=admission, groups=options.tools).server()
    _run(stdio.serve_by_sdk(server) if ends is None else stdio.serve(server, *ends), options)


def _call_logs(options: argparse.Namespace) -> list[Observer]:
    if not options.log_json:
        return []
    from marketdata_mcp.service.logs import CallLog

    return [CallLog()]


def _serve_http(options: argparse.Namespace) -> None:
    host, port = options.http
    if not (options.allow_remote or options.access or is_loopback(host)):
        _fail(
            2,
            f"refuses to listen on {host}, where other machines could send requests. "
            "Use 127.0.0.1, add --access, or --allow-remote NAME; see --help.",
        )
    client = _client(options, **_GUARDED)
    from marketdata import MarketDataError

    certificate = (options.tls_cert, options.tls_key) if options.tls_cert else None
    try:
        from marketdata_mcp.service import assembly, http
    except ImportError as error:
        _fail(2, f"--http needs the package {error.name}: pip install '{DISTRIBUTION}[server]'.")

    try:
        web = assembly.web(
            client,
            names=[host, *options.allow_remote],
            access=options.access,
            policy=options.policy,
            events=options.sse,
            log_calls=options.log_json,
            groups=options.tools,
        )
        if certificate:
            http.check(*certificate)
    except MarketDataError as error:
        _fail(2, error.message)
    try:
        listener = http.listen(host, port)
    except OSError as error:
        reason = (error.strerror or "").partition(" (")[0]
        _fail(1, f"cannot listen on {host}:{port}: {reason}.")
    url = http.url(listener, tls=certificate is not None)
    web.ready = lambda: _ready(url, options)
    _run(http.serve(web, listener, certificate), options)


def _groups(text: str) -> list[str]:
    """Parse GROUP[,GROUP...]; raises `argparse.ArgumentTypeError`."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    wrong = [name for name in names if name not in GROUPS]
    if wrong or not names:
        raise argparse.ArgumentTypeError(f"expected some of {', '.join(GROUPS)}, was '{text}'")
    return names


def _ready(url: str, options: argparse.Namespace) -> None:
    if options.log_json:
        import logging

        logging.getLogger("marketdata_mcp").info("serving %s", url)
    else:
        _say(f"serving {url}")


def _client(options: argparse.Namespace, **unless_set: int) -> AsyncClient:
    """Make the client; ``unless_set`` has defaults of settings without a variable."""
    from marketdata import AsyncClient, MarketDataError
    from marketdata.settings import PREFIX, Settings

    chosen: dict[str, Any] = {
        name: value
        for name, value in unless_set.items()
        if not os.environ.get(PREFIX + name.upper())
    }
    try:
        settings = Settings.from_environment(
            exchange=options.exchange,
            sim=options.sim,
            retries=options.retries,
            redis=options.redis,
            numbers="float",  # the tools' schemas say number
            **chosen,
        )
        return AsyncClient(settings=settings)
    except MarketDataError as error:
        _fail(2, error.message)


def _run(serving: Coroutine[object, object, None], options: argparse.Namespace) -> None:
    import logging

    if options.log_json:
        from marketdata_mcp.service.logs import write_json

        write_json(logging.INFO)
    else:
        from marketdata_mcp.service.log_writer import LogWriter

        handler = LogWriter()
        handler.setFormatter(logging.Formatter(logging.BASIC_FORMAT))
        logging.basicConfig(level=logging.WARNING, handlers=[handler])
    flush = _traced()
    gc.freeze()
    # With the default thresholds, a server with a thousand open requests traverses all of them at
    # every other call, which then costs two to three times as much as with eight. Traversing fifty
    # thousand objects takes 50 ms, in which no request is answered.
    gc.set_threshold(10_000, 50, 100)
    gc.enable()

    async def serve() -> None:
        await serving
        await asyncio.to_thread(flush)
        _leave()

    asyncio.run(serve())


def _traced() -> Callable[[], None]:
    """Send traces if the environment enables them; return a function that sends the rest."""
    if not any(map(os.environ.get, _TRACES)):
        return lambda: None
    from marketdata import MarketDataError
    from marketdata_mcp.service.telemetry import export_traces

    try:
        return export_traces(PROGRAM, marketdata.__version__)
    except MarketDataError as error:
        _fail(2, error.message)


def _leave() -> NoReturn:
    # Everything is closed. A normal exit would still wait for threads, for example one that waits
    # for a name server, and free all objects of ccxt.
    import logging

    logging.shutdown()
    os._exit(0)


def _fail(status: int, message: str) -> NoReturn:
    _say(message)
    sys.exit(status)


def _say(message: str) -> None:
    sys.stderr.write(f"{PROGRAM}: {message}\n")
    sys.stderr.flush()
