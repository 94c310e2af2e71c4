"""Recordings of sockets and answers, taken apart so that they can be played again."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from marketdata._exchanges import recording
from marketdata.sim.recorded.books import BOOKS, KeptBook
from marketdata.sim.recorded.dialects import READERS, Played, Reader, Subject
from marketdata.sim.recorded.echoes import Echoes
from marketdata.sim.recorded.reels import Reel, joined

_NAMING = ("symbol", "symbols", "instId", "pair", "product_id", "market")
"""Parameters that say what an answer is about."""


class Answer(NamedTuple):
    """A request that was answered: when, what was asked, and what the answer was."""

    ms: int
    query: dict[str, str]
    status: int
    body: str


class Film:
    """What was recorded of one exchange."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.frames: dict[str, Reel] = {}
        """All frames of the sockets of each path, of an exchange that is not spoken here."""
        self.echoes: dict[str, Echoes] = {}
        """What was asked for by number on these sockets."""
        self._reader: Reader | None = READERS.get(name)
        self._reels: dict[Subject, dict[int, Reel]] = {}
        self._joined: dict[Subject, Reel] = {}
        self._answers: dict[str, list[Answer]] = {}
        self._books: dict[Subject, KeptBook] = {}
        self._asked: Counter[str] = Counter()
        self._echoed: list[int] = []

    def awaits(self, after: int, until: int) -> bool:
        """Return whether a request has not been made yet that was answered in this time."""
        return any(
            sum(after < one.ms <= until for one in answers) > self._asked[path]
            for path, answers in self._answers.items()
        )

    def answered(self) -> Iterator[int]:
        """Yield the times of all answers."""
        yield from (one.ms for answers in self._answers.values() for one in answers)
        yield from self._echoed

    @property
    def source(self) -> Any:
        """What the sessions of the exchange's dialect are opened with."""
        return self._reader and self._reader.source(self._play)

    def add_answer(self, url: str, answer: Answer) -> None:
        """Take in an answered request."""
        path = _bare(self.name, urlsplit(url).path)
        self._answers.setdefault(path, []).append(answer)

    def add_path(self, path: str) -> None:
        """Take in that a socket was opened."""
        self.frames.setdefault(path, Reel())
        self.echoes.setdefault(path, Echoes())

    def add_frame(self, connection: int, path: str, ms: int, order: int, text: str) -> None:
        """Take in a frame that the exchange sent on a socket."""
        if self._reader is None:
            answers = self.echoes[path].answers(connection, text)
            self.frames[path].add(ms, order, text, answers)
            if answers is not None:
                self._echoed.append(ms)
            return
        found = self._reader.read(text)
        if found is not None:
            subject, own = found
            reels = self._reels.setdefault(subject, {})
            reels.setdefault(connection, Reel()).add(ms, order, own)

    def learn(self, connection: int, path: str, text: str) -> None:
        """Take in what the client asked for: there is such a thing, even if nothing came."""
        if self._reader is None:
            self.echoes[path].ask(connection, text)
            return
        for subject in self._reader.asked(text):
            self._reels.setdefault(subject, {})

    def answer(self, path: str, query: Mapping[str, str], now: int) -> tuple[int, str] | None:
        """Return what is answered at ``now``, status and body, if it can be told.

        A book is told from what was streamed. Otherwise it is the newest answer to the same
        request, or the first one where that is yet to come, or an answer to a request that
        differs only in parameters that do not say what it is about.
        """
        self._asked[path] += 1
        if self._reader is not None:
            subject = self._reader.book_of(path, query)
            book = self._book(subject) if subject else None
            body = book.answer(now, query) if book else None
            if body is not None:
                return 200, body
        answers = self._answers.get(path, [])
        same = [one for one in answers if one.query == dict(query)]
        alike = [one for one in answers if _named(one.query) == _named(query)]
        for found in (same, alike):
            if found:
                before = [one for one in found if one.ms <= now]
                chosen = before[-1] if before else found[0]
                return chosen.status, chosen.body
        return None

    def _play(self, subject: Subject, channel: str, symbol: str, key: str) -> Played | None:
        reel = self._reel(subject)
        return None if reel is None else Played(channel, symbol, key, reel, self._book(subject))

    def _reel(self, subject: Subject) -> Reel | None:
        if subject not in self._joined:
            reels = self._reels.get(subject)
            if reels is None:
                return None
            self._joined[subject] = joined(reels.values())
        return self._joined[subject]

    def _book(self, subject: Subject) -> KeptBook | None:
        if subject not in self._books:
            make = BOOKS.get((self.name, subject.channel))
            reel = self._reel(subject)
            if make is None or reel is None:
                return None
            self._books[subject] = make(reel, self._snapshots(subject))
        return self._books[subject]

    def _snapshots(self, subject: Subject) -> list[tuple[int, str]]:
        reader = self._reader
        return [
            (answer.ms, answer.body)
            for path, answers in self._answers.items()
            for answer in answers
            if reader is not None and reader.book_of(path, answer.query) == subject
        ]


