"""How exchanges divide their candles into pages, each as its reference says, a test a kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from marketdata._exchanges.quirks import QUIRKS

from .setting import Setting, ms, opens
from .wire import Answer, Sent, Wire
from .world import DAY, HOUR, MINUTE, OTHERS, PAIR, Candle, Exchange, World, length

MORNING = ms("2024-06-03")
"""A Monday."""
KEPT = 1_200
"""How many candles the exchange keeps that refuses to give earlier ones."""
Connect = Callable[[World], Setting]


@pytest.fixture
def connect(wire: Wire, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    with ExitStack() as stack:

        def connect(world: World) -> Setting:
            for path, answer in FORMS[world.form].items():
                monkeypatch.setitem(wire.answers, path, answer)
            return Setting(stack, wire, tmp_path, Exchange(world))

        yield connect


def _listing(of: Callable[[str, str], dict[str, Any]], shape: Callable[[Any], Any]) -> Answer:
    def answer(_: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
        return 200, shape([of(*pair.split("/")) for pair in (PAIR, *OTHERS)])

    return answer


def _pair(name: str) -> str:
    return next(pair for pair in (PAIR, *OTHERS) if pair.replace("/", "") == _plain(name))


def _plain(name: str) -> str:
    return name.replace("-", "").replace("_", "")


def _texts(candle: Candle) -> list[str]:
    return [str(candle.time), *map(str, candle[1:6])]


def _bybit(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    start = int(asked["start"]) if "start" in asked else None
    timeframe = {"W": "1w", "M": "1M", "D": "1d", "1": "1m"}[asked["interval"]]
    found = wire.page(exchange, _pair(asked["symbol"]), timeframe, start, int(asked["limit"]))
    rows = [[*_texts(one), "1"] for one in reversed(found)]
    return 200, {"retCode": 0, "result": {"category": "spot", "list": rows}}


def _bitget(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    """Give the newest up to ``endTime``, with the candle that opens then."""
    pair, count = _pair(asked["symbol"]), int(asked["limit"])
    start, end = int(asked.get("startTime", 0)), int(asked.get("endTime", 1 << 60))
    found = [one for one in exchange.candles(pair, "1m") if start <= one.time <= end]
    return 200, {"code": "00000", "data": [[*_texts(one), "1", "1"] for one in found[-count:]]}


def _kucoin(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    start, end = (int(asked[name]) * 1000 for name in ("startAt", "endAt"))
    names = {"1min": "1m", "1hour": "1h", "1day": "1d", "1week": "1w", "1month": "1M"}
    pair, timeframe = _pair(asked["symbol"]), names[asked["type"]]
    found = [one for one in exchange.candles(pair, timeframe) if start <= one.time < end]
    wire.sent.append(Sent(pair, timeframe, found, exchange.now))
    rows = [
        [str(one.time // 1000), one.open, one.close, one.high, one.low, one.volume, "1"]
        for one in found[:-1_501:-1]
    ]
    return 200, {"code": "200000", "data": rows}


def _gate(wire: Wire, exchange: Exchange, asked: Mapping[str, str]) -> tuple[int, Any]:
    found = exchange.candles(_pair(asked["currency_pair"]), asked["interval"])
    if "from" in asked:
        start, end = (int(asked[name]) * 1000 for name in ("from", "to"))
        oldest = exchange.now - KEPT * length(asked["interval"])
        if start < oldest or (start >= end and start > exchange.now):
            return 400, {"label": "INVALID_PARAM_VALUE", "message": "Invalid from or to"}
        found = [one for one in found if start <= one.time <= end]
    else:
        found = found[-int(asked["limit"]) :]
    return 200, [
        [str(one.time // 1000), "1", one.close, one.high, one.low, one.open, one.volume, "true"]
        for one in found
    ]


FORMS: dict[str, dict[str, Answer]] = {
    "bybit": {
        "/v5/market/instruments-info": _listing(
            lambda base, quote: {
                "symbol": base + quote,
                "baseCoin": base,
                "quoteCoin": quote,
                "status": "Trading",
                "lotSizeFilter": {"basePrecision": "0.001", "quotePrecision": "0.001"},
                "priceFilter": {"tickSize": "0.001"},
            },
            lambda rows: {"retCode": 0, "result": {"category": "spot", "list": rows}},
        ),
        "/v5/market/kline": _bybit,
    },
    "bitget": {
        "/api/v2/spot/public/symbols": _listing(
            lambda base, quote: {
                "symbol": base + quote,
                "baseCoin": base,
                "quoteCoin": quote,
                "status": "online",
                "pricePrecision": "3",
                "quantityPrecision": "3",
            },
            lambda rows: {"code": "00000", "data": rows},
        ),
        "/api/v2/spot/market/candles": _bitget,
        "/api/v2/spot/market/history-candles": _bitget,
    },
    "kucoin": {
        "/api/v2/symbols": _listing(
            lambda base, quote: {
                "symbol": f"{base}-{quote}",
                "baseCurrency": base,
                "quoteCurrency": quote,
                "baseIncrement": "0.001",
                "priceIncrement": "0.001",
                "enableTrading": True,
            },
            lambda rows: {"code": "200000", "data": rows},
        ),
        "/api/v1/market/candles": _kucoin,
    },
    "gate": {
        "/api/v4/spot/currency_pairs": _listing(
            lambda base, quote: {
                "id": f"{base}_{quote}",
                "base": base,
                "quote": quote,
                "fee": "0.2",
                "amount_precision": 3,
                "precision": 3,
                "trade_status": "tradable",
            },
            lambda rows: rows,
        ),
        "/api/v4/spot/candlesticks": _gate,
    },
}


@pytest.mark.parametrize(("timeframe", "start"), [("1w", "2024-02-05"), ("1M", "2024-02-01")])
def test_weeks_and_months_begin_with_the_first_that_is_wanted(
    connect: Connect, timeframe: str, start: str
) -> None:
    begin = ms("2024-01-01")
    setting = connect(World(begin, 6 * HOUR, 700, begin + 640 * 6 * HOUR, "bybit"))

    answer = setting.each(timeframe, start=ms(start), limit=3)
    assert opens(answer) == setting.there(timeframe, start)[:3]
    assert (answer.missing, answer.columns.time[0]) == ((), ms(start))
    last = setting.there(timeframe, start)[-1]
    assert opens(setting.ask(timeframe, start=ms(last))) == [last]


@pytest.mark.parametrize("count", [1, 2, 3, 199, 200, 201, 650])
def test_a_page_that_counts_the_candle_at_its_end_lacks_none_at_its_beginning(
    connect: Connect, count: int
) -> None:
    setting = connect(World(MORNING, MINUTE, 1_000, MORNING + 900 * MINUTE + 1, "bitget"))
    start = MORNING + 100 * MINUTE

    answer = setting.each("1m", start=start, end=start + count * MINUTE)
    assert opens(answer) == setting.there("1m", start, start + count * MINUTE)
    assert answer.missing == ()


@pytest.mark.parametrize("form", ["kucoin", "gate"])
def test_the_newest_candles_are_the_exchanges_where_our_clock_is_behind(
    connect: Connect, form: str
) -> None:
    now = MORNING + 900 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 1_000, now, form, ours=-3 * HOUR))

    assert opens(setting.each("1m", limit=5)) == setting.there("1m", now - 5 * MINUTE)
    start = now - 400 * MINUTE
    assert opens(setting.each("1m", start=start)) == setting.there("1m", start)


def test_a_pair_that_was_halted_before_the_newest_page_takes_a_few_requests(
    connect: Connect,
) -> None:
    now = MORNING + 900 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 1_000, now, "kucoin", ended=700))
    end = now + 2 * MINUTE

    for store in (False, True, True):
        setting.wire.sent.clear()
        answer = setting.ask("1m", end=end, limit=5, store=store)
        assert opens(answer) == setting.there("1m", now - 300 * MINUTE)[-5:]
        assert [one.cause for one in answer.missing] == ["no_trades"]
        assert len(setting.wire.sent) < 20


def test_a_start_in_the_open_candle_asks_for_nothing_that_is_still_to_come(
    connect: Connect,
) -> None:
    now = MORNING + 3 * DAY + HOUR
    setting = connect(World(MORNING, HOUR, 100, now, "gate"))

    answer = setting.each("2d", start=now)
    assert (opens(answer), answer.missing, answer.forming) == ([], (), False)


def test_what_an_exchange_refuses_because_it_is_too_old_is_not_served(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(QUIRKS, "gate", replace(QUIRKS["gate"], bars_kept=KEPT))
    now = MORNING + 1_900 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 2_000, now, "gate"))
    start = now - (KEPT + 500) * MINUTE

    for question in ({"start": start}, {"start": start, "limit": 7}, {"limit": KEPT + 500}):
        answer = setting.each("1m", **question)
        [gap] = answer.missing
        assert (gap.cause, len(answer) > 6) == ("not_served", True)
        first = answer.columns.time[0]
        assert KEPT - 10 <= (now - first) // MINUTE < KEPT
        assert opens(answer) == setting.there("1m", first)[: len(answer)]
    # Of the first longer candle, parts may lack.
    resampled = setting.each("7m", start=start)
    assert resampled.columns.time[0] >= first
    [done] = setting.client.history.download([PAIR], "1m", start=start)
    assert (done.error, list(setting.client.history.verify())) == (None, [])
