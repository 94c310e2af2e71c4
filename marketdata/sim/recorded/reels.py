"""Recorded frames in order of time."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import NamedTuple


class Shot(NamedTuple):
    """A recorded frame: Unix milliseconds, its place among all of the recording, its text."""

    ms: int
    order: int
    text: str
    answers: int | None = None
    """The place of the request that it answers, where requests are numbered."""


class Reel:
    """Frames that belong together, oldest first."""

    def __init__(self) -> None:
        self.shots: list[Shot] = []

    def __len__(self) -> int:
        return len(self.shots)

    def add(self, ms: int, order: int, text: str, answers: int | None = None) -> None:
        """Add the next frame."""
        self.shots.append(Shot(ms, order, text, answers))

    def index(self, ms: int) -> int:
        """Return how many frames there are up to and including ``ms``."""
        return bisect_right(self.shots, ms, key=_ms)

    def between(self, after: int, until: int) -> list[Shot]:
        """Return the frames after ``after`` and up to ``until``."""
        return self.shots[self.index(after) : self.index(until)]


def joined(reels: Iterable[Reel]) -> Reel:
    """Return one reel of several, on which the same was recorded: each goes on where one ended."""
    found = Reel()
    for reel in sorted([reel for reel in reels if len(reel)], key=lambda reel: reel.shots[0]):
        end = found.shots[-1].ms if found.shots else -1
        found.shots += reel.shots[reel.index(end) :]
    return found


def _ms(shot: Shot) -> int:
    return shot.ms
