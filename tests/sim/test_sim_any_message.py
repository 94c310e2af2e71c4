"""Any message of a client on a socket is answered or ignored, and nothing breaks."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.sim import MARKETS, Clock
from marketdata.sim.dialects.dialect import Call, Venue
from marketdata.sim.server import DIALECTS
from marketdata.sim.sockets.streams import Session

NOW = 1_750_000_000_123
SOURCES = {
    name: DIALECTS[name].source(Venue(name, Clock(NOW, frozen=True), seed=2)) for name in MARKETS
}
WORDS = st.sampled_from(
    [
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "SET_PROPERTY",
        "subscribe",
        "unsubscribe",
        "ping",
        "login",
        "btcusdt@depth",
        "btcusdt@kline_1m",
        "@",
        "combined",
        "book",
        "ohlc",
        "ticker",
        "trade",
        "BTC/USDT",
        "level2",
        "level2_batch",
        "matches",
        "BTC-USD",
        "books",
        "candle1m",
        "BTC-USDT",
        "10",
    ]
)
NAMES = st.sampled_from(
    [
        "method",
        "params",
        "id",
        "type",
        "product_ids",
        "channels",
        "name",
        "op",
        "args",
        "channel",
        "symbol",
        "depth",
        "interval",
        "instId",
        "req_id",
        "snapshot",
        "event_trigger",
    ]
)
VALUES = st.recursive(
    WORDS | st.none() | st.booleans() | st.integers(-5, 1000) | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)
MESSAGES = st.one_of(
    VALUES.map(json.dumps),
    st.dictionaries(NAMES, VALUES, max_size=5).map(json.dumps),
    st.text(max_size=20),
)
RIGHT: dict[str, Any] = {
    "binance": {"method": "SUBSCRIBE", "params": ["btcusdt@depth", "btcusdt@trade"], "id": 1},
    "kraken": {
        "method": "subscribe",
        "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 10, "interval": 1},
        "req_id": 1,
    },
    "coinbaseexchange": {
        "type": "subscribe",
        "product_ids": ["BTC-USD"],
        "channels": ["ticker", {"name": "matches", "product_ids": ["BTC-USD"]}],
    },
    "okx": {"op": "subscribe", "args": [{"channel": "books5", "instId": "BTC-USDT"}], "id": "1"},
}


def opened(name: str) -> list[Session]:
    call = Call({}, {}, NOW)
    return [route.session(SOURCES[name], call) for route in DIALECTS[name].sockets]


def changed(body: Any, data: st.DataObject) -> Any:
    """Put something else in one place of a request."""
    if isinstance(body, dict | list) and data.draw(st.integers(0, 4)):
        where = data.draw(
            st.sampled_from(list(body) if isinstance(body, dict) else range(len(body)))
        )
        items = dict(body) if isinstance(body, dict) else list(body)
        items[where] = changed(body[where], data)
        return items
    return data.draw(VALUES)


@pytest.mark.parametrize("name", MARKETS)
@given(data=st.data(), messages=st.lists(MESSAGES, max_size=2))
@settings(deadline=None, max_examples=120)
def test_any_message(name: str, data: st.DataObject, messages: list[str]) -> None:
    request = json.dumps(changed(RIGHT[name], data))
    for session in opened(name)[:1]:
        frames = session.greet(NOW)
        for text in [*messages, request]:
            frames += session.receive(text, NOW)
        frames += session.frames(NOW, NOW + 400)
        for frame in frames:
            assert session.wire(frame)
            assert NOW <= frame.ms <= NOW + 400
