"""What our JSON must hold, worked out from ccxt's structures alone, without our normalising.

A value that ccxt has as None must be absent. Times are compared as datetimes: `datetimes` turns
those of an answer into what the functions here give.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from typing import Any

from marketdata._quirks import quirk

TICKER_FIELDS = (
    *("last", "bid", "ask", "bidVolume", "askVolume", "open", "high", "low", "close"),
    *("previousClose", "average", "vwap", "baseVolume", "quoteVolume", "change", "percentage"),
)
COUNT = {"binance": 8, "kraken": 7}
"""Where a candle on the wire has its number of trades."""


def datetimes(answer: Any) -> Any:
    """Give an answer with its ISO-8601 texts as datetimes; each must say that it is UTC."""
    times = ("timestamp", "receivedAt", "openTime", "start", "end")
    match answer:
        case dict():
            return {
                name: _datetime(value) if name in times else datetimes(value)
                for name, value in answer.items()
            }
        case list():
            return [datetimes(one) for one in answer]
    return answer


def _datetime(text: str) -> datetime:
    assert text.endswith("Z"), text
    return datetime.fromisoformat(text)


def moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def _present(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _sourced(exchange: str, time: int | None, received_at: datetime) -> dict[str, Any]:
    return {
        "exchange": exchange,
        "timestamp": received_at if time is None else moment(time),
        "receivedAt": received_at,
    }


def ticker(
    parsed: Mapping[str, Any], *, exchange: str, window: str, received_at: datetime
) -> dict[str, Any]:
    info = parsed["info"] if isinstance(parsed["info"], dict) else {}
    opened, count = info.get("openTime"), info.get("count")
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": parsed["symbol"],
        "window": window,
        "source": "ticker",
        **_present(
            openTime=None if opened is None else moment(int(opened)),
            trades=None if count is None else int(count),
            **{name: parsed[name] for name in TICKER_FIELDS},
        ),
    }


def orderbook(
    parsed: Mapping[str, Any], *, exchange: str, pair: str, depth: int, received_at: datetime
) -> dict[str, Any]:
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": pair,
        **_present(sequence=parsed["nonce"]),
        "bids": [row[:2] for row in parsed["bids"]][:depth],
        "asks": [row[:2] for row in parsed["asks"]][:depth],
    }


def quote(
    parsed: Mapping[str, Any], *, exchange: str, pair: str, received_at: datetime
) -> dict[str, Any]:
    """Give the quote that a book holds."""
    (bid, bid_volume, *_), (ask, ask_volume, *_) = parsed["bids"][0], parsed["asks"][0]
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": pair,
        "source": "orderbook",
        **_present(bid=bid, bidVolume=bid_volume, ask=ask, askVolume=ask_volume),
    }


def trades(
    parsed: Iterable[Mapping[str, Any]], *, exchange: str, pair: str, received_at: datetime
) -> list[dict[str, Any]]:
    return [
        {
            **_sourced(exchange, one["timestamp"], received_at),
            "pair": pair,
            **_present(**{name: one[name] for name in ("id", "price", "amount", "cost", "side")}),
            **_merged(one["info"]),
        }
        for one in parsed
    ]


def _merged(info: Any) -> dict[str, str]:
    if isinstance(info, dict) and "f" in info:
        return {"firstId": str(info["f"]), "lastId": str(info["l"])}
    return {}


def candles(
    parsed: Iterable[list[Any]],
    *,
    exchange: str,
    pair: str,
    timeframe: str,
    received_at: datetime,
    counts: Mapping[int, int],
    start: int | None = None,
    end: int | None = None,
    limit: int | None = None,
) -> dict[str, Any]:
    """Give the series of bars; ``counts`` has the number of trades of each that has one."""
    rows = [[*row, counts.get(row[0])] for row in parsed]
    times = [row[0] for row in rows]
    if limit is not None and len(times) == limit:
        end = times[-1] + 1  # as many as wanted: what follows is not missing
    cause = None  # nobody looks into the newest
    if start is not None:
        cause = "outage" if quirk(exchange).quiet_bars else "no_trades"
    return {
        **_sourced(exchange, None, received_at),
        "pair": pair,
        "timeframe": timeframe,
        "source": "candles",
        "forming": False,
        "missing": list(_holes(times, timeframe, start or times[0], end or times[-1] + 1, cause)),
        "candles": rows,
    }


def _holes(
    times: list[int], timeframe: str, start: int, end: int, cause: str | None
) -> Iterator[dict[str, Any]]:
    step = {"m": 60_000, "h": 3_600_000, "d": 86_400_000}[timeframe[-1]] * int(timeframe[:-1])
    there = set(times)
    hole: list[int] = []
    for opens in range(start + -start % step, end + step, step):
        if opens < end and opens not in there:
            hole.append(opens)
        elif hole:
            yield {
                "start": moment(hole[0]),
                "end": moment(hole[-1] + step),
                "bars": len(hole),
                # Of a time before all bars that it ever gave the exchange has none.
                **(
                    {}
                    if cause is None
                    else {"cause": cause if hole[0] > times[0] else "not_served"}
                ),
            }
            hole = []


def counts(exchange: str, body: Any) -> dict[int, int]:
    """Give the numbers of trades on the wire by opening time in ms, where it has them."""
    position = COUNT.get(exchange)
    if position is None:
        return {}
    if exchange == "kraken":
        series = next(rows for name, rows in body["result"].items() if name != "last")
        return {row[0] * 1000: int(row[position]) for row in series}
    return {int(row[0]): int(row[position]) for row in body}


def pairs(
    markets: Iterable[Mapping[str, Any]], *, exchange: str, ticks: bool, received_at: datetime
) -> list[dict[str, Any]]:
    """Give the pairs of markets as ``set_markets`` completes them.

    ``ticks`` says that precisions are steps, which all exchanges but one of the recorded have.
    """
    return [
        {
            "exchange": exchange,
            "pair": market["symbol"],
            "base": market["base"],
            "quote": market["quote"],
            **_present(
                priceTick=market["precision"]["price"] if ticks else None,
                amountStep=market["precision"]["amount"] if ticks else None,
                minAmount=market["limits"]["amount"]["min"],
                maxAmount=market["limits"]["amount"]["max"],
                minCost=market["limits"]["cost"]["min"],
                maker=market["maker"],
                taker=market["taker"],
            ),
            "receivedAt": received_at,
        }
        for market in sorted(markets, key=lambda market: market["symbol"].upper())
        if market["spot"] and market["active"]
    ]


# ---------------------------------------------------------------------------- numbers

DIRECT = {
    "ticker": ("last", "bid", "ask", "bidVolume", "askVolume", "high", "low", "baseVolume"),
    "quote": ("bid", "ask", "bidVolume", "askVolume"),
    "trades": ("price", "amount"),
}
DIRECT["tickers"] = DIRECT["ticker"]
"""Fields that hold what the exchange sent, on all exchanges; ccxt works others out of them."""

_FIFTEEN = Context(prec=15)


def digits(number: Any) -> str:
    """Give a number's decimal text up to 15 significant digits, sign and zeros at the end left out.

    A float counts as the text that it prints as.
    """
    text = number if isinstance(number, str) else repr(number)
    return str(_FIFTEEN.create_decimal(Decimal(text)).copy_abs().normalize(_FIFTEEN))


def digits_on_the_wire(body: Any) -> set[str]:
    """Give `digits` of every number in a body, in whatever form it was sent."""
    match body:
        case dict():
            return {found for value in body.values() for found in digits_on_the_wire(value)}
        case list():
            return {found for value in body for found in digits_on_the_wire(value)}
        case bool() | None:
            return set()
        case int() | float():
            return {digits(body)}
        case str():
            try:
                return {digits(body)} if body else set()
            except ArithmeticError:
                return set()
    raise TypeError(type(body))


def direct_numbers(operation: str, answer: dict[str, Any]) -> Iterator[float]:
    """Give the numbers of an answer that the exchange must have sent."""
    match operation:
        case "orderbook":
            yield from (number for row in answer["bids"] + answer["asks"] for number in row)
        case "candles":
            yield from (number for row in answer["candles"] for number in row[1:] if number)
        case _:
            yield from (answer[name] for name in DIRECT.get(operation, ()) if name in answer)
