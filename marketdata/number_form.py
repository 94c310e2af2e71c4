"""In which form numbers are, for type checkers: floats, or Decimals where these were asked for.

``Client(numbers="decimal")`` is a ``Client[Decimal]``: its ``ticker`` gives a ``Ticker[Decimal]``.
``Client`` and ``Ticker`` alone have floats. When a program runs, these are the same classes.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Generic

if TYPE_CHECKING:
    from typing_extensions import TypeVar

    Number = TypeVar("Number", bound=float | Decimal, default=float)
    """A float; a Decimal in what a client made with ``numbers="decimal"`` gives."""

    class Numbers(Generic[Number]):
        """What has numbers."""
else:
    Number = float

    class Numbers:
        """What has numbers."""

        __slots__ = ()

        def __class_getitem__(cls, _form):
            return cls
