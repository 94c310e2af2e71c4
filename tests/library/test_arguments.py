"""Arguments in every form, valid and invalid, and the errors for invalid ones."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

import marketdata as md
from marketdata import arguments
from marketdata.arguments import PairName, Start, TimeframeName
from marketdata.models import Ticker
from marketdata.models.lists import Records
from marketdata.operations import OPERATIONS
from marketdata.sim import SimulatedExchange

from .markets import ms

BY_NAME = {operation.name: operation for operation in OPERATIONS}
NOON = ms("2024-01-31T12:00:00")
HUGE = 10**5_000  # more digits than Python writes


def parsed(operation: str, **given: Any) -> dict[str, Any]:
    return BY_NAME[operation].parse(given)


@pytest.mark.parametrize(
    ("form", "milliseconds"),
    [
        (datetime(2024, 1, 31, 12), NOON),
        (datetime(2024, 1, 31, 12, tzinfo=UTC), NOON),
        (datetime(2024, 1, 31, 14, tzinfo=timezone(timedelta(hours=2))), NOON),
        (datetime(2024, 1, 31, 12, 0, 0, 1_499), NOON + 1),
        (date(2024, 1, 31), NOON - 12 * 3_600_000),
        ("2024-01-31", NOON - 12 * 3_600_000),
        ("2024-01-31T12:00", NOON),
        ("2024-01-31T12:00Z", NOON),
        ("2024-01-31 12:00:00", NOON),
        (" 2024-01-31T12:00:00.250Z ", NOON + 250),
        ("2024-01-31T13:30+01:30", NOON),
        ("20240131T120000Z", NOON),
        ("2024-W05-3", NOON - 12 * 3_600_000),
        (NOON, NOON),
        (float(NOON), NOON),
        (str(NOON), NOON),
        (100_000_000_000, 100_000_000_000),
        (9_999_999_999_999, 9_999_999_999_999),
        ("1970-01-01", 0),
        (date(1970, 1, 2), 86_400_000),
        ("2999-12-31T23:59:59.999Z", 32_503_679_999_999),
    ],
)
def test_a_time_can_be_written_in_many_ways(form: Any, milliseconds: int) -> None:
    assert parsed("candles", pair="BTC/USDT", start=form)["start"] == milliseconds
    assert parsed("candles", pair="BTC/USDT", end=form)["end"] == milliseconds
    assert parsed("trades", pair="BTC/USDT", start=form)["start"] == milliseconds


@pytest.mark.parametrize(
    ("age", "seconds"),
    [("-90s", 90), ("-15m", 900), ("-7d", 7 * 86_400), ("-1h", 3_600), (" -2w ", 14 * 86_400)],
)
def test_a_time_can_be_an_age(age: str, seconds: int) -> None:
    now = datetime(2024, 1, 31, 12, tzinfo=UTC)
    assert arguments.instant(age, now=now) == ms(now) - seconds * 1000


def test_an_age_counts_from_now() -> None:
    before = ms(datetime.now(UTC)) - 3_600_000
    hour_ago = parsed("candles", pair="BTC/USDT", start="-1h")["start"]
    assert before <= hour_ago <= ms(datetime.now(UTC)) - 3_600_000


@pytest.mark.parametrize(
    "form", [datetime(2024, 1, 31, 12), "2024-01-31", "-1d", NOON, "1970-01-01", "2999-12-31"]
)
def test_a_parsed_time_can_be_parsed_again(form: Any) -> None:
    once = parsed("candles", pair="BTC/USDT", start=form)
    assert parsed("candles", **once) == once


@pytest.mark.parametrize(
    "form",
    [
        "never",
        "-7",
        "--7d",
        "-9999999d",
        "-999999w",
        "-3000w",
        "2024-13-01",
        "2024-02-30",
        "05.06.2024",
        "5/6/2026",
        "last week",
        "202401311200",
        "12:00",
        99_999_999,
        99_999_999_999,
        10_000_000_000_000,
        "10000000000000000",
        2024,
        0,
        -1,
        -NOON,
        10**30,
        HUGE,
        float("nan"),
        float("inf"),
        -float("inf"),
        True,
        False,
        b"2024-01-31",
        bytearray(b"-7d"),
        Decimal(NOON),
        timedelta(days=1),
        datetime.min,
        datetime.max,
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))),
        date.min,
        date.max,
        "0001-01-01",
        "9999-12-31",
        "1969-12-31",
        "3000-01-01",
        "\ud800",
        "x" * 100_000,
        [NOON],
        {"start": NOON},
        (2024, 1, 31),
        Ellipsis,
    ],
    ids=lambda form: "huge" if form is HUGE else repr(form)[:40],
)
@pytest.mark.parametrize("name", ["start", "end"])
def test_an_invalid_time_is_refused_by_name(name: str, form: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        parsed("candles", pair="BTC/USDT", **{name: form})

    assert caught.value.details["parameter"] == name
    assert len(str(caught.value)) < 200
    str(caught.value).encode()
    caught.value.to_dict()


@pytest.mark.parametrize("unit", [1, 1_000, 1_000_000, 1_000_000_000])
def test_the_unit_of_a_number_follows_from_its_size(unit: int) -> None:
    for form in (1_714_564_800 * unit, str(1_714_564_800 * unit), 1_714_564_800.0 * unit):
        assert parsed("trades", pair="BTC/USDT", start=form)["start"] == 1_714_564_800_000
    half = 1_714_564_800.5
    assert parsed("trades", pair="BTC/USDT", start=half)["start"] == 1_714_564_800_500
    assert parsed("trades", pair="BTC/USDT", start=str(half))["start"] == 1_714_564_800_500


@pytest.mark.parametrize("nothing", [None, "", " ", "null", "None", [], "[]", set()])
@pytest.mark.parametrize("name", ["timeframe", "limit", "start", "end", "fill", "exchange"])
def test_empty_values_mean_not_given(name: str, nothing: Any) -> None:
    given = {"pair": "BTC/USDT", name: nothing}
    assert parsed("candles", **given) == parsed("candles", pair="BTC/USDT")


NUMBERS = [
    ("orderbook", "depth", 1, 5_000),
    ("candles", "limit", 1, None),
    ("trades", "limit", 1, 1_000),
    ("trades", "from_id", 0, None),
]


@pytest.mark.parametrize(("operation", "name", "least", "most"), NUMBERS)
def test_numbers_within_their_bounds(
    operation: str, name: str, least: int, most: int | None
) -> None:
    for good in (least, most or 10**15, str(least), float(least)):
        assert parsed(operation, pair="BTC/USDT", **{name: good})[name] == int(good)


@pytest.mark.parametrize(("operation", "name", "least", "most"), NUMBERS)
@pytest.mark.parametrize(
    "wrong",
    [
        -1,
        -(10**30),
        -HUGE,
        1.5,
        float("nan"),
        float("inf"),
        True,
        False,
        "many",
        "1e3",
        "0x10",
        b"\xff",
        [5],
        {},
        Ellipsis,
    ],
    ids=lambda wrong: "huge" if wrong == -HUGE else repr(wrong)[:20],
)
def test_numbers_that_are_invalid_or_out_of_bounds_are_refused_by_name(
    operation: str, name: str, least: int, most: int | None, wrong: Any
) -> None:
    for bad in [wrong, least - 1, *([] if most is None else [most + 1, 10**30, HUGE])]:
        with pytest.raises(md.InvalidParameterError) as caught:
            parsed(operation, pair="BTC/USDT", **{name: bad})
        assert caught.value.details["parameter"] == name
        assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("form", "window"),
    [
        ("day", "day"),
        ("DAY ", "day"),
        ("1d", "24h"),
        ("24h", "24h"),
        ("4H", "4h"),
        ("1m", "1m"),
        ("59m", "59m"),
        ("7d", "7d"),
        ("04h", "4h"),
        ("4 h", "4h"),
        ("60m", "1h"),
        ("1w", "7d"),
        ("week", "7d"),
        ("24 hours", "24h"),
        ("", "24h"),
        (None, "24h"),
    ],
)
def test_windows(form: str, window: str) -> None:
    assert parsed("ticker", pair="BTC/USDT", window=form)["window"] == window


@pytest.mark.parametrize(
    "wrong",
    [
        "25h",
        "8d",
        "0h",
        "-4h",
        "4",
        "1M",
        "m",
        "daily",
        4,
        b"\xff",
    ],
)
def test_an_invalid_window_is_refused_by_name(wrong: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        parsed("ticker", pair="BTC/USDT", window=wrong)
    assert caught.value.details["parameter"] == "window"


@pytest.mark.parametrize("operation", ["tickers", "quotes"])
@pytest.mark.parametrize("wrong", [b"BTC/USDT", {"BTC/USDT": 1}, 5, [5], [None]])
def test_several_pairs_are_a_sequence_of_at_least_one(operation: str, wrong: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        parsed(operation, pairs=wrong)
    assert caught.value.details["parameter"].partition(".")[0] == "pairs"


def test_one_wrong_pair_among_several_is_named() -> None:
    with pytest.raises(md.InvalidParameterError, match="'A/B/C'") as caught:
        parsed("tickers", pairs=["BTC/USDT", "A/B/C"])
    assert caught.value.details["parameter"] == "pairs"


@pytest.mark.parametrize("name", ["base", "quote", "search"])
@pytest.mark.parametrize("wrong", [" ", "x" * 41, "\ud800", "a\x00", 5, b"\xff", ["BTC", "ETH"]])
def test_an_invalid_part_of_a_name_is_refused_by_name(name: str, wrong: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        parsed("pairs", **{name: wrong})
    assert caught.value.details["parameter"] == name


@pytest.mark.parametrize(
    "operation", [name for name, one in BY_NAME.items() if "pair" in one.arguments.model_fields]
)
def test_a_missing_pair_is_a_missing_parameter(client: md.Client, operation: str) -> None:
    for call in (getattr(client, operation), lambda: parsed(operation)):
        with pytest.raises(md.MissingParameterError) as caught:
            call()
        assert caught.value.code == "MISSING_PARAMETER"
        assert caught.value.details == {"operation": operation, "parameter": "pair"}
        assert str(caught.value) == f"{operation} needs 'pair'."


def test_missing_arguments_are_named_before_wrong_ones() -> None:
    with pytest.raises(md.MissingParameterError):
        parsed("orderbook", depth=0)
    with pytest.raises(md.MissingParameterError):
        parsed("ticker", nonsense=1)


@pytest.mark.parametrize("operation", BY_NAME)
def test_an_unknown_argument_is_an_invalid_parameter(client: md.Client, operation: str) -> None:
    needed = {"pair": "BTC/USDT", "side": "buy", "amount": 1}
    fields = BY_NAME[operation].arguments.model_fields
    given = {name: one for name, one in needed.items() if name in fields}
    with pytest.raises(md.InvalidParameterError) as caught:
        parsed(operation, **given, nonsense=1)
    assert caught.value.details == {"operation": operation, "parameter": "nonsense"}
    with pytest.raises(md.InvalidParameterError, match="nonsense"):
        getattr(client, operation)(**given, nonsense=1)


@pytest.mark.parametrize("operation", BY_NAME)
def test_too_many_positional_arguments_are_an_invalid_parameter(
    client: md.Client, operation: str
) -> None:
    with pytest.raises(md.InvalidParameterError, match=operation) as caught:
        getattr(client, operation)("BTC/USDT", "1h", "binance", "more")
    assert caught.value.message.endswith("by position. Write others as name=value.")


@pytest.mark.parametrize("operation", BY_NAME)
@pytest.mark.parametrize("wrong", [5, True, b"\xff", ["kraken", "okx"], Ellipsis])
def test_an_exchange_that_is_not_a_text_is_refused_without_a_request(
    client: md.Client, sim: SimulatedExchange, operation: str, wrong: Any
) -> None:
    fields = BY_NAME[operation].arguments.model_fields
    if "exchange" not in fields:
        return
    given = {"pair": "BTC/USDT"} if "pair" in fields else {}
    with pytest.raises(md.InvalidParameterError) as caught:
        getattr(client, operation)(**given, exchange=wrong)
    assert caught.value.details["parameter"] == "exchange"
    assert sim.requests == []


@pytest.mark.parametrize("name", ["no such", "x" * 100_000, "\ud800", "../kraken", "base"])
def test_an_unknown_exchange_is_not_supported(client: md.Client, name: str) -> None:
    with pytest.raises(md.ExchangeNotSupportedError) as caught:
        client.status(exchange=name)
    assert len(str(caught.value)) < 200
    str(caught.value).encode()


def test_remembered_arguments_belong_to_one_call() -> None:
    async def asked(*args: Any, **named: Any) -> Any:
        return args, named

    class Caller:
        @arguments.checked
        async def ask(
            self, pair: PairName, timeframe: TimeframeName = "1h", *, start: Start | None = None
        ) -> Records[Ticker]:
            return await asked(pair, timeframe, start=start)

    def ask(*args: Any, **named: Any) -> Any:
        return asyncio.run(Caller().ask(*args, **named))

    on_kraken = arguments.pair("kraken:btc-usdt")
    for _ in range(2):
        assert ask("btc-usdt", "4H") == (("BTC/USDT", "4h"), {"start": None})
        assert ask(pair="btc-usdt", timeframe="4H") == (("BTC/USDT", "4h"), {"start": None})
        assert ask(timeframe="4H", pair="btc-usdt") == (("BTC/USDT", "4h"), {"start": None})
        with pytest.raises(md.MarketDataError):
            ask("pair", "btc-usdt")
    assert ask("BTC/USDT")[0][0] == ask(on_kraken)[0][0]
    assert ask(on_kraken)[0][0].exchange == "kraken"
    assert not hasattr(ask("BTC/USDT")[0][0], "exchange")
    first = ask("BTC/USDT", start="-1h")[1]["start"]
    assert ask("BTC/USDT", start="-1h")[1]["start"] is not first
