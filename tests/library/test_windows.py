"""Tickers over a rolling window or the trading day: the exchange's own, or from its candles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange
from marketdata.sim.markets.bars import DAY, HOUR, MINUTE

from .conftest import Factory
from .markets import COUNTS_TRADES, DIALECTS, NOW, market, minutes, ms, number, record, when

LENGTHS = {"15m": 15 * MINUTE, "1h": HOUR, "4h": 4 * HOUR, "7d": 7 * DAY}


@cache
def truth(exchange: str, start: int, pair: str = "BTC/USDT") -> Mapping[str, Any]:
    """Return the totals of the trades from a time until now."""
    of = market(exchange, pair)
    trades = list(of.forwards(ms(NOW), ms=start))
    prices = [trade.price for trade in trades]
    return {
        "open": number(prices[0], of.price_scale),
        "high": number(max(prices), of.price_scale),
        "low": number(min(prices), of.price_scale),
        "close": number(prices[-1], of.price_scale),
        "base_volume": number(sum(trade.amount for trade in trades), of.amount_scale),
        "trades": len(trades),
    }


def told(ticker: md.Ticker, *fields: str) -> dict[str, Any]:
    return {name: getattr(ticker, name) for name in fields}


@pytest.mark.parametrize("window", ["15m", "1h", "4h"])
def test_binance_has_its_own_rolling_windows(client: md.Client, window: str) -> None:
    ticker = client.ticker("BTC/USDT", window=window)
    start = ms(NOW) - LENGTHS[window]
    start -= start % MINUTE
    sums = truth("binance", start)

    assert (ticker.window, ticker.source) == (window, "ticker")
    assert ticker.open_time == when(start)
    assert told(ticker, *sums) == sums
    assert ticker.last == ticker.close
    assert ticker.change == pytest.approx(sums["close"] - sums["open"], abs=1e-9)
    assert ticker.vwap is not None
    assert sums["low"] <= ticker.vwap <= sums["high"]


@pytest.mark.parametrize("exchange", ["kraken", "coinbaseexchange", "okx"])
@pytest.mark.parametrize("window", ["15m", "1h", "4h"])
def test_other_exchanges_use_candles(client: md.Client, exchange: str, window: str) -> None:
    ticker = client.ticker("BTC/USDT", window=window, exchange=exchange)
    # Candles begin on the minute, so that the window may be up to a minute longer.
    start = ms(NOW) - LENGTHS[window]
    start -= start % MINUTE
    sums = dict(truth(exchange, start))
    if exchange not in COUNTS_TRADES:
        del sums["trades"]
        assert ticker.trades is None

    assert (ticker.window, ticker.source) == (window, "candles")
    assert ticker.open_time == when(start)
    assert told(ticker, *sums) == sums
    assert (ticker.bid, ticker.ask) == (None, None)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_trading_day_starts_at_midnight(client: md.Client, exchange: str) -> None:
    ticker = client.ticker("BTC/USDT", window="day", exchange=exchange)
    midnight = NOW.replace(hour=0, minute=0, second=0)
    sums = dict(truth(exchange, ms(midnight)))
    if exchange not in COUNTS_TRADES:
        del sums["trades"]

    assert ticker.window == "day"
    assert ticker.source == ("ticker" if exchange == "binance" else "candles")
    assert ticker.open_time == midnight
    assert told(ticker, *sums) == sums


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_default_is_the_exchanges_own_day(client: md.Client, exchange: str) -> None:
    ticker = client.ticker("BTC/USDT", exchange=exchange)
    of = market(exchange)
    whole = of.window(ms(NOW) - DAY, ms(NOW))
    assert whole is not None

    assert (ticker.window, ticker.source) == ("24h", "ticker")
    assert ticker.last == number(whole.close, of.price_scale)
    assert ticker.base_volume == number(whole.volume, of.amount_scale)
    if exchange != "coinbaseexchange":  # which has them in another endpoint
        assert ticker.high == number(whole.high, of.price_scale)
        assert ticker.low == number(whole.low, of.price_scale)


@pytest.mark.parametrize("window", ["24h", "1d"])
def test_a_day_in_any_form_is_the_default(
    client: md.Client, sim: SimulatedExchange, window: str
) -> None:
    ticker = client.ticker("BTC/USDT", window=window)

    assert ticker.window == "24h"
    assert sim.requests[-1].path.endswith("/24hr")


def test_a_week_is_made_of_longer_candles(client: md.Client, sim: SimulatedExchange) -> None:
    ticker = client.ticker("BTC/USDT", window="7d", exchange="kraken")

    assert sim.requests[-1].query["interval"] == "15"
    start = ms(NOW) - 7 * DAY
    assert ticker.open_time == when(start - start % (15 * MINUTE))


def test_native_and_candle_windows_of_one_market_agree(tmp_path: Any, connect: Factory) -> None:
    rows = minutes("2024-03-01", "2024-03-01T10:00")
    tapes = [record(tmp_path, rows, f"{name}_BTC_USDT-1m.csv") for name in DIALECTS]
    with SimulatedExchange(tape=tapes) as sim:
        client = connect(sim)
        tickers = {
            (name, window): client.ticker("BTC/USDT", window=window, exchange=name)
            for name in DIALECTS
            for window in ("4h", "day")
        }
    for window in ("4h", "day"):
        fields = ("open", "high", "low", "close", "last", "base_volume", "change")
        answers = [told(tickers[name, window], *fields) for name in DIALECTS]
        assert answers[1:] == answers[:-1], window
        assert {tickers[name, window].open_time for name in DIALECTS} == {
            when(ms("2024-03-01T06:00" if window == "4h" else "2024-03-01"))
        }


@pytest.mark.parametrize("exchange", ["kraken", "coinbaseexchange", "okx"])
@pytest.mark.parametrize("window", ["1h", "day"])
def test_a_window_without_trades_says_so(
    tmp_path: Any, connect: Factory, exchange: str, window: str
) -> None:
    path = record(
        tmp_path, minutes("2024-03-01", "2024-03-01T10:00"), f"{exchange}_BTC_USDT-1m.csv"
    )
    with (
        SimulatedExchange(tape=path, now=NOW, frozen=True) as sim,
        pytest.raises(md.DataUnavailableError) as caught,
    ):
        connect(sim, exchange).ticker("BTC/USDT", window=window)

    assert "Nothing was traded" in str(caught.value)
    assert caught.value.details["window"] == window


def test_a_window_without_trades_on_binance_has_the_last_price(
    tmp_path: Any, connect: Factory
) -> None:
    path = record(tmp_path, minutes("2024-03-01", "2024-03-01T10:00"))
    with SimulatedExchange(tape=path, now=NOW, frozen=True) as sim:
        ticker = connect(sim).ticker("BTC/USDT", window="1h")

    assert (ticker.base_volume, ticker.trades) == (0.0, 0)
    assert ticker.last is not None


@pytest.mark.parametrize("exchange", ["kraken", "coinbaseexchange", "okx"])
def test_a_rarely_traded_pair_takes_one_request_too(
    client: md.Client, sim: SimulatedExchange, exchange: str
) -> None:
    client.pairs(exchange=exchange)
    sim.forget()
    ticker = client.ticker("LTC/BTC", window="4h", exchange=exchange)

    start = ms(NOW) - 4 * HOUR
    start -= start % MINUTE
    assert ticker.base_volume == truth(exchange, start, "LTC/BTC")["base_volume"]
    assert ticker.open_time == when(start)
    assert len(sim.requests) == 1


def test_differences_have_no_binary_noise(client: md.Client) -> None:
    ticker = client.ticker("BTC/USDT", window="1h", exchange="kraken")

    assert ticker.change is not None
    assert len(repr(ticker.change).partition(".")[2]) <= 1  # prices have one decimal
    assert ticker.average is not None
    assert len(repr(ticker.average).partition(".")[2]) <= 2


def test_the_identities_of_a_ticker(client: md.Client) -> None:
    for exchange in DIALECTS:
        for window in ("24h", "4h", "day"):
            one = client.ticker("BTC/USDT", exchange=exchange, window=window)
            assert one.close == one.last
            if one.open is None or one.last is None:
                continue
            assert one.change == pytest.approx(one.last - one.open, abs=1e-6)
            # Percent, not a fraction. Binance rounds it to three places.
            assert one.percentage == pytest.approx(one.change / one.open * 100, abs=6e-4)
            assert one.average == pytest.approx((one.open + one.last) / 2, rel=1e-6)
            if one.low is not None and one.high is not None and exchange != "kraken":
                assert one.low <= min(one.open, one.last) <= max(one.open, one.last) <= one.high
            if one.vwap is not None and one.base_volume and one.quote_volume:
                assert one.vwap == pytest.approx(one.quote_volume / one.base_volume, rel=1e-6)


def test_a_day_that_has_just_begun(sim: SimulatedExchange, connect: Factory) -> None:
    now = NOW.replace(hour=0, minute=0, second=20)
    sim.clock.move(now)
    for exchange in ("binance", "kraken"):
        ticker = connect(sim, exchange).ticker("BTC/USDT", window="day")
        assert ticker.open_time == now.replace(second=0)
        assert ticker.base_volume is not None
