"""Recorded frames in order of time."""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple


class Shot(NamedTuple):
    """A recorded frame: Unix milliseconds, its place among all of the recording, its text."""

    ms: int
    order: int
    text: str


class Reel:
    """Frames that belong together, oldest first."""

    def __init__(self) -> None:
        self.shots: list[Shot] = []

    def __len__(self) -> int:
        return len(self.shots)

    def add(self, ms: int, order: int, text: str) -> None:
        """Add the next frame."""
        self.shots.append(Shot(ms, order, text))

    def index(self, ms: int) -> int:
        """Return how many frames there are up to and including ``ms``."""
        return bisect_right(self.shots, ms, key=_ms)

    def between(self, after: int, until: int) -> list[Shot]:
        """Return the frames after ``after`` and up to ``until``."""
        return self.shots[self.index(after) : self.index(until)]


def _ms(shot: Shot) -> int:
    return shot.ms
