"""What is sent: what is right, what is nearly right, and anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from marketdata_mcp.app import tools

__all__ = ["WATCH", "anything", "arguments", "encoded", "mixed", "texts", "uris", "versions"]

WATCH = "a watch that there is"
"""Stands for one in arguments."""

versions = st.sampled_from(["2026-07-28", "2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05"])

_PIECES = [
    *("BTC", "ETH", "USDT", "EUR", "/", "-", "_", ":", ".", "1", "h", "m", "d", "M", "5m"),
    *("2024-01-01", "T", "Z", "+02:00", "-7d", "-1", "0", "1e9", "NaN", "null", "day", "24h"),
    *("binance", "kraken", "krakn", "market://", "ticker", "candles", "orderbook", "cursor"),
    *("'", '"', "\\", "%", "%2F", "%00", "{}", "..", "ı", "ß", "ﬀ", "İ", "\u202e", "\U0001f4a9"),
    *(" ", "\n", "\x00", "\ud800", "\udfff", "<script>"),
]


@dataclass(frozen=True)
class Raw:
    """JSON that no encoder writes."""

    text: str


def _nested(depth: int, is_list: bool) -> Raw:
    return Raw("[" * depth + "]" * depth if is_list else '{"a":' * depth + "1" + "}" * depth)


texts = st.one_of(
    st.lists(st.sampled_from(_PIECES), max_size=6).map("".join),
    st.text(st.characters(), max_size=20),
    st.text(st.sampled_from("AB/-é"), min_size=1, max_size=3).map(lambda one: one * 5_000),
)
_numbers = st.one_of(
    st.integers(-3, 600),
    st.integers(),
    st.sampled_from([2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**18, 10**400, -0.0, 1e308, 5.0]),
    st.floats(),
    st.sampled_from(["1" * 5_000, "-1e999", "1E400", "0." + "3" * 400]).map(Raw),
)
_scalars = st.one_of(st.none(), st.booleans(), _numbers, texts)
anything: st.SearchStrategy[Any] = st.one_of(
    _scalars,
    st.recursive(
        _scalars,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
        max_leaves=8,
    ),
    st.builds(_nested, st.sampled_from([50, 150, 300, 900, 5_000]), st.booleans()),
)


def mixed(*strategies: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from each equally often; `one_of` counts what each is made of."""
    return st.sampled_from(strategies).flatmap(lambda chosen: chosen)


def encoded(value: Any, *, as_ascii: bool = True) -> bytes:
    """Write JSON, also such as no encoder writes; text need not be Unicode."""
    raw: list[str] = []

    def mark(one: Any) -> str:
        raw.append(one.text)
        return f"\x00{len(raw) - 1}\x00"

    text = json.dumps(value, ensure_ascii=as_ascii, default=mark)
    for number, one in enumerate(raw):
        text = text.replace(json.dumps(f"\x00{number}\x00"), one)
    return text.encode("utf-8", "surrogatepass")


# ---------------------------------------------------------------------- arguments

_EXCHANGES = ("binance", "kraken", "coinbaseexchange", "okx")
_pairs = st.sampled_from(
    ["BTC/USDT", "btc-usdt", "ETHUSDT", "ETH/BTC", "BTC/USD", "NOPE/USDT", "BTC/USDT:USDT"]
)
_times = st.sampled_from(
    [
        "-1d",
        "-90m",
        "-400d",
        "2024-01-01",
        "2025-06-01T00:00:00Z",
        "2031-01-01",
        0,
        1_735_689_600_000,
    ]
)
_RIGHT: dict[str, st.SearchStrategy[Any]] = {
    "pair": _pairs,
    "pairs": st.lists(_pairs, min_size=1, max_size=5),
    "exchange": st.sampled_from([*_EXCHANGES, "krakn"]),
    "start": _times,
    "end": _times,
    "timeframe": st.sampled_from(["1m", "1h", "4h", "1d", "1w", "1M", "7m", "1s"]),
    "exchanges": st.lists(st.sampled_from(_EXCHANGES), min_size=1, max_size=3),
    "quotes": st.sampled_from([["USD"], "USD,USDC"]),
    "sort": st.sampled_from(["quoteVolume", "percentage", "volume"]),
    "window": st.sampled_from(["24h", "day", "4h", "7d", "9y"]),
    "base": st.sampled_from(["BTC", "eth", "NOPE"]),
    "quote": st.sampled_from(["USDT", "usd"]),
    "search": st.sampled_from(["BTC", "/US", ""]),
    "watch": st.sampled_from([WATCH, WATCH, "ticker-00000000"]),
    "cursor": st.sampled_from(["0", "1", "0.0", "99999999999999", "-1"]),
    "timeout": st.sampled_from([1, 55]),
}


def _right(name: str, schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    # An argument that may be left out is of one type, or null.
    schema = next((one for one in schema.get("anyOf", ()) if one["type"] != "null"), schema)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if name in _RIGHT:
        return _RIGHT[name]
    if schema["type"] == "boolean":
        return st.booleans()
    if schema["type"] == "array":
        return st.lists(_right("", schema["items"]), min_size=1, max_size=3)
    if schema["type"] == "string":
        return texts
    least, most = schema.get("minimum", 0), schema.get("maximum", 10**9)
    return st.one_of(st.integers(least, min(most, least + 20)), st.sampled_from([least, most]))


def _of(tool: Any) -> st.SearchStrategy[tuple[str, Any]]:
    known = tool.input_schema["properties"]
    required = tool.input_schema.get("required", ())
    right = {name: _right(name, schema) for name, schema in known.items()}
    good = st.fixed_dictionaries(
        {name: right[name] for name in required},
        optional={name: one for name, one in right.items() if name not in required},
    )
    names = st.sampled_from([*known, "refresh"]) | texts
    wrong = st.dictionaries(names, anything, max_size=2)
    nearly = st.builds(lambda one, other: {**one, **other}, good, wrong)
    return st.tuples(st.just(tool.name), mixed(good, good, nearly, nearly, nearly, wrong, anything))


arguments = mixed(*[_of(tool) for tool in tools()])
"""The name of a tool, and what it is called with."""

# ---------------------------------------------------------------------- resources

_parts = st.one_of(
    st.sampled_from(
        ["binance", "okx", "BTC-USDT", "btc-usdt", "ticker", "trades", "candles", "1h"]
    ),
    texts,
)
uris = mixed(
    st.builds(
        lambda exchange, pair, kind: f"market://{exchange}/{pair}/{kind}",
        st.sampled_from([*_EXCHANGES, "krakn"]),
        st.sampled_from(["BTC-USDT", "eth-usdt", "BTC%2dUSDT", "B%00-C", "NOPE-USDT"]),
        st.sampled_from(["ticker", "quote", "orderbook", "trades", "candles/1h", "candles/7m"]),
    ),
    st.lists(_parts, max_size=5).map(lambda parts: "market://" + "/".join(parts)),
    texts,
)
