"""Rules for every ticker and all fees, whatever an exchange sends."""

from __future__ import annotations

from decimal import Decimal

import marketdata as md
from marketdata.models import Record


def check_made(record: Record) -> None:
    """A record that was made without a check is what a check makes of it, types and all."""
    again = type(record).model_validate(vars(record))
    assert again == record
    assert list(vars(record)) == list(type(record).model_fields)
    assert [*map(type, vars(again).values())] == [*map(type, vars(record).values())]


def check_ticker(ticker: md.Ticker) -> None:
    """Raise AssertionError where the fields do not agree."""
    check_made(ticker)
    last, low, high = ticker.last, ticker.low, ticker.high
    assert ticker.close == last
    for name in ("last", "bid", "ask", "open", "high", "low", "vwap", "previous_close"):
        value = getattr(ticker, name)
        assert value is None or value > 0, name
    if last is not None:
        assert low is None or low <= last
        assert high is None or last <= high
    assert ticker.percentage is None or ticker.percentage > -100
    if ticker.vwap is not None:
        assert low is None or low <= ticker.vwap
        assert high is None or ticker.vwap <= high
    if ticker.open is not None and last is not None:
        opened, closed = Decimal(str(ticker.open)), Decimal(str(last))
        assert abs(Decimal(str(ticker.change)) - (closed - opened)) <= closed * Decimal("1e-8")
        in_percent = (closed - opened) / opened * 100
        assert abs(Decimal(str(ticker.percentage)) - in_percent) <= Decimal("0.010001")
    assert ticker.timestamp.year >= 2009
    assert ticker.open_time is None or ticker.open_time.year >= 2009


def check_quote(quote: md.Quote) -> None:
    """Raise AssertionError where a best price, or its size, cannot be."""
    assert quote.bid is not None or quote.ask is not None
    for price, size in ((quote.bid, quote.bid_volume), (quote.ask, quote.ask_volume)):
        assert price is None or price > 0
        assert size is None or (price is not None and size > 0)
    assert quote.timestamp.year >= 2009


def check_fees(fees: md.models.Fees) -> None:
    """Raise AssertionError where a public fee is no fraction that an exchange can mean."""
    for fee in (fees.maker, fees.taker):
        assert fee is None or -0.001 <= fee <= (0.012 if fees.exchange == "coinbase" else 0.01)
