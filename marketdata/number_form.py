"""The type of numbers for type checkers: floats, or Decimals with ``numbers="decimal"``.

``Client(numbers="decimal")`` is a ``Client[Decimal]``, whose ``ticker`` returns a
``Ticker[Decimal]``. ``Client`` and ``Ticker`` alone have floats. At run time these are the same
classes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Generic

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Number = TypeVar("Number", bound=float | Decimal, default=float)
    """A float, or a Decimal from a client made with ``numbers="decimal"``."""

    class Numbers(Generic[Number]):
        """What has numbers."""
else:
    Number = float

    class Numbers:
        """What has numbers."""

        __slots__ = ()

        def __class_getitem__(cls, _form):
            return cls
