"""A watch with its reader's position, and the time of the last read."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from marketdata.errors import InvalidParameterError
from marketdata.live.watch import LiveWatch

__all__ = ["Reading"]

_SHOWN = 60
"""Maximum characters of a caller's text in an error."""


class Reading:
    """A watch that is polled; each read continues at the reader's position.

    A cursor is that position. An unread watch should stop; its owner checks that.
    """

    def __init__(self, name: str, live: LiveWatch, idle: float) -> None:
        """Name a watch; it should stop after ``idle`` seconds without a read."""
        self.name = name
        self.live = live
        self.had: list[int] = []
        """The furthest position of any answer, for each subject."""
        self._readers = 0
        self._idle = idle
        self._read_at = asyncio.get_running_loop().time()

    async def open(self, seconds: float) -> None:
        """Start to watch, and wait for the first data.

        Raises the errors of a call for the same data.
        """
        self._readers += 1
        await self.live.open()
        self.had = [0] * len(self.live.subjects)
        await self.live.first(seconds)
        if self.live.error is not None:
            raise self.live.error
        self.live.look()
        self._leave()

    def _leave(self) -> None:
        self._readers -= 1
        self._read_at = asyncio.get_running_loop().time()

    @property
    def idle(self) -> float:
        """Seconds since it was last read."""
        return 0.0 if self._readers else asyncio.get_running_loop().time() - self._read_at

    @property
    def left(self) -> float:
        """Seconds until it stops unless it is read."""
        return self._idle - self.idle

    @property
    def stops_at(self) -> datetime:
        """The time at which it stops without a read, in whole seconds."""
        return (datetime.now(UTC) + timedelta(seconds=self.left)).replace(microsecond=0)

    async def wait(self, cursor: str | None, seconds: float | None) -> tuple[list[int], bool]:
        """Wait for news after a cursor, or after the furthest answer if it is None.

        Returns the reader's position, and whether there are news or the watch has ended. Raises
        `InvalidParameterError` for a cursor that does not belong to this watch.
        """
        positions = self._positions(cursor)
        self._readers += 1
        try:
            return positions, seconds is None or await self.live.wait(positions, seconds)
        finally:
            self._leave()

    def _positions(self, cursor: str | None) -> list[int]:
        if cursor is None:
            return list(self.had)
        counts = self.live.positions
        parts = cursor.split(".")
        sound = len(parts) == len(counts) and all(
            part.isascii() and part.isdigit() and len(part) < 16 and int(part) <= count
            for part, count in zip(parts, counts, strict=True)
        )
        if not sound:
            raise InvalidParameterError(
                f"cursor is what `next` of an answer about {self.name} holds; "
                f"was {cursor[:_SHOWN]!r}.",
                details={"parameter": "cursor"},
            )
        return [int(part) for part in parts]

    def note(self, positions: Sequence[int]) -> str:
        """Note the position after an answer, and return its cursor."""
        self.had = [max(pair) for pair in zip(self.had, positions, strict=True)]
        return ".".join(map(str, positions))

    def behind(self) -> tuple[int, int]:
        """Count the news that no answer has had yet, and the dropped ones."""
        counts = [
            subject.behind(had) for subject, had in zip(self.live.subjects, self.had, strict=True)
        ]
        return sum(unread for unread, _ in counts), sum(lost for _, lost in counts)
