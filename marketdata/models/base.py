"""The base of all records: frozen, typed, camelCase in JSON.

A value that the exchange did not give is None here and absent in JSON. Times are aware UTC
datetimes here and ISO-8601 with ``Z`` in JSON. Prices and sizes are floats that round-trip up to
15 significant digits; from a client made with ``numbers="decimal"`` they are Decimals, and text in
JSON. ``timestamp`` is the exchange's time, or ours if it sent none; ``received_at`` is our time
when the response was read. ``simulated`` is True on everything that came from the simulator and
None otherwise.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar

from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel

from marketdata import _above
from marketdata.models.decimals import Number, plain_json
from marketdata.models.shown import Shown

__all__ = [
    "Level",
    "Record",
    "Side",
    "StreamKind",
    "absent_not_null",
    "stamped",
]

Side: TypeAlias = Literal["buy", "sell"]
StreamKind: TypeAlias = Literal["ticker", "quote", "orderbook", "trades", "candles"]
Level: TypeAlias = tuple[Number, Number]
"""Price and size."""


class Record(Shown, BaseModel):
    """Base of all records."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        serialize_by_alias=True,
        defer_build=True,
    )

    if not TYPE_CHECKING:

        def __class_getitem__(cls, _form):
            return cls

    @classmethod
    def trusted(cls, fields: dict[str, Any]) -> Self:
        """Make a record of all its fields without validation.

        Validating an order book of a thousand levels takes longer than applying fifty changes to
        it, and validating a ticker takes a fifth of the call's time.
        """
        made = cls.__new__(cls)
        _set(made, "__dict__", fields)
        _set_field_names(made, _field_names(cls))
        _set_extra(made, None)
        _set_private(made, None)
        return made

    def to_dict(self) -> dict[str, Any]:
        """Return the record as JSON values: camelCase keys, nothing null, times as text."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    def to_json(self) -> str:
        """Return the record as one line of JSON, numbers without exponents; see `to_dict`."""
        return plain_json(self.model_dump_json(by_alias=True, exclude_none=True))

    def __repr__(self) -> str:
        return _above.briefly().one(self)

    @classmethod
    def json_schema(cls) -> dict[str, Any]:
        """Return the JSON Schema that `to_dict` satisfies."""
        schema: dict[str, Any] = absent_not_null(cls.model_json_schema(mode="serialization"))
        return schema


_set = object.__setattr__
# Half the time of setting these by their names.
_set_field_names, _set_extra, _set_private = (
    vars(BaseModel)[name].__set__
    for name in ("__pydantic_fields_set__", "__pydantic_extra__", "__pydantic_private__")
)


@functools.cache
def _field_names(record: type[Record]) -> set[str]:
    return set(record.model_fields)


def absent_not_null(schema: Any) -> Any:
    """Adapt pydantic's schema to the JSON: absent keys instead of nulls, no titles."""
    match schema:
        case {"anyOf": [*choices], **rest} if {"type": "null"} in choices:
            kept = [choice for choice in choices if choice != {"type": "null"}]
            inner = kept[0] if len(kept) == 1 else {"anyOf": kept}
            return absent_not_null({**rest, **inner})
        case {"properties": dict(properties), **rest}:
            return {
                **absent_not_null(rest),
                "properties": {name: absent_not_null(one) for name, one in properties.items()},
            }
        case dict():
            return {
                key: absent_not_null(value)
                for key, value in schema.items()
                if not (key == "title" or (key == "default" and value is None))
            }
        case list():
            return [absent_not_null(one) for one in schema]
    return schema


class _Sourced(Record):
    """Where and when an answer comes from."""

    exchange: str
    timestamp: datetime
    received_at: datetime
    simulated: Literal[True] | None = None


R = TypeVar("R", bound=Record)

_RECEIVED = "_received"
"""Stored next to the fields: when a stream received the record, by the monotonic clock."""


class _Streamed(_Sourced):
    """An answer that may also come from a stream."""

    fresh_for: float | None = None
    """Seconds after `received_at` within which the stream should send the next update; None if it
    is not from a stream, or if updates come only when something changes."""
    stale: Literal[True] | None = None
    """True if the stream was interrupted when this was returned; it reconnects meanwhile."""

    @property
    def age(self) -> float:
        """Seconds since it was received.

        Records from a stream of this process use the monotonic clock, others the time of day.
        """
        held = self.__dict__.get(_RECEIVED)
        if held is not None:
            return time.monotonic() - float(held)
        return (datetime.now(UTC) - self.received_at).total_seconds()

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        # Another process has another monotonic clock.
        state["__dict__"] = {k: v for k, v in state["__dict__"].items() if k != _RECEIVED}
        return state

    @property
    def is_stale(self) -> bool:
        """Whether its stream was interrupted, or has been silent for too long."""
        return self.stale is True or (self.fresh_for is not None and self.age > self.fresh_for)


def stamped(record: R, at: float) -> R:
    """Note when a stream of this process received a record, by the monotonic clock."""
    record.__dict__[_RECEIVED] = at
    return record


class _Derivable(Record):
    """A record that may be computed in part, or as a whole, from other calls."""

    derived: Literal[True] | None = None
    """True if any of it was."""
    derived_fields: tuple[str, ...] | None = None
    """Which fields, by their JSON names; None unless ``derived``."""

    def as_derived(self, names: Iterable[str] | None = None) -> Self:
        """Return a copy that marks fields as derived; None marks all that have a value.

        ``names`` are those in Python.
        """
        if names is None:
            names = [
                name
                for name in type(self).model_fields
                if name not in _ORIGIN and getattr(self, name) is not None
            ]
        fields = dict.fromkeys([*(self.derived_fields or ()), *map(to_camel, names)])
        return self.model_copy(update={"derived": True, "derived_fields": tuple(fields)})


_ORIGIN = {
    *("exchange", "pair", "window", "source", "timestamp", "received_at", "simulated"),
    *("open_time", "fresh_for", "stale", "derived", "derived_fields"),
}
"""Fields about the origin of a record."""
