"""What a shell offers when the value of an option is to be completed."""

from __future__ import annotations

from collections.abc import Callable

from marketdata.errors import MarketDataError


def values_of(name: str, examples: tuple[str, ...]) -> Callable[[str], list[str]] | None:
    """Give what completes the value of a parameter: exchange ids, or its examples."""
    if name == "exchange":
        return exchange_ids
    if name == "exchanges":
        return lists_of_exchanges
    return among(examples) if examples else None


def among(values: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Give what completes one of some values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def exchange_ids(incomplete: str) -> list[str]:
    """Name the exchanges that begin so; none where the environment is not in order."""
    from marketdata.blocking import Client

    try:
        known = Client().exchanges()
    except MarketDataError:
        return []
    return [exchange.id for exchange in known if exchange.id.startswith(incomplete)]


def lists_of_exchanges(incomplete: str) -> list[str]:
    """Complete the last of some exchange ids with commas between them."""
    before, comma, last = incomplete.rpartition(",")
    return [before + comma + name for name in exchange_ids(last)]