class Recording:
    """A recording of any number of exchanges; ``begin`` and ``end`` are Unix milliseconds.

    ``begin`` is just before the first frame. Raises ValueError when the file cannot be read or
    holds no frame.
    """

    def __init__(self, path: Path) -> None:
        self.films: dict[str, Film] = {}
        self.times: list[int] = []
        self.end = 0
        places: dict[int, tuple[Film, str]] = {}
        for order, event in enumerate(recording.read(path), 1):
            ms = event.time // 1_000_000
            self.end = max(self.end, ms)
            if event.exchange:
                film = self.films.setdefault(event.exchange, Film(event.exchange))
                if event.kind == "rest":
                    query = dict(parse_qsl(urlsplit(event.url).query, keep_blank_values=True))
                    film.add_answer(event.url, Answer(ms, query, event.status, event.text))
                else:
                    place = _bare(film.name, urlsplit(event.url).path or "/")
                    film.add_path(place)
                    places[event.connection] = film, place
            elif event.connection in places:
                film, place = places[event.connection]
                if event.kind == "got":
                    # Clocks may be set while recording.
                    ms = max(ms, self.times[-1] if self.times else 0)
                    self.times.append(ms)
                    film.add_frame(event.connection, place, ms, order, event.text)
                elif event.kind == "sent":
                    film.learn(event.connection, place, event.text)
        if not self.times:
            raise ValueError(f"{path}: there is no frame in the recording")
        self.end = max(self.end, self.times[-1])
        self.begin = self.times[0] - 1

    def awaits(self, until: int) -> bool:
        """Return whether clients have still to ask for what was answered up to then."""
        return any(film.awaits(self.begin, until) for film in self.films.values())

    def next_answer(self, ms: int, until: int) -> int:
        """Return when the next request was answered, or ``until`` where none was before."""
        times = (one for film in self.films.values() for one in film.answered())
        return min((one for one in times if ms < one < until), default=until)

    def later(self, ms: int, count: int) -> int:
        """Return the time of the frame that is ``count`` frames after ``ms``, or the end."""
        index = bisect_right(self.times, ms) + count - 1
        return self.times[index] if index < len(self.times) else self.end


def recording_of(paths: list[Path]) -> Recording | None:
    """Return the recording among ``paths``, if there is one.

    Raises ValueError when there is something beside it, and when it cannot be read.
    """
    if not any(recording.is_recording(path) for path in paths):
        return None
    if len(paths) > 1:
        raise ValueError("a recording of streams is played alone, without other tapes")
    return Recording(paths[0])


def _bare(name: str, path: str) -> str:
    """Return a path without the name of the exchange that a simulator puts before it."""
    return path.removeprefix(f"/{name}") if path.startswith(f"/{name}/") else path


def _named(query: Mapping[str, str]) -> dict[str, str]:
    return {name: query[name] for name in _NAMING if name in query}
