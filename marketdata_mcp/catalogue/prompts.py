"""Prompts: frequent questions, with the tools to answer them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mcp import MCPError
from mcp_types import (
    INVALID_PARAMS,
    GetPromptResult,
    Prompt,
    PromptArgument,
    PromptMessage,
    TextContent,
)

from marketdata.arguments import instant, pair, timeframe
from marketdata.errors import MarketDataError, closest, did_you_mean
from marketdata.exchange_names import exchange_id

__all__ = ["PROMPTS", "listed", "written"]


@dataclass(frozen=True)
class _Argument:
    text: str
    check: Callable[[str], object]
    otherwise: str | None = None
    """The text if the argument is not given; None if it is required."""


@dataclass(frozen=True)
class _Prompt:
    title: str
    text: str
    arguments: Mapping[str, _Argument]
    template: str


def _exchanges(text: str) -> str:
    return ", ".join(exchange_id(part) for part in text.split(","))


def _time(text: str) -> str:
    instant(text)
    return text.strip()


def _percent(text: str) -> str:
    try:
        share = float(text.strip().removesuffix("%"))
    except ValueError:
        share = 0.0
    if not 0 < share < 1000:
        raise MCPError(INVALID_PARAMS, "percent is a number above 0, such as 2.")
    return f"{share:g}"


_PAIR = _Argument("Pair, e.g. BTC/USDT.", pair)
_EXCHANGE = _Argument("Exchange, e.g. kraken.", exchange_id, "the default exchange")

PROMPTS: Mapping[str, _Prompt] = {
    "brief": _Prompt(
        "Brief on a pair",
        "Price, trend, liquidity and spread of a pair, in a few lines.",
        {"pair": _PAIR, "exchange": _EXCHANGE},
        "Brief me on {pair} at {exchange}. Call get_ticker for the price and the change of a day, "
        "get_candles with timeframe 1d and limit 30 for the trend, and get_orderbook with depth 20 "
        "for spread and depth on both sides. Answer in at most eight lines: price and change, "
        "where it stands between the high and the low of the month, volume against its average, "
        "spread in percent, how much can be sold before the price falls by 0.1%. Say the exchange "
        "and the time of the data, and what was missing.",
    ),
    "compare": _Prompt(
        "Compare exchanges",
        "Where a pair is best bought and sold just now, after fees.",
        {
            "pair": _PAIR,
            "exchanges": _Argument("Exchanges, e.g. binance,kraken.", _exchanges, "the defaults"),
            "amount": _Argument("How much, in base currency.", str, "1"),
        },
        "Where is {pair} best bought and sold? Exchanges: {exchanges}. Call compare_exchanges, "
        "then get_execution_cost with amount {amount}, once with side buy and once with sell. "
        "Answer with a table of bid, ask, spread and volume by exchange, the best split of the "
        "amount either way with fees and slippage, and one sentence on who is best. A row with "
        "`code` failed: name it and leave it out.",
    ),
    "check_history": _Prompt(
        "Is the history complete?",
        "Whether an exchange has all candles of a pair since a date, and why some are missing.",
        {
            "pair": _PAIR,
            "start": _Argument("Since when, e.g. 2024-01-01 or -30d.", _time),
            "timeframe": _Argument("Length of a candle, e.g. 1h.", timeframe, "1h"),
            "exchange": _EXCHANGE,
        },
        "Is the history of {pair} at {exchange} complete since {start}? Call get_candles with "
        "timeframe {timeframe}, start {start} and columns time and close, and again with the "
        "arguments in `next` for as long as an answer has it. Add up `missing`: how many candles, "
        "between which times, by `cause` (no_trades: nobody traded; outage: the exchange did not "
        "work; not_served, not_fetched: they could not be had). Answer whether a backtest can rely "
        "on it, and what to fill.",
    ),
    "watch_move": _Prompt(
        "Watch for a move",
        "Follow a pair live and tell when its price has moved by so many percent.",
        {
            "pair": _PAIR,
            "percent": _Argument("By how much, e.g. 2.", _percent, "1"),
            "exchange": _EXCHANGE,
        },
        "Watch {pair} at {exchange} and tell me when it has moved by {percent}% from now. Call "
        "watch_start with kind ticker, take the first price that watch_read gives as the start, "
        "then call watch_read with wait true again and again. Each time compare the last price "
        "with the start. When it has moved by {percent}% or more, either way, say so with both "
        "prices, the time and the volume, and call watch_stop. If `stale` is true, say that the "
        "data do not arrive, and go on.",
    ),
}


def listed() -> list[Prompt]:
    """Return all prompts."""
    return [
        Prompt(
            name=name,
            title=one.title,
            description=one.text,
            arguments=[
                PromptArgument(
                    name=argument, description=told.text, required=told.otherwise is None
                )
                for argument, told in one.arguments.items()
            ],
        )
        for name, one in PROMPTS.items()
    ]


def written(name: str, given: Mapping[str, str]) -> GetPromptResult:
    """Return a prompt with its arguments; raises `MCPError` if one is missing or wrong."""
    prompt = PROMPTS.get(name)
    if prompt is None:
        near = did_you_mean(closest(name[:60], PROMPTS))
        raise MCPError(INVALID_PARAMS, f"There is no prompt '{name[:60]}'.{near}")
    unknown = [one for one in given if one not in prompt.arguments]
    if unknown:
        there = ", ".join(prompt.arguments)
        raise MCPError(
            INVALID_PARAMS, f"{name} has no argument '{unknown[0][:60]}'; it has {there}."
        )
    values = {
        argument: _value(name, argument, told, given.get(argument, ""))
        for argument, told in prompt.arguments.items()
    }
    text = prompt.template.format(**values)
    message = PromptMessage(role="user", content=TextContent(type="text", text=text))
    return GetPromptResult(description=prompt.text, messages=[message])


def _value(prompt: str, name: str, told: _Argument, text: str) -> object:
    if not text.strip():
        if told.otherwise is None:
            raise MCPError(INVALID_PARAMS, f"{prompt} needs '{name}'.")
        return told.otherwise
    if len(text) > 200 or not text.isprintable():
        raise MCPError(INVALID_PARAMS, f"{name} is a text of at most 200 characters, in one line.")
    try:
        return told.check(text)
    except MarketDataError as error:
        raise MCPError(INVALID_PARAMS, error.message) from None
