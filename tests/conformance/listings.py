"""The markets that a recorded case needs: recorded ones, or else made as ccxt makes them."""

import re
from collections.abc import Iterator
from typing import Any

import playback
from recorded import Case, Recordings


def markets(recordings: Recordings, case: Case) -> list[dict[str, Any]]:
    """Return the markets of a case, contracts included, as ``set_markets`` takes them.

    What the call names is there and active: somebody has recorded an answer about it. A pair that
    is not among the recorded markets is made from its name, its native id from the answer.
    """
    recorded = recordings.listed(case.exchange) or []
    known = {market["symbol"] for market in recorded}
    model = next((market for market in recorded if market.get("spot")), None)
    wanted = {
        **{pair: _native(pair, case) for pair in case.symbols if pair not in known},
        **{pair: native for pair, native in case.extra.items() if pair not in known},
    }
    return [
        {**market, "active": True} if market["symbol"] in case.symbols else market
        for market in recorded
    ] + [_made(case.exchange, pair, native, model) for pair, native in wanted.items()]


def spot_pair(recordings: Recordings, exchange: str) -> dict[str, Any]:
    """Return a spot market of an exchange, one that is made where none is recorded."""
    found = next((one for one in recordings.listed(exchange) or [] if one.get("spot")), None)
    return found or _made(exchange, "AAA/BBB", "AAABBB", None)


def _native(pair: str, case: Case) -> str:
    """Return the text of an answer that is a pair's two codes, either way round."""
    base, quote = pair.split(":")[0].split("/")
    for text in _texts(list(case.bodies)):
        if re.sub("[^A-Z0-9]", "", text.upper()) in (base + quote, quote + base):
            return text
    return base + quote


def _texts(body: Any) -> Iterator[str]:
    match body:
        case dict():
            for name, value in body.items():
                yield name
                yield from _texts(value)
        case list():
            for value in body:
                yield from _texts(value)
        case str():
            yield body


def _made(exchange: str, pair: str, native: str, model: dict[str, Any] | None) -> dict[str, Any]:
    base, quote = pair.split(":")[0].split("/")
    settle = pair.split(":")[1] if ":" in pair else None
    ids = (base, quote) if native.isupper() else (base.lower(), quote.lower())
    named = {
        "id": native,
        "lowercaseId": native.lower(),
        "symbol": pair,
        "base": base,
        "quote": quote,
        "baseId": ids[0],
        "quoteId": ids[1],
        "active": True,
        "precision": {"amount": None, "price": None},
        "info": {},
    }
    if settle is None and model is not None:
        return {**model, **named}
    kind = "spot" if settle is None else "swap"
    return dict(
        playback.described(exchange).safe_market_structure(
            {
                **named,
                "settle": settle,
                "settleId": settle,
                "type": kind,
                "spot": settle is None,
                "swap": settle is not None,
                "contract": settle is not None,
                "linear": None if settle is None else settle == quote,
                "inverse": None if settle is None else settle == base,
            }
        )
    )
