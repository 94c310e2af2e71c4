"""How exchanges split candles into pages by their references, with a test for each kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from inside.exchanges import QUIRKS

from .setting import Setting, ms, opens, text
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
            for path, answer in FORMS.get(world.form, {}).items():
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
    """Return the newest up to ``endTime``, with the candle that opens then."""
    pair, count = _pair(asked["symbol"]), int(asked["limit"])
    start, end = int(asked.get("startTime", 0)), int(asked.get("endTime", 1 << 60))
    names = {"1min": "1m", "1h": "1h", "1Dutc": "1d", "1Mutc": "1M"}
    timeframe = names[asked["granularity"]]
    found = [one for one in exchange.candles(pair, timeframe) if start <= one.time <= end]
    wire.sent.append(Sent(pair, timeframe, found, exchange.now))
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
def test_weeks_and_months_begin_with_the_first_requested_one(
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
def test_a_page_that_includes_its_end_lacks_no_candle_at_its_start(
    connect: Connect, count: int
) -> None:
    setting = connect(World(MORNING, MINUTE, 1_000, MORNING + 900 * MINUTE + 1, "bitget"))
    start = MORNING + 100 * MINUTE

    answer = setting.each("1m", start=start, end=start + count * MINUTE)
    assert opens(answer) == setting.there("1m", start, start + count * MINUTE)
    assert answer.missing == ()


@pytest.mark.parametrize("form", ["kucoin", "gate"])
def test_the_newest_candles_follow_the_exchanges_clock_if_ours_is_behind(
    connect: Connect, form: str
) -> None:
    now = MORNING + 900 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 1_000, now, form, ours=-3 * HOUR))

    assert opens(setting.each("1m", limit=5)) == setting.there("1m", now - 5 * MINUTE)
    start = now - 400 * MINUTE
    assert opens(setting.each("1m", start=start)) == setting.there("1m", start)


@pytest.mark.parametrize(
    ("form", "behind"), [("kucoin", DAY), ("gate", 10 * HOUR), ("bitget", DAY)]
)
def test_candles_later_than_our_clock_are_found_without_a_date_header(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, form: str, behind: int
) -> None:
    now = MORNING + 1_700 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 1_800, now, form, listed=500, ours=-behind))
    monkeypatch.setattr(setting.wire, "is_dated", False)
    setting.client = setting.connect()
    start = now - behind - HOUR
    there = setting.there("1m", start)

    assert opens(setting.each("1m", limit=5)) == there[-5:]
    assert opens(setting.each("1m", start=start)) == there
    assert opens(setting.each("1m", start=start, limit=7)) == there[:7]
    assert (
        opens(setting.each("1m", end=now - HOUR, limit=7))
        == setting.there("1m", 0, now - HOUR)[-7:]
    )


@pytest.mark.parametrize("form", ["kucoin", "bitget", "binance"])
def test_a_listing_between_our_clock_and_the_exchanges_is_one_gap(
    connect: Connect, form: str
) -> None:
    now = MORNING + 1_700 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 1_800, now, form, listed=1_600, ours=-DAY))
    start, listed = now - DAY - HOUR, MORNING + 1_600 * MINUTE

    for question in ({"limit": 2}, {"end": listed - 90 * MINUTE}, {"end": listed + 2 * MINUTE}):
        answer = setting.each("1m", start=start, **question)
        [gap] = answer.missing
        assert gap.cause == "not_served"
        assert gap.end.timestamp() * 1000 == min(listed, question.get("end", listed))
        assert len(answer) == (0 if gap.end.timestamp() * 1000 < listed else 2)


def test_the_newest_candle_is_returned_in_its_first_second(connect: Connect) -> None:
    now = MORNING + 900 * MINUTE + 200
    setting = connect(World(MORNING, MINUTE, 1_000, now, "kucoin"))
    there = setting.there("1m", 0)

    assert there[-1] == text(now - 200)
    assert opens(setting.each("1m", limit=3)) == there[-3:]


class Seldom(Exchange):
    """An exchange whose pair is traded in one minute, before pages of it are empty."""

    traded = 600

    def _is_open(self, pair: str, unit: int) -> bool:
        return pair != PAIR or unit in (self.traded, self.traded + 600)


def test_a_minute_is_found_if_a_page_is_shorter_than_a_day(connect: Connect) -> None:
    setting = connect(World(MORNING, MINUTE, 1_400, MORNING + 1_300 * MINUTE, "bitget"))
    setting.exchange = setting.wire.exchange = Seldom(setting.exchange.world)
    traded = MORNING + 600 * MINUTE

    answer = setting.each("1m", start=traded + HOUR, end=traded + 9 * HOUR)
    assert (len(answer), [one.cause for one in answer.missing]) == (0, ["no_trades"])
    assert opens(setting.each("1m", end=traded + 9 * HOUR, limit=3)) == [text(traded)]


@pytest.mark.parametrize("form", ["kucoin", "bitget"])
def test_a_long_outage_of_rarely_traded_pairs_takes_few_requests(
    connect: Connect, form: str
) -> None:
    world = World(MORNING, MINUTE, 2_600, MORNING + 2_500 * MINUTE, form, outages=((1, 2_157),))
    setting = connect(replace(world, quiet=0.9))

    for question in ({"limit": 100}, {}):
        setting.wire.sent.clear()
        answer = setting.ask("2m", start=MORNING + 200 * MINUTE, store=False, **question)
        assert answer.columns.time[0] >= MORNING + 2_157 * MINUTE
        assert {one.cause for one in answer.missing} == {"outage", "no_trades"}
        assert len(setting.wire.sent) < 130


def test_a_pair_halted_before_the_newest_page_takes_few_requests(
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


def test_a_range_that_only_our_clock_has_reached_may_be_refused(connect: Connect) -> None:
    now = MORNING + 900 * MINUTE + MINUTE // 2
    setting = connect(World(MORNING, MINUTE, 1_000, now, "gate", ended=890, ours=5 * MINUTE))

    answer = setting.each("1m", start=now - HOUR)
    assert opens(answer) == setting.there("1m", now - HOUR)
    assert [one.cause for one in answer.missing] == ["no_trades"]


def test_a_start_in_the_open_candle_requests_nothing_in_the_future(
    connect: Connect,
) -> None:
    now = MORNING + 3 * DAY + HOUR
    setting = connect(World(MORNING, HOUR, 100, now, "gate"))

    answer = setting.each("2d", start=now)
    assert (opens(answer), answer.missing, answer.forming) == ([], (), False)


def test_candles_refused_as_too_old_are_not_served(
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
