"""Makes the numbers of a ticker cover the same time span and agree with each other.

Exchanges send numbers of the current day among those of 24 hours, 0 for a missing number, or
numbers older than the last price. In the result, low <= vwap <= high, low <= last <= high,
change = last - open, and percentage is change in percent of open, as rounded by the exchange.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, localcontext
from operator import itemgetter
from typing import Any, TypeAlias

from marketdata._exchanges.ticker_layouts import TickerLayout
from marketdata.errors import DataUnavailableError
from marketdata.models.decimals import (
    EXACT,
    as_given,
    decimal_or_nan,
    difference,
    exact,
    mean,
    quotient,
    rounded,
)

Values: TypeAlias = dict[str, float | None]

_FAR = 1 << 62
"""No time or count is larger; a larger number is checked as a Decimal."""

_PRICES = (
    *("last", "close", "bid", "ask", "open", "high", "low"),
    *("previous_close", "average", "vwap"),
)
_SIZES = ("bid_volume", "ask_volume", "base_volume", "quote_volume")
_prices, _sizes = itemgetter(*_PRICES), itemgetter(*_SIZES)
_PERCENT = Decimal("0.01")
"""Maximum error of a percentage that an exchange has rounded."""
_SURELY = 0.0099
"""The same maximum for comparing floats."""
_NOISE = Decimal("1e-9")
"""Maximum rounding error, relative to the price, of numbers that ccxt computes."""
_SAME = 1e-9
"""Maximum relative rounding error of a volume that was computed from the last price."""
_ROUNDED = 1e-6
"""Maximum relative error of an average price due to rounded volumes."""


def has_price(raw: Mapping[str, Any]) -> bool:
    """Return whether ccxt's ticker structure has any current price."""
    for name in ("last", "close", "bid", "ask"):  # noqa: SIM110 - half the time
        if is_positive(raw.get(name)):
            return True
    return False


def is_positive(value: float | None) -> bool:
    """Return whether a number can be a price."""
    return value is not None and math.isfinite(value) and value > 0


def is_untraded(raw: Any, market_id: str | None) -> bool:
    """Return whether a response without a price is a valid one of an untraded pair.

    A valid response has zeros as prices, or names the market.
    """
    found = raw.get("info") if isinstance(raw, Mapping) else None
    for value in found.values() if isinstance(found, dict) else found or ():
        if value is None or isinstance(value, bool | dict | list):
            continue
        if str(value) == market_id or decimal_or_nan(value) == 0:
            return True
    return False


def untraded(exchange: str, pair: str) -> DataUnavailableError:
    """Make the error for a pair that has no price yet."""
    return DataUnavailableError(
        f"{pair} has not been traded yet on {exchange}.",
        details={"exchange": exchange, "pair": pair},
    )


def open_time(info: Any, how: TickerLayout) -> datetime | None:
    """Return the start of the 24 hours; None if the exchange does not send it."""
    opened = _figure(info, how.open_time)
    if opened is None or opened <= 0:
        return None
    return datetime.fromtimestamp(int(opened) / (1 if how.seconds else 1000), UTC)


def trade_count(info: Any, how: TickerLayout) -> int | None:
    """Return the number of trades in the 24 hours; None if the exchange does not send it."""
    if how.trades_at is not None and isinstance(info, dict):
        row = info.get(str(how.trades))
        row = row if isinstance(row, list) else []
        info = {how.trades: next(iter(row[how.trades_at :]), None)}
    count = _figure(info, how.trades)
    return None if count is None or count < 0 else int(count)


def settle(values: Values, info: Any, how: TickerLayout) -> None:
    """Make the numbers of a ticker agree in place; numbers that cannot be right become None."""
    prices, sizes = _prices(values), _sizes(values)
    if None in prices or min(prices) <= 0:
        for name in _PRICES:
            value = values[name]
            if value is not None and not value > 0:
                values[name] = None
    if None in sizes or min(sizes) < 0:
        for name in _SIZES:
            value = values[name]
            if value is not None and not value >= 0:
                values[name] = None
    fall = values["percentage"]
    if fall is not None and not fall > -100:
        values["percentage"] = None
    for side in ("bid", "ask"):
        if values[side] is None:
            values[f"{side}_volume"] = None
    last = values["last"] if values["last"] is not None else values["close"]
    values["last"] = values["close"] = last
    if how.changes_prices:
        _read_what_is_declared(values, info, how)
    if not _agree(values):
        with localcontext(EXACT):
            _relate_open(values, own_average=how.average)
    _bound(values)


