"""Recordings of what exchanges sent: raw frames and answers, with the time each was received.

A file is a row of gzip members, one for each second or so of recording, so that ``zcat`` and
every gzip reader understand it, more can be appended at any time, and a recorder that is killed
loses at most what it had not flushed. Inside are lines of JSON. The first of a recording is
``{"marketdata": "recording", "version": 1}``, each other is an array that begins with a time in
Unix nanoseconds::

    [time, connection, "open", exchange, url]       a socket was opened
    [time, connection, "sent", text]                we sent a frame
    [time, connection, "got", text]                 the exchange sent a frame
    [time, connection, "lost"]                      the socket was closed, by whomever
    [time, 0, "rest", exchange, url, status, body]  a request was answered

``connection`` numbers the sockets of a file from 1 on. Texts are as they were on the wire.
"""

from __future__ import annotations

import gzip
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Literal, NamedTuple, Self

__all__ = ["Event", "Writer", "exchanges_in", "is_recording", "read"]

Kind = Literal["open", "sent", "got", "lost", "rest"]

_HEADER = {"marketdata": "recording", "version": 1}
_FLUSH_AFTER = 1_000_000_000
"""Nanoseconds after which a member is ended by the next event."""
_BEGINNING = 10_000
"""Events among which every exchange of a recording appears."""
_LARGEST_MEMBER = 4_000_000
"""Characters after which it is as well."""


class Event(NamedTuple):
    """One thing that happened while recording."""

    time: int
    """Unix nanoseconds."""
    connection: int
    """Number of the socket; 0 for a request."""
    kind: Kind
    text: str = ""
    """The frame, or the body of an answer."""
    exchange: str = ""
    """Of ``open`` and ``rest``."""
    url: str = ""
    """Of ``open`` and ``rest``."""
    status: int = 0
    """Of ``rest``: the HTTP status."""

    def line(self) -> str:
        """Give the event as a line of a file."""
        row: list[Any] = [self.time, self.connection, self.kind]
        if self.kind == "open":
            row += [self.exchange, self.url]
        elif self.kind == "rest":
            row += [self.exchange, self.url, self.status, self.text]
        elif self.kind != "lost":
            row.append(self.text)
        return json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n"


class Writer:
    """Appends events to a file, which is made where it is not there. May be shared by threads.

    Raises OSError where the file cannot be written, ValueError where it is something else than a
    recording.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.is_new = not self.path.exists()
        """Whether there was no such file."""
        if not self.is_new and self.path.stat().st_size and not is_recording(self.path):
            raise ValueError(f"{self.path} is there already, and is not a recording")
        self._file: BinaryIO = self.path.open("ab")
        # Nothing behind a member that a kill has torn could be read.
        self._file.truncate(_whole(self.path))
        self._lines: list[str] = [json.dumps(_HEADER) + "\n"]
        self._size = 0
        self._since = time.time_ns()
        self._lock = threading.Lock()
        self.events = self.frames = 0
        """Events written so far, and the frames received among them."""

    def write(self, event: Event) -> None:
        """Add an event; it is on the disk about a second later."""
        line = event.line()
        with self._lock:
            self._lines.append(line)
            self._size += len(line)
            self.events += 1
            self.frames += event.kind == "got"
            if self._size > _LARGEST_MEMBER or time.time_ns() - self._since > _FLUSH_AFTER:
                self._flush()

    @property
    def size(self) -> int:
        """Bytes of the file, without what is not flushed yet."""
        return self._file.tell()

    def flush(self) -> None:
        """Bring all that was written to the disk."""
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        self._since = time.time_ns()
        if lines:
            # One write: a file is appended to as a whole member or, when killed, a part of one.
            self._file.write(gzip.compress("".join(lines).encode("utf-8", "replace"), 3))
            self._file.flush()

    def close(self) -> None:
        """Flush, and let go of the file."""
        self.flush()
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is a recording."""
    try:
        first = next(_lines(Path(path)), b"")
        found = json.loads(first)
    except (OSError, ValueError, zlib.error):
        return False
    return isinstance(found, dict) and found.get("marketdata") == "recording"


def read(path: str | os.PathLike[str]) -> Iterator[Event]:
    """Yield the events of a file in the order in which they happened.

    What a killed recorder left half written is left out. Raises OSError where the file cannot be
    read, ValueError where it is not a recording or is damaged in the middle.
    """
    if not is_recording(path):
        raise ValueError(f"{path} is not a recording")
    offset = 0  # several recorders in turn have each numbered their sockets from 1
    highest = 0
    for number, line in enumerate(_lines(Path(path)), 1):
        try:
            row = json.loads(line)
            if isinstance(row, dict):
                offset = highest
                continue
            event = _event(row, offset)
        except (ValueError, TypeError, IndexError) as error:
            raise ValueError(f"{path}: line {number} cannot be read") from error
        highest = max(highest, event.connection)
        yield event


def exchanges_in(path: str | os.PathLike[str]) -> tuple[str, ...]:
    """Name the exchanges that a recording begins with, in the order in which they come."""
    beginning = islice(read(path), _BEGINNING)
    return tuple(dict.fromkeys(event.exchange for event in beginning if event.exchange))


def _event(row: list[Any], offset: int) -> Event:
    at, connection, kind = int(row[0]), int(row[1]), row[2]
    connection += offset if connection else 0
    match kind:
        case "open":
            return Event(at, connection, kind, exchange=str(row[3]), url=str(row[4]))
        case "rest":
            exchange, url, status, text = row[3:7]
            return Event(at, connection, kind, str(text), str(exchange), str(url), int(status))
        case "sent" | "got":
            return Event(at, connection, kind, str(row[3]))
        case "lost":
            return Event(at, connection, kind)
    raise ValueError("unknown kind")


def _lines(path: Path) -> Iterator[bytes]:
    """Yield the lines of all members that are whole."""
    with path.open("rb") as file:
        left = b""
        while True:
            unpacked, left = _member(file, left)
            if unpacked is None:
                return
            yield from unpacked.splitlines()


def _whole(path: Path) -> int:
    """Give the length of a file up to the end of its last whole member."""
    length = 0
    with path.open("rb") as file:
        left = b""
        while True:
            unpacked, left = _member(file, left)
            if unpacked is None:
                return length
            length = file.tell() - len(left)


def _member(file: BinaryIO, read_ahead: bytes) -> tuple[bytes | None, bytes]:
    """Unpack the next member; None at the end, or where the rest was cut off."""
    unpack = zlib.decompressobj(31)
    parts: list[bytes] = []
    data = read_ahead
    while not unpack.eof:
        data = data or file.read(1 << 16)
        if not data:
            return None, b""
        parts.append(unpack.decompress(data))
        data = b""
    return b"".join(parts), unpack.unused_data
