"""Which public call asks for what a recorded call of ccxt's asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import expected
import playback
from inside.exchanges import loader
from recorded import Case

from marketdata.arguments import MAX_DEPTH, MAX_TRADES

ONLY_ROLLING = "4h"
"""A window that is asked for where the recorded call named none: any but the plain ticker's."""


@dataclass(frozen=True)
class Call:
    """One public call, the bodies that answer its requests, and what it must give."""

    operation: str
    arguments: dict[str, Any]
    bodies: tuple[Any, ...]
    part: Callable[[Any], Any] = lambda parsed: parsed
    """What of ccxt's result it must give."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options that the connector starts with, where parameters of the recorded call chose what
    ccxt lets an option choose."""
    rounded: tuple[str, ...] = ()
    """Fields that ccxt rounds down to the pair's price step in this call, and does not in the
    one that was recorded."""


def unable(case: Case) -> str | None:
    """Tell why no public call can ask for what a case asked for; None where one can."""
    if case.disabled:
        return "disabled by its recorder"
    if case.method not in OPERATIONS:
        return "no public operation"
    if not loader.is_exchange(case.exchange):
        return f"ccxt {loader.version()} has no such exchange"
    if not playback.described(case.exchange).has.get("spot"):
        return "the exchange has no spot markets"
    if case.contract and not case.symbols:
        return "names no contract that could be refused"
    return None


def calls(case: Case) -> list[Call]:
    """Return the public calls that together ask for what a case asked for."""
    return _MAPPED[case.method](case)


def _arguments(case: Case, *names: str) -> dict[str, Any]:
    """Return the unified arguments that the recorded call was made with."""
    plain = [value for value in case.input if not isinstance(value, dict)]
    return {name: value for name, value in zip(names, plain) if value is not None}  # noqa: B905


def recorded_query(case: Case) -> dict[str, str]:
    """Return the query of the URL that was recorded."""
    return {name: values[0] for name, values in parse_qs(urlsplit(case.url or "").query).items()}


def _milliseconds(text: str) -> int | None:
    """Return a text as a time in Unix ms, of one in seconds too; None where it is no such time."""
    if not text.isdecimal() or len(text) not in (10, 13):
        return None
    return int(text) * (1000 if len(text) == 10 else 1)


def _ticker(case: Case) -> list[Call]:
    return [Call("ticker", _arguments(case, "pair"), case.bodies, options=_options(case))]


def _tickers(case: Case) -> list[Call]:
    if case.params.get("rolling"):
        # Rolling windows are asked for one pair at a time; the exchange answers with the entry.
        return [
            Call(
                "ticker",
                {"pair": pair, "window": case.params.get("windowSize", ONLY_ROLLING)},
                (entry,),
                part=lambda parsed, pair=pair: parsed[pair],
                rounded=("average",),
            )
            for pair, entry in zip(case.input[0], case.body, strict=True)
        ]
    return [
        Call("tickers", _arguments(case, "pairs"), case.bodies, options=_options(case)),
    ]


def _quotes(case: Case) -> list[Call]:
    return [Call("quotes", _arguments(case, "pairs"), case.bodies, options=_options(case))]


def _orderbook(case: Case) -> list[Call]:
    arguments = {"depth": MAX_DEPTH, **_arguments(case, "pair", "depth")}
    return [Call("orderbook", arguments, case.bodies, options=_options(case))]


def _candles(case: Case) -> list[Call]:
    arguments = _arguments(case, "pair", "timeframe", "start", "limit")
    until = case.params.get("until")
    times = [_milliseconds(text) for text in recorded_query(case).values()]
    last = max([one for one in times if one is not None], default=0)
    if until is not None:
        arguments["end"] = until + 1
    elif last > arguments.get("start", last):
        arguments["end"] = last + 1
    return [Call("candles", arguments, case.bodies, options=_options(case, "until"))]


def _trades(case: Case) -> list[Call]:
    arguments = {"limit": MAX_TRADES, **_arguments(case, "pair", "start", "limit")}
    first = case.bodies[0][0] if isinstance(case.bodies[0], list) and case.bodies[0] else {}
    if expected.merged(first):
        arguments["aggregate"] = True
    sent = {str(value) for value in first.values()} if isinstance(first, dict) else set()
    for text in recorded_query(case).values():
        if text.isdecimal() and text in sent:
            # The first trade is the one that was asked for by its id.
            arguments["from_id"] = int(text)
    return [Call("trades", arguments, case.bodies, options=_options(case))]


def _pairs(case: Case) -> list[Call]:
    return [Call("pairs", {}, case.bodies)]


def _fees(case: Case) -> list[Call]:
    return [Call("fees", _arguments(case, "pair"), case.bodies, options=_options(case))]


def _options(case: Case, *expressed: str) -> dict[str, Any]:
    """Return the parameters that no public argument expresses, for ccxt to find as options."""
    return {name: value for name, value in case.params.items() if name not in expressed}


_MAPPED: dict[str, Callable[[Case], list[Call]]] = {
    "fetchTicker": _ticker,
    "fetchTickers": _tickers,
    "fetchBidsAsks": _quotes,
    "fetchOrderBook": _orderbook,
    "fetchL2OrderBook": _orderbook,
    "fetchOHLCV": _candles,
    "fetchTrades": _trades,
    "fetchMarkets": _pairs,
    "fetchTradingFee": _fees,
    "fetchTradingFees": _fees,
}
OPERATIONS = {
    "fetchTicker": "ticker",
    "fetchTickers": "tickers",
    "fetchBidsAsks": "quotes",
    "fetchOrderBook": "orderbook",
    "fetchL2OrderBook": "orderbook",
    "fetchOHLCV": "candles",
    "fetchTrades": "trades",
    "fetchMarkets": "pairs",
    "fetchTradingFee": "fees",
    "fetchTradingFees": "fees",
    "fetchStatus": "status",
    "fetchTime": "status",
}
"""The public operation that a recorded call is about."""
STATUS = ("fetchTime", "fetchStatus")
"""Calls that one public call makes at once."""
