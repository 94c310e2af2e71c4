"""Any arguments give a record or one of our errors, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from inside.exchanges import loader

import marketdata as md
from marketdata import errors
from marketdata._arguments.texts import is_left_out, whole
from marketdata.models import Record
from marketdata.sim import SimulatedExchange

from .markets import DIALECTS, NOW, SEED

CODES = set(get_args(errors.Code)) - {"INTERNAL_ERROR"}

# Text that comes close: parts of real names and times among arbitrary characters, lone
# surrogates included.
NAMES = "BTC btc USDT / - _ : 1 h m d M 2024-01-01 T Z kraken day ' % {} .. ı ß"
pieces = st.sampled_from([*NAMES.split(), " ", '"', "\\", "\x00", "\n", "\ud800"])
anything = st.text(st.characters(), max_size=20) | st.lists(pieces, max_size=6).map("".join)
scalars: st.SearchStrategy[Any] = (
    anything
    | st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.decimals()
    | st.fractions()
    | st.binary(max_size=8)
    | st.datetimes()
    | st.datetimes(timezones=st.timezones())
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.complex_numbers()
)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(anything, scalars, max_size=2)

quick = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def client(home: str) -> Iterator[md.Client]:
    """One client for all examples, so that an example is cheap."""
    with (
        SimulatedExchange(seed=SEED, now=NOW, frozen=True) as sim,
        md.Client(
            "binance",
            endpoints=dict.fromkeys(DIALECTS, sim.url),
            home=home,
            retries=0,
            timeout=20,
        ) as made,
    ):
        yield made


def refused(error: md.MarketDataError) -> None:
    assert error.code in CODES
    assert error.to_dict()["code"] == error.code
    assert len(error.message) < 500
    assert "\n" not in error.message
    error.message.encode()
    json.dumps(error.to_dict()).encode()


def count(given: Any, default: int) -> int:
    """Return the number of a limit; an empty value is the default."""
    return default if is_left_out(given) or given is None else int(whole(given))


def answered(client: md.Client, operation: str, *args: Any, **given: Any) -> Any:
    try:
        answer = getattr(client, operation)(*args, **given)
    except md.MarketDataError as error:
        refused(error)
        return None
    for one in answer if isinstance(answer, list) else [answer]:
        assert isinstance(one, Record)
        one.to_json()
    return answer


@quick
@given(values)
@example("BTC/USDT")
@example("BTC/USDT:USDT")
@example("\ud800/USDT")
@example("İ/ı")
def test_any_pair(client: md.Client, pair: Any) -> None:
    ticker = answered(client, "ticker", pair)
    assert ticker is None or ticker.pair == "BTC/USDT"


@quick
@given(st.lists(scalars, max_size=3) | values)
def test_any_pairs(client: md.Client, pairs: Any) -> None:
    answered(client, "tickers", pairs)
    answered(client, "quotes", pairs)


@quick
@given(values)
@example("1m")
@example("1M")
@example("9999y")
@example("١m")
def test_any_timeframe(client: md.Client, timeframe: Any) -> None:
    answered(client, "candles", "BTC/USDT", timeframe, limit=2)


@quick
@given(values)
@example("4h")
@example("٤h")
@example("day")
def test_any_window(client: md.Client, window: Any) -> None:
    answered(client, "ticker", "BTC/USDT", window=window)


@quick
@given(values, values)
@example("-7d", "-6d")
@example("2024-01-01", None)
@example(None, "1970-01-01")
@example(None, "2999-12-31")
@example("1970-01-01", "1970-01-02")
@example("2999-12-30", None)
@example(date(2024, 1, 1), datetime(2024, 1, 2, tzinfo=UTC))
def test_any_range(client: md.Client, start: Any, end: Any) -> None:
    answered(client, "candles", "BTC/USDT", "1d", start=start, end=end)
    answered(client, "trades", "BTC/USDT", start=start, limit=1)


@quick
@given(st.datetimes(), st.datetimes(), st.sampled_from(["1w", "1M", "3d"]))
@example(datetime(1970, 1, 1), datetime(2999, 12, 31), "1M")
@example(datetime(2015, 1, 1), datetime(2024, 12, 31), "1w")
def test_any_range_of_long_bars(
    client: md.Client, start: datetime, end: datetime, timeframe: str
) -> None:
    candles = answered(client, "candles", "BTC/USDT", timeframe, start=start, end=end)
    if candles is not None:
        times = list(candles.columns.time)
        assert times == sorted(set(times))
        assert all(start <= bar.open_time.replace(tzinfo=None) < end for bar in candles)


@quick
@given(values)
@example(0)
@example(1)
@example(5000)
@example(5001)
def test_any_depth(client: md.Client, depth: Any) -> None:
    book = answered(client, "orderbook", "BTC/USDT", depth)
    assert book is None or len(book.bids) <= count(depth, 20)


@quick
@given(values)
@example(1)
@example(0)
@example(1000)
def test_any_limit(client: md.Client, limit: Any) -> None:
    candles = answered(client, "candles", "PEPE/USDT", "1M", limit=limit)
    assert candles is None or len(candles) <= count(limit, 100)
    trades = answered(client, "trades", "BTC/USDT", limit=limit)
    assert trades is None or len(trades) <= count(limit, 100)


@quick
@given(values)
@example(0)
@example(10**18)
@example(10**400)
def test_any_id(client: md.Client, from_id: Any) -> None:
    answered(client, "trades", "BTC/USDT", from_id=from_id, limit=1)


@quick
@given(values)
@example("kraken")
@example("../binance")
@example("base")
@example("abstract")
@example("__init__")
def test_any_exchange(client: md.Client, exchange: Any) -> None:
    # Real exchanges are out of reach; what is not one has to be told so before that.
    if str(exchange).strip().lower() not in loader.ids():
        answered(client, "status", exchange=exchange)


@quick
@given(values, values, values)
@example("btc", None, None)
@example("%", "_", "'")
def test_any_filter_of_pairs(client: md.Client, base: Any, quote: Any, search: Any) -> None:
    answered(client, "pairs", base=base, quote=quote, search=search)


@quick
@given(st.sampled_from(md.__all__), st.dictionaries(anything, values, max_size=2))
def test_any_unknown_argument(client: md.Client, name: str, given_: dict[str, Any]) -> None:
    if name.islower() and name not in ("history", "streams"):
        answered(client, name, **given_)
