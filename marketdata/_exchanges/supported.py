"""The supported exchanges: those of the installed ccxt that have spot markets."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from marketdata._exchanges import capabilities, loader
from marketdata._exchanges.markets_cache import Catalogue
from marketdata._exchanges.quirks import QUIRKS, quirk
from marketdata.errors import (
    ExchangeNotSupportedError,
    closest,
    did_you_mean,
)
from marketdata.models import (
    Exchange,
)

if TYPE_CHECKING:
    from pathlib import Path


SourceFor: TypeAlias = Callable[[str, Sequence[str]], str | None]
"""Returns which of several timeframes another one can be resampled from."""


def check_known(name: str, served: dict[str, str] | None) -> None:
    """Raise `ExchangeNotSupportedError` unless an exchange has this name.

    ``served`` has the simulator's exchanges, if it is used.
    """
    if loader.is_exchange(name) if served is None else name in served:
        return
    if served is None:
        # Exchanges without spot markets are not suggested.
        alike = closest(name, loader.ids(), 8)
        near = [one for one in alike if serves_spot(loader.described(one))]
    else:
        near = closest(name, served, 8)
    near = near[:3]
    where = "ccxt has no exchange" if served is None else "The simulator has no exchange"
    raise ExchangeNotSupportedError(
        f"{where} '{name[:40]}'.{did_you_mean(near)} `exchanges` lists all.",
        details={"exchange": name[:40], "closest": near},
    )


def known(folder: Path, source_for: SourceFor) -> list[Exchange]:
    """Return all spot exchanges of the installed ccxt by id; the folder caches the result.

    ``source_for`` returns the timeframe from which another can be resampled.
    """
    # A description from another version, or without a new field, is outdated.
    ours = hashlib.sha256(repr([*Exchange.model_fields, QUIRKS]).encode()).hexdigest()
    version = f"{loader.version()} {ours}"
    return Catalogue(folder).exchanges(version, lambda: described(source_for))


def described(source_for: SourceFor) -> list[Exchange]:
    """Describe all spot exchanges of the installed ccxt by id; this takes seconds."""
    apis = [(name, loader.described(name)) for name in loader.ids()]
    return [
        capabilities.exchange(vars(api), quirk(name), source_for)
        for name, api in apis
        if serves_spot(api)
    ]


def serves_spot(api: Any) -> bool:
    # has["spot"] is None on some exchanges with only spot markets, and False on those with none.
    return bool(api.has.get("spot")) and bool(api.has.get("fetchMarkets"))
