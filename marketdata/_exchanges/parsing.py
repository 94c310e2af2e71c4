"""Pure functions from ccxt's dicts to records.

Impossible values (no price, an infinite price, a time before 1970) raise ValueError, TypeError or
ArithmeticError, which `Venue` treats as an unusable response. Other invalid numbers become None, as
if they had not been sent.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import chain, islice
from typing import Any, Literal, TypeVar

from marketdata._exchanges import tickers
from marketdata._exchanges.quirks import Quirk, quirk
from marketdata._exchanges.ticker_layouts import layout
from marketdata.errors import DataUnavailableError, UpstreamError
from marketdata.models import (
    Columns,
    Fees,
    FeeTier,
    OrderBook,
    Pair,
    Quote,
    Status,
    Ticker,
    Trade,
)
from marketdata.models.decimals import EXACT, are_finite, as_given, as_number, exact, total

Made = TypeVar("Made", Pair, Fees, FeeTier)


class NoPriceError(ValueError):
    """A ticker has no price."""


_TICKER_FIELDS = {
    "last": "last",
    "bid": "bid",
    "ask": "ask",
    "bid_volume": "bidVolume",
    "ask_volume": "askVolume",
    "open": "open",
    "high": "high",
    "low": "low",
    "close": "close",
    "previous_close": "previousClose",
    "average": "average",
    "vwap": "vwap",
    "base_volume": "baseVolume",
    "quote_volume": "quoteVolume",
    "change": "change",
    "percentage": "percentage",
}

_of_ticker = operator.itemgetter(*_TICKER_FIELDS.values())
_BLANK_TICKER: dict[str, Any] = dict.fromkeys(Ticker.model_fields)

_FAR_FUTURE = 253_402_300_800_000
"""The end of the year 9999, the latest datetime, in Unix milliseconds."""


def _number(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return float(value) if isinstance(value, int) else value


_FLOATS = frozenset({float, type(None)})


def _ticker_numbers(raw: Mapping[str, Any]) -> Iterable[float | None]:
    found: tuple[float | None, ...]
    try:
        found = _of_ticker(raw)
    except KeyError:
        found = tuple(map(raw.get, _TICKER_FIELDS.values()))
    # The types and one sum show quickly whether all are finite floats, as they usually are.
    if _FLOATS.issuperset(map(type, found)) and math.isfinite(sum(filter(None, found))):
        return found
    return map(_number, found)


def _check(value: float) -> float:
    if not math.isfinite(value):
        raise ValueError("not a number")
    return value


def printable(text: Any) -> Any:
    """Return an exchange's text, or None if it has unprintable characters."""
    return None if isinstance(text, str) and not text.isprintable() else text


def moment(milliseconds: float | None, otherwise: datetime) -> datetime:
    """Return Unix milliseconds as a datetime; the second argument if there are none.

    Exchanges send 0 or less if they have no time.
    """
    if milliseconds is None or milliseconds <= 0:
        return otherwise
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def ticker(
    raw: Mapping[str, Any],
    *,
    exchange: str,
    pair: str,
    window: str,
    received_at: datetime,
    simulated: bool,
) -> Ticker:
    """Make a ticker of ccxt's ticker structure.

    Raises `NoPriceError` where it has no price.
    """
    if not tickers.has_price(raw):
        raise NoPriceError("a ticker without a price")
    how, info = layout(exchange), raw.get("info")
    fields = {
        **_BLANK_TICKER,
        "exchange": exchange,
        "pair": pair,
        "timestamp": moment(raw["timestamp"], received_at),
        "received_at": received_at,
        "simulated": True if simulated else None,
        "window": window,
        "source": "ticker",
        "open_time": tickers.open_time(info, how),
        "trades": tickers.trade_count(info, how),
    }
    fields.update(zip(_TICKER_FIELDS, _ticker_numbers(raw), strict=True))
    tickers.settle(fields, info, how)
    return Ticker.trusted(fields)


def quote(
    raw: Mapping[str, Any],
    *,
    exchange: str,
    pair: str,
    source: str,
    received_at: datetime,
    simulated: bool,
) -> Quote:
    """Make a quote of the best bid and ask in ccxt's ticker structure."""
    return Quote.model_validate(
        {
            "exchange": exchange,
            "pair": pair,
            "timestamp": moment(raw["timestamp"], received_at),
            "received_at": received_at,
            "simulated": True if simulated else None,
            "source": source,
            **_best_side(raw, "bid"),
            **_best_side(raw, "ask"),
        }
    )


