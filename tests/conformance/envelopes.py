"""Lists of pairs as exchanges send them, put together again from their recorded entries."""

import asyncio
from collections.abc import Iterator
from typing import Any

import playback


class _Asked(dict[str, Any]):
    """An answer without fields that notes which ones are looked for."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __missing__(self, name: str) -> Any:
        if isinstance(name, str) and name not in self.names:
            self.names.append(name)
        raise KeyError(name)


def envelope(exchange: str, spot: list[dict[str, Any]]) -> tuple[Any, Any] | None:
    """Return a list of pairs that ccxt reads as these markets of an exchange, and an empty one.

    Of the ways in which entries are wrapped: not at all, in a field of the answer that ccxt looks
    for, or in a field of that; as a list, or by their ids. None where it is none of these.
    """
    wanted = sorted(market["symbol"] for market in spot)
    for full, empty in _ways(exchange, spot):
        try:
            markets = asyncio.run(_read(exchange, full))
        except Exception:  # noqa: BLE001
            continue  # whatever ccxt stumbles over: it is another way
        if sorted({one["symbol"] for one in markets if one.get("spot")}) == wanted:
            return full, empty
    return None


def _ways(exchange: str, spot: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    entries: list[Any] = [market["info"] for market in spot]
    by_id = {market["id"]: market["info"] for market in spot}
    yield entries, []
    yield by_id, {}
    for name in _looked_for(exchange, None):
        yield {name: entries}, {name: []}
        yield {name: by_id}, {name: {}}
        for inner in _looked_for(exchange, name):
            yield {name: {inner: entries}}, {name: {inner: []}}


def _looked_for(exchange: str, within: str | None) -> list[str]:
    """Return the fields that ccxt looks for in an answer, or in a field of it."""
    asked = _Asked()

    class Spied(playback.plain_connector(exchange, playback.Playback())):  # type: ignore[misc]
        async def fetch(self, *request: Any, **more: Any) -> Any:
            return asked if within is None else {within: asked}

    async def look() -> None:
        api = Spied({"enableRateLimit": False})
        api.has["fetchCurrencies"] = False
        try:
            await api.fetch_markets()
        except Exception:  # noqa: BLE001
            pass  # an answer without fields is none; what it was asked for is known now
        finally:
            await api.close()

    asyncio.run(look())
    return asked.names


async def _read(exchange: str, body: Any) -> list[dict[str, Any]]:
    """Return what ccxt makes of a body, which answers all that it asks."""
    return list(
        await playback.plain_ccxt(
            exchange,
            playback.Playback(further=body),
            [],
            "fetchMarkets",
            options=spot_only(exchange),
            unmarked=True,
        )
    )


def spot_only(exchange: str) -> dict[str, Any]:
    """Return the options by which ccxt alone gives the spot markets of an exchange, if any do."""
    set_up = playback.described(exchange).options.get("fetchMarkets")
    types = set_up.get("types") if isinstance(set_up, dict) else set_up
    match types:
        case dict():
            return {"fetchMarkets": {"types": {kind: kind == "spot" for kind in types}}}
        case list():
            return {"fetchMarkets": {"types": ["spot"]}}
    return {}
