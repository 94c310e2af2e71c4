"""``marketdata-mcp doctor``: checks a setup, with advice."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from marketdata.doctor import Check, document, failed
from marketdata.errors import InvalidParameterError
from marketdata_mcp.service import checks
from marketdata_mcp.service.checks import Setup
from marketdata_mcp.setup.program import address

__all__ = ["doctor"]


def doctor(
    http: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Address to listen on.")
    ] = None,
    allow_remote: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Host in the URL that clients use; may be repeated."),
    ] = None,
    access: Annotated[bool, typer.Option("--access", help="Require keys.")] = False,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="File with tiers. [default: policy.toml in MARKETDATA_HOME]"
        ),
    ] = None,
    redis: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Redis that machines share (MARKETDATA_REDIS)."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Its certificate, with the chain.")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The certificate's private key.")
    ] = None,
    exchange: Annotated[
        str | None,
        typer.Option("--exchange", "-e", metavar="ID[,ID...]", help="Default exchanges."),
    ] = None,
    sim: Annotated[bool, typer.Option("--sim", help="Use the simulated exchange.")] = False,
    offline: Annotated[bool, typer.Option("--offline", help="Ask no exchange.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a setup, with one line for each check and advice if something is wrong.

    It takes the options of the server. The exit code is 1 if a check failed.
    """
    setup = Setup(
        address=_listening(http),
        allow_remote=tuple(allow_remote or ()),
        access=access,
        policy=policy,
        redis=redis,
        tls_cert=tls_cert,
        tls_key=tls_key,
        exchange=exchange,
        sim=sim,
        offline=offline,
    )
    if as_json:
        found = list(checks.run(setup))
        typer.echo(json.dumps(document(found), ensure_ascii=False, indent=2))
    else:
        found = list(_told(checks.run(setup)))
    raise typer.Exit(int(failed(found)))


def _listening(text: str | None) -> tuple[str, int] | None:
    try:
        return None if text is None else address(text)
    except argparse.ArgumentTypeError as error:
        raise InvalidParameterError(f"--http: {error}.") from None


def _told(found: Iterator[Check]) -> Iterator[Check]:
    """Print each check as soon as it is done: some take seconds."""
    for check in found:
        typer.echo(check.line)
        yield check
