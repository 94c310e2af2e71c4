"""Any request is answered or refused, in bounded time, and nothing breaks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.sim import MARKETS, Clock
from marketdata.sim.dialects.dialect import Call, RefusedError, Venue
from marketdata.sim.server import DIALECTS

NOW = 1_750_000_000_123
OPENED = {
    name: DIALECTS[name].open(Venue(name, Clock(NOW, frozen=True), seed=2)) for name in MARKETS
}
NAMES = [
    "symbol",
    "symbols",
    "pair",
    "instId",
    "id",
    "instType",
    "limit",
    "count",
    "sz",
    "level",
    "depth",
    "interval",
    "bar",
    "granularity",
    "startTime",
    "endTime",
    "since",
    "start",
    "end",
    "before",
    "after",
    "fromId",
    "type",
    "windowSize",
    "timeZone",
]
MOMENTS = [0, 1, NOW - 10**10, NOW - 60_000, NOW, NOW + 10**9, NOW * 10**6, NOW // 1000]
VALUES = st.one_of(
    st.sampled_from(["BTCUSDT", "XBTUSD", "BTC-USD", "BTC-USDT", "LTCBTC", "WAVESUSDT", "SPOT"]),
    st.sampled_from(["1m", "1s", "1M", "1w", "3M", "1Dutc", "60", "86400", "1440", "FULL", "MINI"]),
    st.sampled_from(['["BTCUSDT"]', "[]", "{}", "-1", "1e3", "2025-06-01", "2025-06-01T00:00Z"]),
    st.sampled_from([str(moment) for moment in MOMENTS]),
    st.integers(0, 10**19).map(str),
    st.text(max_size=8),
)
RIGHT = {
    "binance": {"symbol": "BTCUSDT", "interval": "1h"},
    "kraken": {"pair": "XBTUSD"},
    "coinbaseexchange": {},
    "okx": {"instId": "BTC-USDT", "instType": "SPOT"},
}


@pytest.mark.parametrize("name", MARKETS)
@given(
    data=st.data(),
    query=st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4),
    right=st.booleans(),
    now=st.sampled_from([NOW, 1_400_000_000_000, 1_500_000_000_000, NOW + 10**11]),
)
@settings(deadline=None, max_examples=250)
def test_any_request(name: str, data: Any, query: dict[str, str], right: bool, now: int) -> None:
    route = data.draw(st.sampled_from(DIALECTS[name].routes))
    path = {"id": data.draw(st.sampled_from(["BTC-USD", "LTC-BTC", "BTC", "x"]))}
    given_query = {**RIGHT[name], **query} if right else query
    call = Call(given_query, path, now)
    try:
        body, status = route.answer(OPENED[name], call), 200
    except RefusedError as refusal:
        body, status = refusal.body, refusal.status
    else:
        assert isinstance(route.weight, int) or route.weight(call) > 0
    json.dumps(body)
    assert 200 <= status < 500
