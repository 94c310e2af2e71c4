"""Shell completion of the values of options."""

from __future__ import annotations

from collections.abc import Callable

from marketdata.errors import MarketDataError


def values_of(name: str, values: tuple[str, ...], many: bool) -> Callable[[str], list[str]] | None:
    """Return the completion of a parameter: exchange ids, or its values; several with commas."""
    complete: Callable[[str], list[str]]
    if name in ("exchange", "exchanges"):
        complete = exchange_ids
    elif values:
        complete = among(values)
    else:
        return None
    return listed(complete) if many else complete


def listed(complete: Callable[[str], list[str]]) -> Callable[[str], list[str]]:
    """Return a completion of the last of several values with commas between them."""

    def complete_last(incomplete: str) -> list[str]:
        before, comma, last = incomplete.rpartition(",")
        return [before + comma + value for value in complete(last)]

    return complete_last


def among(values: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Return a completion of one of the values."""

    def complete(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return complete


def exchange_ids(incomplete: str) -> list[str]:
    """Return the exchanges with this prefix; none if a variable of the environment is invalid."""
    from marketdata.clients import Client

    try:
        known = Client().exchanges()
    except MarketDataError:
        return []
    return [exchange.id for exchange in known if exchange.id.startswith(incomplete)]
