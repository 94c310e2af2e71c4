"""Lists of records that also name the requested records that are missing, and why."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self, SupportsIndex, TypeVar, overload

from marketdata import _above
from marketdata.errors import InvalidParameterError, MarketDataError
from marketdata.models import Record
from marketdata.models.shown import Shown, written

__all__ = ["Missing", "Records"]

T = TypeVar("T")


class Missing(Record):
    """A requested pair without data, and why."""

    exchange: str
    pair: str
    code: str
    """The code of the error that a call for this pair alone would raise."""
    message: str

    @classmethod
    def of(cls, exchange: str, pair: str, error: MarketDataError) -> Self:
        """Make it of the error."""
        return cls(exchange=exchange, pair=pair, code=error.code, message=error.message)


class Records(Shown, list[T]):
    """A list of records, and in ``errors`` the requested pairs without data.

    Notebooks show it as a table; `to_pandas` and the others convert it. ``errors`` is empty if
    nothing is missing, or if no pairs were requested by name. ``of`` is the class of the records,
    also for an empty list; None if unknown.
    """

    errors: tuple[Missing, ...]
    of: type[Record] | None

    def __init__(
        self,
        records: Iterable[T] = (),
        errors: Iterable[Missing] = (),
        *,
        of: type[Record] | None = None,
    ) -> None:
        super().__init__(records)
        self.errors = tuple(errors)
        self.of = of
        if of is None and self and isinstance(self[0], Record):
            self.of = type(self[0])

    @overload
    def __getitem__(self, index: SupportsIndex) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> Records[T]: ...
    def __getitem__(self, index: Any) -> T | Records[T]:
        """Return a record, or the records of a slice."""
        found = super().__getitem__(index)
        return Records(found, of=self.of) if isinstance(index, slice) else found

    def sorted_by(self, field: str, *, ascending: bool = True) -> Records[T]:
        """Return the records in the order of a field; those that lack it come last.

        Raises `InvalidParameterError` for a field that they do not have.
        """
        self.check_fields([field])
        known = [one for one in self if getattr(one, field) is not None]
        known.sort(key=lambda one: getattr(one, field), reverse=not ascending)
        unknown = [one for one in self if getattr(one, field) is None]
        return Records([*known, *unknown], self.errors, of=self.of)

    def check_fields(self, names: Iterable[str]) -> None:
        """Raise `InvalidParameterError` for a name that is no field of the records."""
        fields = {} if self.of is None else self.of.model_fields
        for name in names:
            if self.of is not None and name not in fields:
                raise InvalidParameterError(
                    f"{self.of.__name__} has no '{name[:30]}'; it has {', '.join(fields)}.",
                    details={"parameter": name[:30]},
                )

    def to_csv(
        self,
        path: str | Path | None = None,
        *,
        columns: Sequence[str] | None = None,
        raw: bool = False,
    ) -> str | None:
        """Write CSV with a header, numbers without exponents; return the text without a path.

        ``columns`` names fields, for only those in their order. A text that a spreadsheet would
        calculate gets an apostrophe before it, unless ``raw``. Raises `InvalidParameterError` for
        a field that the records do not have.
        """
        self.check_fields(columns or ())
        return written(_above.tables().to_csv(self, columns, raw=raw), path)

    def __repr__(self) -> str:
        return _above.briefly().several(self, type(self).__name__)