def unreachable(exchange: str, error: UpstreamError) -> Status:
    """Make the status of an exchange from the error of a call to it."""
    now = datetime.now(UTC)
    return Status(
        exchange=exchange,
        timestamp=now,
        received_at=now,
        reachable=False,
        code=error.code,
        reason=error.details.get("reason"),
    )


def has_best(raw: Mapping[str, Any]) -> bool:
    """Return whether ccxt's ticker structure holds a best bid or ask."""
    return tickers.is_positive(raw.get("bid")) or tickers.is_positive(raw.get("ask"))


def _best_side(raw: Mapping[str, Any], side: str) -> dict[str, float | None]:
    price, size = raw.get(side), raw.get(f"{side}Volume")
    if not tickers.is_positive(price):
        price = size = None
    return {side: price, f"{side}_volume": size if tickers.is_positive(size) else None}


def quote_of_book(book: OrderBook) -> Quote:
    """Make a quote of the best levels of a book."""
    none = None, None
    return _quote_of(book, "orderbook", (*(book.best_bid or none), *(book.best_ask or none)))


def quote_of_ticker(ticker: Ticker) -> Quote:
    """Make a quote of the best prices in a ticker.

    Raises `DataUnavailableError` where it has none.
    """
    if ticker.bid is None and ticker.ask is None:
        raise DataUnavailableError(
            f"{ticker.exchange} has no best bid and ask of {ticker.pair}.",
            details={"exchange": ticker.exchange, "pair": ticker.pair},
        )
    best = ticker.bid, ticker.bid_volume, ticker.ask, ticker.ask_volume
    return _quote_of(ticker, "ticker", best).as_derived()


def _quote_of(
    answer: OrderBook | Ticker,
    source: Literal["orderbook", "ticker"],
    best: Sequence[float | None],
) -> Quote:
    """Make a quote of another record's bid and ask with sizes."""
    bid, bid_volume, ask, ask_volume = best
    return Quote(
        exchange=answer.exchange,
        pair=answer.pair,
        timestamp=answer.timestamp,
        received_at=answer.received_at,
        simulated=answer.simulated,
        source=source,
        bid=bid,
        bid_volume=bid_volume,
        ask=ask,
        ask_volume=ask_volume,
    )


def orderbook(
    raw: Mapping[str, Any],
    *,
    exchange: str,
    pair: str,
    depth: int,
    received_at: datetime,
    simulated: bool,
) -> OrderBook:
    """Make an order book of ccxt's structure, cut to a depth.

    Levels of size 0 are left out, and sizes at the same price are added. Sides may be empty.
    """
    return OrderBook.model_validate(
        {
            "exchange": exchange,
            "pair": pair,
            "timestamp": moment(raw["timestamp"], received_at),
            "received_at": received_at,
            "simulated": True if simulated else None,
            "sequence": raw.get("nonce"),
            "bids": _levels(raw["bids"], operator.gt)[:depth],
            "asks": _levels(raw["asks"], operator.lt)[:depth],
        }
    )


def _levels(
    rows: Sequence[Sequence[float]], is_better: Callable[[Any, Any], bool]
) -> Sequence[Sequence[float]]:
    """Return the levels of a side, best first, each price once, with a size.

    ``is_better`` tells whether one price comes before another.
    """
    if not rows:
        return rows
    if len(rows[0]) != 2:
        # Some exchanges add the number of orders or the time of the level.
        rows = [row[:2] for row in rows]
    if not are_finite(chain.from_iterable(rows)):
        raise ValueError("not a number")
    prices, sizes = zip(*rows, strict=True)
    in_order = all(map(is_better, prices, islice(prices, 1, None)))
    if in_order and min(sizes) > 0 and min(prices) > 0:
        return rows
    at: dict[float, list[float]] = {}
    for price, size in rows:
        if price > 0 and size > 0:
            # An exchange that sends single orders has several at one price.
            at.setdefault(price, []).append(size)
    return [
        (price, at[price][0] if len(at[price]) == 1 else as_given(total(at[price]), price))
        for price in sorted(at, reverse=is_better is operator.gt)
    ]


