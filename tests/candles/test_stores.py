"""Delisted pairs, differences of exchanges, and findings of the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from .setting import HALTED, MINUTES, MORNING, Set, ms, opens, text
from .wire import Wire
from .world import HOUR, OTHERS, PAIR, Candle, Exchange, World, length


def test_stored_candles_of_an_unlisted_pair_are_returned(set_up: Set) -> None:
    setting = set_up(HALTED)
    week = {"start": "2024-02-01", "end": "2024-02-08"}
    before = setting.ask("1h", **week)
    info = setting.wire.answers["/api/v3/exchangeInfo"]

    def without(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        status, body = info(wire, exchange, asked)
        kept = [one for one in body["symbols"] if one["baseAsset"] != "SOL"]
        return status, body | {"symbols": kept}

    setting.wire.answers["/api/v3/exchangeInfo"] = without
    try:
        setting.client.pairs(refresh=True)
        later = setting.connect()
        assert PAIR not in [one.pair for one in later.pairs()]
        after = later.candles(PAIR, "1h", **week)
    finally:
        setting.wire.answers["/api/v3/exchangeInfo"] = info
    assert list(after.columns.rows()) == list(before.columns.rows())
    assert len(after) == 168
    assert [one.pair for one in later.history.list()] == [PAIR]


def test_months_are_resampled_if_the_exchanges_have_28_days(set_up: Set) -> None:
    world = World(ms("2024-01-01"), 6 * HOUR, 1_500, ms("2024-10-01"), form="ndax", flat=True)
    setting = set_up(world)
    names = {"60": "1m", "3600": "1h", "86400": "1d", "604800": "1w"}
    ids = dict(enumerate((PAIR, *OTHERS), start=1))

    def instruments(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        return 200, [
            {
                "InstrumentId": at,
                "Symbol": pair.replace("/", ""),
                "Product1": 10 + at,
                "Product1Symbol": pair.split("/")[0],
                "Product2": 5,
                "Product2Symbol": "USDT",
                "InstrumentType": "Standard",
                "SessionStatus": "Running",
                "IsDisable": False,
                "QuantityIncrement": 0.001,
                "PriceIncrement": 0.001,
                "MinimumQuantity": 0.001,
            }
            for at, pair in ids.items()
        ]

    def history(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        timeframe = names.get(asked["Interval"])
        if timeframe is None:
            return 200, []
        start, end = (ms(asked[name].replace(" ", "T")) for name in ("FromDate", "ToDate"))
        pair = ids[int(asked["InstrumentId"])]
        found = wire.page(exchange, pair, timeframe, start, 100_000)
        return 200, [
            [one.time, one.high, one.low, one.open, one.close, one.volume, 0, 0, 1, one.time]
            for one in found
            if one.time < end
        ]

    setting.wire.answers |= {"/AP/GetInstruments": instruments, "/AP/GetTickerHistory": history}

    answer = setting.each("1M", start="2024-01-01", end="2024-09-01")

    assert opens(answer) == [f"2024-{month:02}-01" for month in range(1, 9)]
    assert (answer.resampled_from, answer.missing) == ("1d", ())
    [done] = setting.client.history.download([PAIR], timeframe="4M", start="2024-01-01")
    assert done.error is not None
    assert done.error["code"] == "TIMEFRAME_NOT_SUPPORTED"


def _kraken(wire: Wire) -> None:
    """Have the server answer in Kraken's form, too: whatever is requested, of the newest 720."""

    def pairs(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        named = {pair.replace("/", ""): pair for pair in (PAIR, *OTHERS)}
        return 200, {
            "error": [],
            "result": {
                name: {
                    "altname": name,
                    "wsname": pair,
                    "base": pair.split("/")[0],
                    "quote": "USDT",
                    "pair_decimals": 3,
                    "lot_decimals": 8,
                    "cost_decimals": 5,
                    "ordermin": "0.02",
                    "costmin": "0.5",
                    "tick_size": "0.001",
                    "status": "online",
                    "leverage_buy": [],
                    "leverage_sell": [],
                    "fees": [[0, 0.4]],
                    "fees_maker": [[0, 0.25]],
                }
                for name, pair in named.items()
            },
        }

    def ohlc(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        name, since = asked["pair"], 1000 * int(asked.get("since", 0))
        timeframe = {"1": "1m", "15": "15m", "60": "1h", "240": "4h"}[asked["interval"]]
        pair = next(one for one in (PAIR, *OTHERS) if one.replace("/", "") == name)
        rows = [
            [one.time // 1000, *map(str, one[1:5]), str(one.close), str(one.volume), one.trades]
            for one in wire.page(exchange, pair, timeframe, None, 720)
            if one.time > since
        ]
        return 200, {"error": [], "result": {name: rows, "last": 0}}

    wire.answers |= {"/0/public/AssetPairs": pairs, "/0/public/OHLC": ohlc}


@pytest.mark.parametrize("timeframe", ["1h", "2h"])
def test_a_halt_is_not_a_listing_if_only_the_newest_candles_are_served(
    set_up: Set, wire: Wire, timeframe: str
) -> None:
    _kraken(wire)
    world = World(MORNING, HOUR, 700, MORNING + 600 * HOUR, form="kraken", ended=400, flat=True)
    setting = set_up(world)
    halted = MORNING + 400 * HOUR

    behind = setting.each(timeframe, start=halted + 20 * HOUR, end=halted + 30 * HOUR)
    last = setting.each(timeframe, end=halted + 30 * HOUR, limit=2)

    assert (len(behind), [one.cause for one in behind.missing]) == (0, ["no_trades"])
    assert opens(last) == [text(halted - back * length(timeframe)) for back in (2, 1)]
    assert [one.cause for one in last.missing] == ["no_trades"]


class Changing(Exchange):
    """An exchange on which one candle can be changed."""

    added = 0.0

    def page(self, pair: str, timeframe: str, start: int | None, limit: int) -> list[Candle]:
        found = super().page(pair, timeframe, start, limit)
        return [
            one._replace(volume=one.volume + self.added) if one.time == MORNING + HOUR else one
            for one in found
        ]


def test_decimals_revise_stored_candles(set_up: Set) -> None:
    exchange = Changing(MINUTES)
    setting = set_up(exchange)
    hour = {"start": MORNING + HOUR, "end": MORNING + 2 * HOUR}
    before = setting.ask("1m", **hour)
    exchange.added = 3.0

    exact = setting.connect(numbers="decimal").candles(PAIR, "1m", **hour)
    after = setting.ask("1m", **hour)

    assert [float(volume) for volume in exact.columns.volume] == list(after.columns.volume)
    assert after.columns.volume[0] == before.columns.volume[0] + 3.0
    assert list(after.columns.volume)[1:] == list(before.columns.volume)[1:]
    assert after.quality is not None
