"""The average price over the last minutes: the exchange's own, or of trades or candles."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange
from marketdata.sim.markets.bars import HOUR, MINUTE

from .conftest import Factory
from .markets import NOW, market, ms, number


def vwap(exchange: str, start: int, pair: str = "BTC/USDT") -> tuple[float, float, int]:
    """Average, volume and count of the trades from a time until now, over the trades themselves."""
    of = market(exchange, pair)
    trades = list(of.forwards(ms(NOW), ms=start))
    volume = sum(trade.amount for trade in trades)
    turnover = sum(trade.price * trade.amount for trade in trades)
    price = float(Fraction(turnover, volume) / 10**of.price_scale)
    return price, number(volume, of.amount_scale), len(trades)


def test_binance_has_its_own_over_five_minutes(client: md.Client) -> None:
    found = client.average_price("btc-usdt")
    assert (found.source, found.window, found.pair) == ("exchange", "5m", "BTC/USDT")
    assert found.price == pytest.approx(vwap("binance", ms(NOW) - 5 * MINUTE)[0], abs=1e-8)
    assert (found.volume, found.trades) == (None, None)


@pytest.mark.parametrize("exchange", ["binance", "kraken", "okx", "coinbaseexchange"])
def test_trades_are_used_if_one_response_has_all_of_them(client: md.Client, exchange: str) -> None:
    found = client.average_price("BTC/USDT", "2m", exchange=exchange)
    price, volume, count = vwap(exchange, ms(NOW) - 2 * MINUTE)
    assert found.source == "trades"
    assert found.price == pytest.approx(price, rel=1e-12)
    assert found.volume == volume
    assert found.trades in (count, None)


@pytest.mark.parametrize("exchange", ["binance", "kraken", "okx", "coinbaseexchange"])
def test_candles_are_used_for_longer_windows(client: md.Client, exchange: str) -> None:
    found = client.average_price("BTC/USDT", "4h", exchange=exchange)
    # Candles begin on the minute, and the typical price of each is near its average.
    price, volume, _ = vwap(exchange, (ms(NOW) - 4 * HOUR) // MINUTE * MINUTE)
    assert found.source == "candles"
    assert found.price == pytest.approx(price, rel=1e-3)
    assert found.volume == pytest.approx(volume, rel=0.05)


@pytest.mark.parametrize("window", ["0m", "25h", "day", "2d", "soon"])
def test_other_windows_are_refused_without_a_request(client: md.Client, window: str) -> None:
    with pytest.raises(md.InvalidParameterError, match="window is "):
        client.average_price("BTC/USDT", window)


def test_decimals_stay_decimals(sim: SimulatedExchange, connect: Factory) -> None:
    exact = connect(sim, numbers="decimal")
    for window in ("5m", "2m"):
        assert isinstance(exact.average_price("BTC/USDT", window).price, Decimal)
