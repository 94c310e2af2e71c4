"""What our JSON must hold, worked out from ccxt's structures alone, without our normalising.

A value that ccxt has as None must be absent. Times are compared as datetimes: `datetimes` turns
those of an answer into what the functions here give.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Context, Decimal
from itertools import pairwise
from typing import Any

from inside.exchanges import quirk

from marketdata._exchanges.currencies import RENAMED

TICKER_FIELDS = (
    *("last", "bid", "ask", "bidVolume", "askVolume", "open", "high", "low", "close"),
    *("previousClose", "average", "vwap", "baseVolume", "quoteVolume", "change", "percentage"),
)


def datetimes(answer: Any) -> Any:
    """Return an answer with its ISO-8601 texts as datetimes; each must say that it is UTC."""
    times = ("timestamp", "receivedAt", "openTime", "start", "end", "serverTime")
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
    fields = {name: parsed.get(name) for name in TICKER_FIELDS}
    if exchange == "kraken":
        # Its opening price is that of the day, beside figures of 24 hours.
        count = info["t"][1]
        fields |= dict.fromkeys(("open", "change", "percentage", "average"))
    elif exchange == "bitstamp" and "open_24" in info:
        last, before = Decimal(info["last"]), Decimal(info["open_24"])
        of_both, said = (last - before) / before * 100, Decimal(info["percent_change_24"])
        fields |= {
            "open": float(before),
            "change": float(last - before),
            # One recorded answer contradicts itself.
            "percentage": float(said if abs(said - of_both) <= Decimal("0.01") else of_both),
            "average": float((last + before) / 2),
        }
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": parsed["symbol"],
        "window": window,
        "source": "ticker",
        **_present(
            openTime=None if opened is None else moment(int(opened)),
            trades=None if count is None else int(count),
            **fields,
        ),
    }


def orderbook(
    parsed: Mapping[str, Any], *, exchange: str, pair: str, depth: int, received_at: datetime
) -> dict[str, Any]:
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": pair,
        **_present(sequence=parsed.get("nonce")),
        "bids": [row[:2] for row in parsed["bids"]][:depth],
        "asks": [row[:2] for row in parsed["asks"]][:depth],
    }


def quote(
    parsed: Mapping[str, Any], *, exchange: str, pair: str, received_at: datetime
) -> dict[str, Any]:
    """Return the quote that a book holds."""
    (bid, bid_volume, *_), (ask, ask_volume, *_) = parsed["bids"][0], parsed["asks"][0]
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": pair,
        "source": "orderbook",
        **_present(bid=bid, bidVolume=bid_volume, ask=ask, askVolume=ask_volume),
    }


def quote_of_ticker(
    parsed: Mapping[str, Any], *, exchange: str, pair: str, received_at: datetime
) -> dict[str, Any]:
    """Return the quote that ccxt's best bid and ask are."""
    names = ("bid", "bidVolume", "ask", "askVolume")
    return {
        **_sourced(exchange, parsed["timestamp"], received_at),
        "pair": pair,
        "source": "quote",
        **_present(**{name: parsed.get(name) for name in names}),
    }


def fees(
    parsed: Mapping[str, Any], *, exchange: str, pair: str, received_at: datetime
) -> dict[str, Any]:
    """Return the fees of an account, of ccxt's for one pair or for all."""
    own = parsed.get(pair, parsed)
    return {
        **_sourced(exchange, None, received_at),
        "pair": pair,
        "source": "account",
        **_present(maker=own["maker"], taker=own["taker"]),
    }


def trades(
    parsed: Iterable[Mapping[str, Any]], *, exchange: str, pair: str, received_at: datetime
) -> list[dict[str, Any]]:
    return [
        {
            **_sourced(exchange, one["timestamp"], received_at),
            "pair": pair,
            **_present(**{name: one[name] for name in ("id", "price", "amount", "cost", "side")}),
            **merged(one["info"]),
        }
        for one in parsed
    ]


def merged(sent: Any) -> dict[str, str]:
    """Return the ids of the first and last of the trades that one on the wire says it merges."""
    if isinstance(sent, dict) and all(sent.get(name) is not None for name in "afl"):
        return {"firstId": str(sent["f"]), "lastId": str(sent["l"])}
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
    """Return the series of bars; ``counts`` has the number of trades of each that has one."""
    rows = [[*row, counts.get(row[0])] for row in parsed]
    times = [row[0] for row in rows]
    said_back = {
        name: moment(time) for name, time in (("start", start), ("end", end)) if time is not None
    }
    if limit is not None and len(times) == limit:
        end = times[-1] + 1  # as many as wanted: what follows is not missing
    last = times[-1] + 1 if times else 0
    cause = None  # nobody looks into the newest
    if start is not None:
        cause = "outage" if quirk(exchange).quiet_bars else "no_trades"
    return {
        **_sourced(exchange, None, received_at),
        "pair": pair,
        "timeframe": timeframe,
        "source": "candles",
        "forming": False,
        "missing": list(
            _holes(times, timeframe, start or min(times, default=0), end or last, cause)
        ),
        "candles": rows,
        **said_back,
    }