def columns(raw: Columns | Sequence[Sequence[Any]], *, finite: bool = True) -> Columns:
    """Make columns of ccxt's candle rows, unless they are columns already.

    Raises ValueError for an impossible time and, with ``finite``, for infinite numbers.
    """
    made = raw if isinstance(raw, Columns) else Columns.from_rows(raw)
    if finite:
        for prices in (made.open, made.high, made.low, made.close):
            if not are_finite(prices):
                raise ValueError("not a number")
        if math.inf in made.volume or -math.inf in made.volume:
            raise ValueError("infinite volume")
    if len(made) and not 0 <= min(made.time) <= max(made.time) < _FAR_FUTURE:
        raise ValueError("time out of range")
    return made


def is_trade(raw: Any) -> bool:
    """Return whether ccxt's trade structure has a price and an amount."""
    return (
        isinstance(raw, Mapping)
        and tickers.is_positive(raw.get("price"))
        and tickers.is_positive(raw.get("amount"))
    )


def trades(
    raw: Iterable[Mapping[str, Any]],
    *,
    seconds_at: int | None = None,
    exchange: str,
    pair: str,
    received_at: datetime,
    simulated: bool,
) -> list[Trade]:
    """Make trades of ccxt's trade structures, oldest first.

    ``seconds_at`` is the position of a time in seconds in the exchange's own format: a float that
    may be up to a microsecond below the intended millisecond.
    """

    merged = quirk(exchange).aggregated_ids

    def time(one: Mapping[str, Any]) -> float | None:
        if seconds_at is None:
            return one["timestamp"]  # type: ignore[no-any-return]
        seconds = exact(one["info"][seconds_at])
        return int(EXACT.fma(seconds, 1000, Decimal("0.001")))

    made = [
        Trade.model_validate(
            {
                "exchange": exchange,
                "pair": pair,
                "timestamp": moment(time(one), received_at),
                "received_at": received_at,
                "simulated": True if simulated else None,
                "id": printable(one.get("id")),
                "price": _check(one["price"]),
                "amount": _check(one["amount"]),
                "cost": _cost(one),
                "side": one.get("side"),
                **(_merged_ids(one.get("info")) if merged else {}),
            }
        )
        for one in raw
    ]
    return sorted(made, key=_trade_order)


_CENT = 0.01
"""Maximum relative error of a trade's cost due to rounding."""


def _cost(raw: Mapping[str, Any]) -> float | None:
    """Return the cost of a trade: as sent, unless it contradicts price and amount."""
    cost: float | None = _number(raw.get("cost"))
    if cost is None:
        return None
    price: float = raw["price"]
    amount: float = raw["amount"]
    worth = float(price) * float(amount)
    if abs(float(cost) - worth) <= _CENT * worth:
        return cost
    product: float = as_given(EXACT.multiply(exact(price), exact(amount)), price)
    return product


def _merged_ids(info: Any) -> dict[str, str | None]:
    # Binance's format of an aggregated trade; exchanges that copied it may omit the ids.
    ids = info if isinstance(info, dict) else {}
    if None not in (ids.get("a"), ids.get("f"), ids.get("l")):
        return {
            "first_id": printable(str(ids["f"])),
            "last_id": printable(str(ids["l"])),
        }
    return {}


def _trade_order(trade: Trade) -> tuple[datetime, int]:
    return trade.timestamp, int(trade.id) if trade.id and trade.id.isdigit() else 0


def merge_fills(single: Iterable[Trade]) -> list[Trade]:
    """Merge neighbouring trades of the same time, price and side.

    A merged trade has the id of its first trade.
    """
    merged: list[Trade] = []
    for trade in single:
        last = merged[-1] if merged else None
        if last is not None and (last.timestamp, last.price, last.side) == (
            trade.timestamp,
            trade.price,
            trade.side,
        ):
            cost = None
            if last.cost is not None and trade.cost is not None:
                cost = _sum(last.cost, trade.cost)
            merged[-1] = last.model_copy(
                update={
                    "amount": _sum(last.amount, trade.amount),
                    "cost": cost,
                    "last_id": trade.id,
                }
            )
        else:
            merged.append(trade.model_copy(update={"first_id": trade.id, "last_id": trade.id}))
    return merged


def _sum(first: float, second: float) -> float:
    return as_given(EXACT.add(exact(first), exact(second)), first, second)


