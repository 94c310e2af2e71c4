"""What pages are made of: lines of styled text, tables, cards, ladders, charts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from marketdata.models import Candles

Span: TypeAlias = tuple[str, str]
"""A text and the name of its style."""
Line: TypeAlias = list[Span]

PLAIN = ""
FAINT = "dim"
STRONG = "bold"
UP = "green"
DOWN = "red"
LABEL = "cyan"
WARNING = "yellow"
# The user's own colours exchanged: legible on every palette.
SIMULATED = "reverse"

ABSENT = "–"

FIRST = 9
"""Columns that are never left out."""


@dataclass(frozen=True)
class Column:
    """A column of a table; ``keep`` says how long it stays where there is little room."""

    title: str
    cells: Sequence[str]
    keep: int = 5
    right: bool = True
    styles: Sequence[str] | str = PLAIN

    def style(self, row: int) -> str:
        """Return the style of one cell."""
        return self.styles if isinstance(self.styles, str) else self.styles[row]


@dataclass(frozen=True)
class Table:
    """Columns under their titles."""

    columns: Sequence[Column]
    earlier: int = 0
    """Rows that there are before the first."""

    @property
    def shown(self) -> list[Column]:
        """The columns that have something to show."""
        return [one for one in self.columns if any(cell.strip(f"{ABSENT} ") for cell in one.cells)]

    @property
    def remark(self) -> str:
        """What is said of earlier rows; empty where there are none."""
        return f"… {self.earlier:,} earlier" if self.earlier > 0 else ""


Entry: TypeAlias = tuple[str, str, str]
"""Label, value, style of the value."""


@dataclass(frozen=True)
class Facts:
    """Labelled values, in two columns where there is room."""

    left: Sequence[Entry]
    right: Sequence[Entry] = ()

    @property
    def known(self) -> tuple[list[Entry], list[Entry]]:
        """Both columns, without what is not known."""
        left, right = (
            [entry for entry in side if entry[1].strip(ABSENT)] for side in (self.left, self.right)
        )
        return left, right


@dataclass(frozen=True)
class Track:
    """Where a price stands between the lowest and the highest: share 0 to 1."""

    low: str
    high: str
    share: float


@dataclass(frozen=True)
class Rung:
    """One level of a ladder; ``share`` is its total as a part of the largest."""

    price: str
    size: str
    total: str
    share: float
    whose: str = ""


@dataclass(frozen=True)
class Ladder:
    """Both sides of an order book, the dearest level first, and what is said between them."""

    titles: tuple[str, str, str]
    asks: Sequence[Rung]
    middle: str
    bids: Sequence[Rung]

    @property
    def is_quoted(self) -> bool:
        """Whether levels say who quotes them."""
        return any(one.whose for one in (*self.asks, *self.bids))


@dataclass(frozen=True)
class Chart:
    """Candlesticks; the room that is left is theirs."""

    record: Candles


@dataclass(frozen=True)
class Meter:
    """How far some work is."""

    what: str
    done: int
    total: int

    @property
    def share(self) -> float:
        """The part that is done: 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def said(self) -> str:
        """The same in words."""
        return f"{self.share:.0%}  {self.done:,} of {self.total:,}"


@dataclass(frozen=True)
class Card:
    """A frame with a title, and a word in its corner."""

    title: Line
    corner: Line
    body: Sequence[Line | Track | Facts]


Element: TypeAlias = "Line | Table | Facts | Track | Ladder | Chart | Meter | Card"
Page: TypeAlias = list["Element"]