def _figure(info: Any, name: str | None) -> Decimal | int | None:
    """Return a time or a count; most are integers already."""
    value = info.get(name) if name is not None and isinstance(info, dict) else None
    return value if type(value) is int and value < _FAR else _raw(info, name)


def _raw(info: Any, name: str | None) -> Decimal | None:
    value = info.get(name) if name is not None and isinstance(info, dict) else None
    if value is None or isinstance(value, bool | dict | list):
        return None
    found = decimal_or_nan(value if isinstance(value, str) else str(value))
    return found if found.is_finite() else None


def _read_what_is_declared(values: Values, info: Any, how: TickerLayout) -> None:
    if not isinstance(info, dict):
        return
    is_other = False
    if how.only_with is None or how.only_with in info:
        for name, raw in how.other_span.items():
            if any(one in info for one in raw):
                values[name] = None
                is_other |= name in ("open", "change", "percentage")
    fraction = _raw(info, how.fraction)
    found = {
        "open": _raw(info, how.open),
        "change": _raw(info, how.change),
        "percentage": _raw(info, how.percentage)
        if fraction is None
        else EXACT.multiply(fraction, 100),
    }
    if is_other or any(value is not None for value in found.values()):
        # ccxt may have computed the others from it, so they are computed again.
        form = values["last"]
        for name, value in found.items():
            values[name] = None if value is None else as_given(value, form)
        if not how.average:
            values["average"] = None
    low = _raw(info, how.low)
    if low is not None and low > 0:
        values["low"] = as_given(low, values["last"])


def _agree(values: Values) -> bool:
    """Return whether all numbers that depend on open are known and correct, as they usually are."""
    last, opened = values["last"], values["open"]
    change, percentage = values["change"], values["percentage"]
    if last is None or not opened or change is None or percentage is None:
        return False
    if values["average"] is None:
        return False
    close, before, by = float(last), float(opened), float(change)
    return (
        abs(by - (close - before)) <= 1e-10 * close
        and abs(float(percentage) - 100 * by / before) <= _SURELY
    )


def _relate_open(values: Values, *, own_average: bool) -> None:
    last, opened = values["last"], values["open"]
    change, percentage = values["change"], values["percentage"]
    if last is None:
        return
    if opened is None and change is not None:
        opened = difference(last, change)
    elif opened is None and percentage is not None and percentage > -100:
        share = EXACT.add(1, EXACT.divide(exact(percentage), Decimal(100)))
        opened = rounded(quotient(exact(last), share), 8, last)
    if not is_positive(opened) or opened is None:
        values["open"] = values["change"] = None
        return
    of_both = difference(last, opened)
    if change is None or not abs(change - of_both) <= as_given(_NOISE, last) * last:
        change = of_both
    values["open"], values["change"] = opened, change
    hundredfold = EXACT.multiply(exact(change), 100)
    in_percent = rounded(quotient(hundredfold, exact(opened)), 8, opened)
    if percentage is None or not abs(percentage - in_percent) <= as_given(_PERCENT, in_percent):
        values["percentage"] = in_percent
    if values["average"] is None and not own_average:
        values["average"] = mean(last, opened)


def _bound(values: Values) -> None:
    low, high, last, vwap = values["low"], values["high"], values["last"], values["vwap"]
    if low is not None and high is not None and low > high:
        low = high = None
    if last is not None:
        # Low and high include the last trade.
        low = None if low is None else min(low, last)
        high = None if high is None else max(high, last)
    if vwap is not None and _is_volume_at_last(values) and (low is None or low != high):
        vwap = None  # ccxt divided two volumes of which one was computed from the last price
    if vwap is not None and high is not None and vwap > high:
        vwap = high if float(vwap) <= float(high) * (1 + _ROUNDED) else None
    if vwap is not None and low is not None and vwap < low:
        vwap = low if float(vwap) >= float(low) * (1 - _ROUNDED) else None
    values["low"], values["high"], values["vwap"] = low, high, vwap


def _is_volume_at_last(values: Values) -> bool:
    """Return whether the quote volume is the base volume times the last price."""
    base, quote, last = values["base_volume"], values["quote_volume"], values["last"]
    if base is None or quote is None or last is None:
        return False
    return abs(float(quote) - float(base) * float(last)) <= _SAME * float(quote)
