"""The elements of a page: lines of styled text, tables, cards, ladders, charts."""

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
# Foreground and background swapped: readable with every colour scheme.
SIMULATED = "reverse"

ABSENT = "–"

FIRST = 9
"""The priority of columns that are never left out."""


@dataclass(frozen=True)
class Column:
    """A column of a table; a narrow screen drops the columns with the lowest ``keep`` first."""

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
    """Columns with their titles."""

    columns: Sequence[Column]
    earlier: int = 0
    """The number of rows before the first one shown."""

    @property
    def shown(self) -> list[Column]:
        """The columns that are not empty."""
        return [one for one in self.columns if any(cell.strip(f"{ABSENT} ") for cell in one.cells)]

    @property
    def remark(self) -> str:
        """A line about the earlier rows; empty when there are none."""
        return f"… {self.earlier:,} earlier" if self.earlier > 0 else ""


Entry: TypeAlias = tuple[str, str, str]
"""A label, its value, and the style of the value."""


@dataclass(frozen=True)
class Facts:
    """Labelled values, in two columns when the screen is wide enough."""

    left: Sequence[Entry]
    right: Sequence[Entry] = ()

    @property
    def known(self) -> tuple[list[Entry], list[Entry]]:
        """Both columns without the values that are unknown."""
        left, right = (
            [entry for entry in side if entry[1].strip(ABSENT)] for side in (self.left, self.right)
        )
        return left, right


@dataclass(frozen=True)
class Track:
    """The position of a price between the lowest (share 0) and the highest (share 1)."""

    low: str
    high: str
    share: float


@dataclass(frozen=True)
class Rung:
    """One level of a ladder; ``share`` is its total divided by the largest total."""

    price: str
    size: str
    total: str
    share: float
    whose: str = ""


@dataclass(frozen=True)
class Ladder:
    """Both sides of an order book, highest price first, and the line between them."""

    titles: tuple[str, str, str]
    asks: Sequence[Rung]
    middle: str
    bids: Sequence[Rung]

    @property
    def is_quoted(self) -> bool:
        """Whether the levels name the exchange that quotes them."""
        return any(one.whose for one in (*self.asks, *self.bids))


@dataclass(frozen=True)
class Chart:
    """Candlesticks; they fill the space that the other elements leave."""

    record: Candles


@dataclass(frozen=True)
class Meter:
    """The progress of some work."""

    what: str
    done: int
    total: int

    @property
    def share(self) -> float:
        """The part of the work that is done: 0 to 1."""
        return self.done / self.total if self.total else 1.0

    @property
    def said(self) -> str:
        """The progress as text."""
        return f"{self.share:.0%}  {self.done:,} of {self.total:,}"


@dataclass(frozen=True)
class Card:
    """A frame with a title and a word in its corner."""

    title: Line
    corner: Line
    body: Sequence[Line | Track | Facts]


Element: TypeAlias = "Line | Table | Facts | Track | Ladder | Chart | Meter | Card"
Page: TypeAlias = list["Element"]
