"""Connectors of single exchanges, and what is special about each."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import marketdata as md
from marketdata._exchanges import loader, parsing, quirks
from marketdata._exchanges.capabilities import exchange as described_by
from marketdata._exchanges.connector import Connector, connector_class
from marketdata._exchanges.exchange import Venue
from marketdata._exchanges.quirks import QUIRKS, Quirk, quirk
from marketdata._exchanges.supported import serves_spot
from marketdata.settings import Settings

from .candles import source_for
from .markets import Catalogue

__all__ = [
    "QUIRKS",
    "Connector",
    "Quirk",
    "Venue",
    "connector_class",
    "described",
    "loader",
    "open_venue",
    "parsing",
    "quirk",
    "quirks",
    "serves_spot",
    "spot_exchanges",
    "stream_class",
]


def open_venue(
    exchange: str | type[Any],
    url: str | None = None,
    *,
    settings: Settings | None = None,
    catalogue: Catalogue | None = None,
) -> Venue:
    """Open one exchange without a client: of a name, or of a connector's class.

    Its lists of pairs are in memory, unless there is a catalogue.
    """
    made = connector_class(exchange) if isinstance(exchange, str) else exchange
    return Venue(made, settings or Settings(), catalogue or Catalogue(None), url)


def stream_class(exchange: str, *, exact: bool = False) -> type[Any] | None:
    """Return the class that an exchange's streams use; None where it has none."""
    from marketdata._exchanges.sockets import stream_class

    return stream_class(exchange, exact=exact)


def spot_exchanges(home: Path) -> list[md.Exchange]:
    """List the spot exchanges of ccxt; their description is kept in a folder."""
    with md.Client(home=home, sim=False) as client:
        return list(client.exchanges())


@functools.cache
def described(name: str) -> md.Exchange:
    """Describe one exchange as `exchanges` does, without the time that all of them take."""
    return described_by(vars(loader.described(name)), quirk(name), source_for)