def pair(
    raw: Mapping[str, Any],
    *,
    exchange: str,
    received_at: datetime,
    simulated: bool,
    price_tick: float | None,
    amount_step: float | None,
    fees: Mapping[str, Any],
) -> Pair:
    """Make a pair of ccxt's market structure."""
    limits = raw.get("limits") or {}
    amount, cost = limits.get("amount") or {}, limits.get("cost") or {}
    maker, taker = public_fees(exchange, raw, fees)
    return Pair(
        exchange=exchange,
        pair=raw["symbol"],
        base=raw["base"],
        quote=raw["quote"],
        price_tick=_number(price_tick),
        amount_step=_number(amount_step),
        min_amount=_number(amount.get("min")),
        halted=True if raw.get("active") is False else None,
        max_amount=_number(amount.get("max")),
        min_cost=_number(cost.get("min")),
        maker=maker,
        taker=taker,
        received_at=received_at,
        simulated=True if simulated else None,
    )


def public_fees(
    exchange: str, raw: Mapping[str, Any], fees: Mapping[str, Any]
) -> tuple[float | None, float | None]:
    """Return the maker and taker fee of ccxt's market, or else of the exchange, as fractions.

    None if there is none, or if it is higher than any exchange's fee.
    """
    special = quirk(exchange)
    maker, taker = (
        _first(
            _scaled(raw.get(side), special.pair_fee_scale),
            _scaled(fees.get(side), special.fee_scale),
        )
        for side in ("maker", "taker")
    )
    return _believable(maker, special), _believable(taker, special)


_LOWEST_FEE = -0.001
"""The lowest believable fee: a rebate."""


def _scaled(value: Any, scale: str) -> Any:
    # ccxt has a list of tiers here for some exchanges, in percent and not as fractions.
    if value is None or isinstance(value, list) or scale == "1":
        return value
    return float(EXACT.multiply(exact(value), Decimal(scale)))


def _believable(fee: float | None, special: Quirk) -> float | None:
    fee = _number(fee)
    if fee is None or special.fees_unknown or not _LOWEST_FEE <= fee <= special.highest_fee:
        return None
    return fee


def fees(
    raw: Mapping[str, Any],
    *,
    exchange: str,
    pair: str,
    source: str,
    received_at: datetime,
    simulated: bool,
    otherwise: Mapping[str, Any],
) -> Fees:
    """Make fees of ccxt's market or fee structure, or else of those of the whole exchange.

    Raises ValueError if an account has no fee.
    """
    tiers, special = None, quirk(exchange)
    if source == "account":
        maker, taker = (
            _number(_first(_scaled(raw.get(side), special.pair_fee_scale)))
            for side in ("maker", "taker")
        )
    else:
        maker, taker = public_fees(exchange, raw, otherwise)
        known = tuple(_tiers(otherwise.get("tiers") or {}, special.fee_scale))
        tiers = known if known and (known[0].maker, known[0].taker) == (maker, taker) else None
    if source == "account" and maker is None and taker is None:
        raise ValueError("no fee")
    return Fees.model_validate(
        {
            "exchange": exchange,
            "pair": pair,
            "timestamp": received_at,
            "received_at": received_at,
            "simulated": True if simulated else None,
            "source": source,
            "maker": maker,
            "taker": taker,
            "tiers": tiers,
        }
    )


def _tiers(sides: Any, scale: str) -> Iterable[FeeTier]:
    """Combine maker and taker of ccxt's tiers by volume."""
    if isinstance(sides, list):
        sides = sides[0]
    maker, taker = (
        {float(volume): float(_scaled(fee, scale)) for volume, fee in sides.get(side) or ()}
        for side in ("maker", "taker")
    )
    for volume in sorted(maker.keys() | taker.keys()):
        yield FeeTier(volume=volume, maker=maker.get(volume), taker=taker.get(volume))


def in_decimal(value: float) -> float:
    """Return the Decimal that a float was written as, up to 15 digits."""
    found = exact(value)
    return as_given(found, as_number(found))


def in_decimals(made: Made) -> Made:
    """Return rules or fees with Decimals instead of the floats of the list of pairs."""
    floats = {name: value for name, value in vars(made).items() if isinstance(value, float)}
    update: dict[str, Any] = {name: in_decimal(value) for name, value in floats.items()}
    if isinstance(made, Fees) and made.tiers is not None:
        update["tiers"] = tuple(map(in_decimals, made.tiers))
    return made.model_copy(update=update)


def _first(*values: float | list[Any] | None) -> float | None:
    # ccxt has a list of tiers here for some exchanges, in percent and not as fractions.
    return next((one for one in values if one is not None and not isinstance(one, list)), None)
