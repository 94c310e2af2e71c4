"""Requests of a socket that carry a number, and the frames that answer with that number."""

from __future__ import annotations

import json
import re
from collections import Counter


class Echoes:
    """The numbered requests that were sent on the sockets of one path, in the order recorded."""

    def __init__(self) -> None:
        self.numbers: list[str] = []
        """The number of each request."""
        self.kinds: list[str] = []
        """What each asks for besides."""
        self.later: set[int] = set()
        """Places of the requests that were sent when the first answer had come."""
        self._places: dict[str, list[int]] = {}
        self._open: dict[tuple[int, str], int] = {}
        self._answered = False

    def ask(self, connection: int, text: str) -> None:
        """Take in a message of the client."""
        found = _numbered(text)
        if found is None:
            return
        number, what = found
        place = len(self.numbers)
        self.numbers.append(number)
        self.kinds.append(what)
        self._places.setdefault(what, []).append(place)
        self._open[connection, number] = place
        if self._answered:
            self.later.add(place)

    def answers(self, connection: int, text: str) -> int | None:
        """Return the place of the request that a frame is the first to answer, if there is one."""
        if not self._open or '"id"' not in text:
            return None
        found = _numbered(text)
        place = self._open.pop((connection, found[0]), None) if found else None
        self._answered = self._answered or place is not None
        return place

    def meant(self, text: str, turns: Counter[str]) -> tuple[int, str] | None:
        """Return the place of the request that a new message repeats, and the message's number.

        ``turns`` counts what was sent before. None: nothing of the kind was recorded.
        """
        found = _numbered(text)
        if found is None:
            return None
        number, what = found
        places = self._places.get(what)
        if places is None:
            return None
        turns[what] += 1
        return places[min(turns[what], len(places)) - 1], number


def renumbered(text: str, old: str, new: str) -> str:
    """Return a frame with another number, in quotes if the old or the new one needs them."""

    def other(match: re.Match[str]) -> str:
        return match[1] + (json.dumps(new) if match[2] or not new.isdecimal() else new)

    return re.sub(rf'("id"\s*:\s*)("?){re.escape(old)}\2(?!\w)', other, text, count=1)


def _numbered(text: str) -> tuple[str, str] | None:
    """Return the number of a message, and what else it says, without the time of sending."""
    try:
        body = json.loads(text)
    except ValueError:
        return None
    number = body.pop("id", None) if isinstance(body, dict) else None
    if not isinstance(number, str | int):
        return None
    said = {name: one for name, one in body.items() if not isinstance(one, int | float)}
    return str(number), json.dumps(said, sort_keys=True)
