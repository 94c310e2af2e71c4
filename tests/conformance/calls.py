"""Which public call asks for what a recorded call of ccxt's asked for."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

from recorded import Case

from marketdata.arguments import MAX_DEPTH, MAX_TRADES

INEXPRESSIBLE: dict[str, str] = {}
"""Names of recorded spot cases that no public operation can ask for, and why."""


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


def calls(case: Case) -> list[Call]:
    """Give the public calls that together ask for what a case asked for."""
    return _MAPPED[case.method](case)


def operation(case: Case) -> str:
    """Give the public operation that a case is about."""
    return _OPERATIONS[case.method]


def _arguments(case: Case, *names: str) -> dict[str, Any]:
    """Give the unified arguments that the recorded call was made with."""
    plain = [value for value in case.input if not isinstance(value, dict)]
    return {name: value for name, value in zip(names, plain) if value is not None}  # noqa: B905


def _recorded_query(case: Case) -> dict[str, str]:
    """Give the query of the URL that was recorded."""
    return {name: values[0] for name, values in parse_qs(urlsplit(case.url or "").query).items()}


def _ticker(case: Case) -> list[Call]:
    return [Call("ticker", _arguments(case, "pair"), (case.body,), options=_options(case))]


def _tickers(case: Case) -> list[Call]:
    if case.params.get("rolling"):
        # Rolling windows are asked for one pair at a time; the exchange answers with the entry.
        return [
            Call(
                "ticker",
                {"pair": pair, "window": "4h"},
                (entry,),
                part=lambda parsed, pair=pair: parsed[pair],
                rounded=("average",),
            )
            for pair, entry in zip(case.input[0], case.body, strict=True)
        ]
    return [Call("tickers", _arguments(case, "pairs"), (case.body,))]


def _orderbook(case: Case) -> list[Call]:
    arguments = {"depth": MAX_DEPTH, **_arguments(case, "pair", "depth")}
    return [Call("orderbook", arguments, (case.body,), options=_options(case))]


def _candles(case: Case) -> list[Call]:
    arguments = _arguments(case, "pair", "timeframe", "start", "limit")
    if "endTime" in (asked := _recorded_query(case)):
        arguments["end"] = int(asked["endTime"]) + 1
    return [Call("candles", arguments, (case.body,))]


def _trades(case: Case) -> list[Call]:
    arguments = {"limit": MAX_TRADES, **_arguments(case, "pair", "start", "limit")}
    # The body is what tells: aggregated trades have the ids of their first and last.
    if isinstance(case.body, list) and "f" in case.body[0]:
        arguments["aggregate"] = True
    if "fromId" in (asked := _recorded_query(case)):
        arguments["from_id"] = int(asked["fromId"])
    return [Call("trades", arguments, (case.body,), options=_options(case))]


def _pairs(case: Case) -> list[Call]:
    return [Call("pairs", {}, (case.body,))]


def _options(case: Case) -> dict[str, Any]:
    return {name: value for name, value in case.params.items() if name in ("uta", "tradeType")}


_MAPPED: dict[str, Callable[[Case], list[Call]]] = {
    "fetchTicker": _ticker,
    "fetchTickers": _tickers,
    "fetchOrderBook": _orderbook,
    "fetchOHLCV": _candles,
    "fetchTrades": _trades,
    "fetchMarkets": _pairs,
}
_OPERATIONS = {
    "fetchTicker": "ticker",
    "fetchTickers": "tickers",
    "fetchOrderBook": "orderbook",
    "fetchOHLCV": "candles",
    "fetchTrades": "trades",
    "fetchMarkets": "pairs",
}