_UNITS = {"s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def openings(times: list[int], timeframe: str, start: int, end: int) -> list[int]:
    """Return the times in a range at which bars open, on the grid that known bars stand on."""
    anchor = times[0] if times else 0
    if timeframe[-1] in _UNITS:
        step = _UNITS[timeframe[-1]] * int(timeframe[:-1])
        return list(range(anchor + -((anchor - start) // step) * step, end, step))
    months = int(timeframe[:-1]) * {"M": 1, "y": 12}[timeframe[-1]]
    first, opened = moment(anchor), []
    since = moment(start).year * 12
    for month in range(
        since + (first.year * 12 + first.month - 1 - since) % months, 119_988, months
    ):
        opens = first.replace(year=month // 12, month=month % 12 + 1)
        if (time := round(opens.timestamp() * 1000)) >= end:
            break
        if time >= start:
            opened.append(time)
    return opened


def _holes(
    times: list[int], timeframe: str, start: int, end: int, cause: str | None
) -> Iterator[dict[str, Any]]:
    # The last bar ends where one opens that is not in the range any more.
    bar = 366 * _UNITS["d"] if timeframe[-1] in "My" else _UNITS[timeframe[-1]]
    grid = openings(times, timeframe, start, end + bar * int(timeframe[:-1]))
    there = set(times)
    hole: list[int] = []
    for opens, closes in pairwise(grid):
        if opens >= end:
            break
        if opens not in there:
            hole.append(opens)
        if hole and (closes >= end or closes in there):
            yield {
                "start": moment(hole[0]),
                "end": moment(closes),
                "bars": len(hole),
                # Of a time before all bars that it ever gave the exchange has none.
                **(
                    {}
                    if cause is None
                    else {"cause": cause if times and hole[0] > times[0] else "not_served"}
                ),
            }
            hole = []


def counts(exchange: str, body: Any) -> dict[int, int]:
    """Return the numbers of trades on the wire by opening time in ms, where it has them.

    They are where the exchange's layout says; that a position which holds anything else is no
    number of trades shows in that there are some just where there is volume.
    """
    layout = quirk(exchange).candle_layout
    if layout is None or layout.trades is None:
        return {}
    rows = next(_tables(body), [])
    unit = 1000 if layout.seconds else 1
    told = {int(row[layout.time]) * unit: row[layout.trades] for row in rows}
    for row in rows:
        assert str(row[layout.trades]).isdecimal()
        assert (int(row[layout.trades]) > 0) is (float(row[layout.volume]) > 0)
    return {time: int(count) for time, count in told.items()}


def _tables(body: Any) -> Iterator[list[Any]]:
    """Yield the lists of lists in a body, whatever it is wrapped in."""
    match body:
        case dict():
            for value in body.values():
                yield from _tables(value)
        case [list(), *_]:
            yield body


def pairs(
    markets: Iterable[Mapping[str, Any]],
    *,
    exchange: str,
    step: Callable[[Any], float | None],
    received_at: datetime,
) -> list[dict[str, Any]]:
    """Return the pairs of markets as ``set_markets`` completes them.

    ``step`` makes a step of a precision as the exchange has it in ccxt.
    Tokens that were renamed since have their new names, unless the exchange lists those as well
    or ccxt asks it by the old ones.
    """
    spot = [market for market in markets if market["spot"]]
    listed = {market[side] for market in spot for side in ("base", "quote")}
    new = {old: now.code for old, now in RENAMED.items() if now.code not in listed}
    if quirk(exchange).asked_by_code:
        new = {}

    def named(market: Mapping[str, Any]) -> tuple[str, str]:
        return new.get(market["base"], market["base"]), new.get(market["quote"], market["quote"])

    return [
        {
            "exchange": exchange,
            "pair": "/".join(named(market)),
            "base": named(market)[0],
            "quote": named(market)[1],
            **_present(
                priceTick=step(market["precision"].get("price")),
                amountStep=step(market["precision"].get("amount")),
                minAmount=market["limits"].get("amount", {}).get("min"),
                maxAmount=market["limits"].get("amount", {}).get("max"),
                minCost=market["limits"].get("cost", {}).get("min"),
                maker=market.get("maker"),
                taker=market.get("taker"),
            ),
            "receivedAt": received_at,
        }
        for market in sorted(spot, key=lambda market: "/".join(named(market)).upper())
        if market.get("active") is not False
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
    """Return `digits` of every number in a body, in whatever form it was sent."""
    match body:
        case dict():
            return {found for value in body.values() for found in digits_on_the_wire(value)}
        case list():
            return {found for value in body for found in digits_on_the_wire(value)}
        case bool() | None:
            return set()
        case str() if body.startswith(("{", "[")):
            return digits_on_the_wire(json.loads(body))
        case int() | float():
            return {digits(body)}
        case str():
            try:
                return {digits(body)} if body else set()
            except ArithmeticError:
                return set()
    raise TypeError(type(body))


def direct_numbers(operation: str, answer: dict[str, Any]) -> Iterator[float]:
    """Yield the numbers of an answer that the exchange must have sent."""
    match operation:
        case "orderbook":
            yield from (number for row in answer["bids"] + answer["asks"] for number in row)
        case "candles":
            yield from (number for row in answer["candles"] for number in row[1:] if number)
        case _:
            yield from (answer[name] for name in DIRECT.get(operation, ()) if name in answer)
