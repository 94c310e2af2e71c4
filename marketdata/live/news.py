"""The news of a watch for one reader, by subject."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import WithJsonSchema

from marketdata.models import Candles, OrderBook, Quote, Record, StreamKind, Ticker
from marketdata.models.newest import Row, State, shortened

__all__ = ["Condition", "Doing", "News", "data_of", "doing"]

Doing: TypeAlias = Literal[
    "live", "connecting", "resyncing", "stale", "reconnecting", "ended", "failed"
]
"""The states of a stream, the worst last."""

_ELSEWHERE = frozenset(
    ("exchange", "pair", "window", "source", "receivedAt", "freshFor", "stale", "simulated")
)
"""Fields of a record that are written next to it, or that are constant in a watch."""


@dataclass(frozen=True)
class _Newest:
    """Returns the schema of the newest state of a kind."""

    kind: type[Record]

    def __get_pydantic_json_schema__(self, *_: Any) -> dict[str, Any]:
        properties = self.kind.json_schema()["properties"]
        there = {name: one for name, one in properties.items() if name not in _ELSEWHERE}
        return {"type": "object", "properties": there}


class _Candles:
    """Returns the schema of rows of candles."""

    def __get_pydantic_json_schema__(self, *_: Any) -> dict[str, Any]:
        schema: dict[str, Any] = Candles.json_schema()["properties"]["candles"]
        return schema


_TRADES = {
    "type": "array",
    "items": {
        "type": "array",
        "items": {"type": ["number", "string", "null"]},
        "minItems": 5,
        "maxItems": 5,
    },
}


class Condition(Record):
    """The state of a subject of a watch."""

    pair: str
    state: Doing
    age_ms: int | None = None
    """Milliseconds since the newest record was received; None before the first."""
    stale: bool
    """Whether the newest record may be outdated."""


class News(Condition):
    """The news of a subject for a reader: the newest state or rows, and the losses."""

    updates: int
    """The number of news for the reader."""
    unread: int
    """The number of news that are left for the next read."""
    dropped: int
    """The number of news that were dropped because the reader was too slow."""
    gaps: int
    ticker: Annotated[dict[str, Any], _Newest(Ticker)] | None = None
    quote: Annotated[dict[str, Any], _Newest(Quote)] | None = None
    orderbook: Annotated[dict[str, Any], _Newest(OrderBook)] | None = None
    candles: Annotated[list[Any], _Candles()] | None = None
    """Rows as in `Candles`: those that have changed."""
    trades: Annotated[list[Any], WithJsonSchema(_TRADES)] | None = None
    """Rows of time in Unix milliseconds, price, amount, side and id."""


def doing(subject: State) -> dict[str, Any]:
    """Return the fields of a `Condition`."""
    newest = subject.newest
    return {
        "pair": subject.stream.pair,
        "state": subject.stream.state,
        "age_ms": None if newest is None else round(newest.age * 1000),
        "stale": subject.is_stale,
    }


def data_of(kind: StreamKind, subject: State, rows: list[Row], most: int) -> dict[str, Any]:
    """Return the field of `News` with the data: rows, or the newest state."""
    newest = subject.newest
    if kind in ("trades", "candles"):
        return {kind: rows}
    if newest is None:
        return {}
    record = shortened(newest, most).to_dict()
    return {kind: {name: one for name, one in record.items() if name not in _ELSEWHERE}}
