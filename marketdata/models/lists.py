"""Lists of records that say which of the records asked for are not in them, and why."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Self, TypeVar

from marketdata.errors import MarketDataError
from marketdata.models.records import Record

__all__ = ["Missing", "Records"]

T = TypeVar("T")


class Missing(Record):
    """A pair that was asked for by name and has nothing to give, and why."""

    exchange: str
    pair: str
    code: str
    """The code of the error that a call for this pair alone would raise."""
    message: str

    @classmethod
    def of(cls, exchange: str, pair: str, error: MarketDataError) -> Self:
        """Make it of the error."""
        return cls(exchange=exchange, pair=pair, code=error.code, message=error.message)


class Records(list[T]):
    """A list of records, as any list, with those that could not be had beside it.

    ``errors`` is empty where nothing is missing, and where no pairs were named.
    """

    errors: tuple[Missing, ...]

    def __init__(self, records: Iterable[T] = (), errors: Iterable[Missing] = ()) -> None:
        super().__init__(records)
        self.errors = tuple(errors)
