"""Recordings of raw WebSocket frames and REST responses, with the time each was received.

A file is a sequence of gzip members, one for about each second of recording. So ``zcat`` and every
gzip reader can read it, more can be appended at any time, and a killed recorder loses only what it
had not flushed. The content is JSON lines. The first line of a recording is
``{"marketdata": "recording", "version": 1}``. Each other line is an array that begins with a time
in Unix nanoseconds::

    [time, connection, "open", exchange, url]       a socket was opened
    [time, connection, "sent", text]                we sent a frame
    [time, connection, "got", text]                 the exchange sent a frame
    [time, connection, "lost"]                      the socket was closed, by either side
    [time, 0, "rest", exchange, url, status, body]  the exchange answered a request

``connection`` numbers the sockets of a file from 1. Texts are unchanged.
"""

from __future__ import annotations

import contextlib
import errno
import gzip
import json
import os
import threading
import time
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Literal, NamedTuple, Self

Kind = Literal["open", "sent", "got", "lost", "rest"]

_HEADER_LINE = '{"marketdata": "recording", "version": 1}\n'
_FLUSH_AFTER = 1_000_000_000
"""Nanoseconds after which the next event ends a gzip member."""
_BEGINNING = 10_000
"""The number of first events that are searched for the exchanges of a recording."""
_LARGEST_MEMBER = 4_000_000
"""Characters after which a gzip member ends."""


class Event(NamedTuple):
    """One event of a recording."""

    time: int
    """Unix nanoseconds."""
    connection: int
    """The number of the socket; 0 for a request."""
    kind: Kind
    text: str = ""
    """The frame, or the body of a response."""
    exchange: str = ""
    """The exchange, for ``open`` and ``rest``."""
    url: str = ""
    """The URL, for ``open`` and ``rest``."""
    status: int = 0
    """The HTTP status, for ``rest``."""

    def line(self) -> str:
        """Return the event as a line of a file."""
        row: list[Any] = [self.time, self.connection, self.kind]
        if self.kind == "open":
            row += [self.exchange, self.url]
        elif self.kind == "rest":
            row += [self.exchange, self.url, self.status, self.text]
        elif self.kind != "lost":
            row.append(self.text)
        return json.dumps(row, separators=(",", ":"), ensure_ascii=False) + "\n"


class Writer:
    """Appends events to a file, which is created if needed. Threads may share a writer.

    Raises OSError if the file cannot be written, and ValueError if it is not a recording or is
    damaged.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self.is_new = not self.path.exists()
        """Whether the file is new."""
        if not self.is_new and self.path.stat().st_size and not is_recording(self.path):
            raise ValueError("it is not a recording")
        whole = 0 if self.is_new else _whole(self.path)
        # Unbuffered, so that Python does not retry failed writes later.
        self._file = self.path.open("ab", buffering=0)
        self._length = whole
        self._lines: list[str] = []
        self._size = self._new_frames = 0
        self._since = time.time_ns()
        self._lock = threading.Lock()
        self.error: OSError | None = None
        """Why nothing more is written, such as a full disk; None if there was no error."""
        self.events = self.frames = 0
        """The number of events on the disk, and of received frames among them."""
        self.lost = 0
        """The number of events that were lost because of `error`."""
        try:
            # A kill can leave half a member, and nothing after it could be read.
            if self.size < self.path.stat().st_size:
                self._file.truncate(whole)
            self._write(_HEADER_LINE)
        except OSError as error:
            error.filename = str(self.path)
            self._file.close()
            if self.is_new:
                self.path.unlink(missing_ok=True)
            raise

    def write(self, event: Event) -> None:
        """Add an event, which is on the disk about a second later.

        Raises nothing, because the caller is busy with a stream. See `error`.
        """
        line = event.line()
        with self._lock:
            if self.error is not None:
                self.lost += 1
                return
            self._lines.append(line)
            self._size += len(line)
            self._new_frames += event.kind == "got"
            if self._size > _LARGEST_MEMBER or time.time_ns() - self._since > _FLUSH_AFTER:
                self._try_to_flush()

    @property
    def size(self) -> int:
        """The size of the file in bytes, without events that are not flushed."""
        return self._length

    def flush(self) -> None:
        """Write all events to the disk; raises OSError if that fails now or has failed before."""
        with self._lock:
            self._try_to_flush()
        if self.error is not None:
            raise self.error

    def _try_to_flush(self) -> None:
        lines, self._lines, self._size = self._lines, [], 0
        frames, self._new_frames = self._new_frames, 0
        self._since = time.time_ns()
        if not lines:
            return
        try:
            self._write("".join(lines))
        except OSError as error:
            self.error = error
            self.lost += len(lines)
        else:
            self.events += len(lines)
            self.frames += frames

    def _write(self, lines: str) -> None:
        """Append a whole member or nothing; raises OSError."""
        # Writing to a deleted file succeeds, but the data would be lost.
        if not os.path.samestat(self.path.stat(), os.fstat(self._file.fileno())):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.path))
        left = memoryview(gzip.compress(lines.encode("utf-8", "replace"), 3))
        length = len(left)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._length)
            error.filename = str(self.path)
            raise
        self._length += length

    def close(self) -> None:
        """Flush and close the file; raises OSError if an event could not be written."""
        try:
            self.flush()
            # Some file systems report a full disk only when a file is closed.
            os.fsync(self._file.fileno())
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_recording(path: str | os.PathLike[str]) -> bool:
    """Return whether a file is a recording."""
    try:
        first = next(_lines(Path(path)), b"")
        found = json.loads(first)
    except (OSError, ValueError):
        return False
    return isinstance(found, dict) and found.get("marketdata") == "recording"


def read(path: str | os.PathLike[str]) -> Iterator[Event]:
    """Yield the events of a file in the order they were recorded.

    An event that a killed recorder wrote only in part is left out. Raises OSError if the file
    cannot be read, and ValueError if it is not a recording. If the file is damaged, ValueError is
    raised after the last readable event.
    """
    if not is_recording(path):
        raise ValueError(f"{path} is not a recording")
    offset = 0  # each recorder that appended to the file numbered its sockets from 1
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
    """Return the exchanges among the first events of a recording, in order."""
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
    """Yield the lines of all complete members."""
    with path.open("rb") as file:
        left = b""
        while True:
            unpacked, left = _member(file, left)
            if unpacked is None:
                return
            yield from unpacked.splitlines()


def _whole(path: Path) -> int:
    """Return the length of a file up to the end of its last complete member.

    Raises ValueError if anything but the beginning of a member follows it.
    """
    length = 0
    with path.open("rb") as file:
        left = b""
        while True:
            unpacked, left = _member(file, left)
            if unpacked is None:
                return length
            length = file.tell() - len(left)


def _member(file: BinaryIO, read_ahead: bytes) -> tuple[bytes | None, bytes]:
    """Unpack the next member; None at the end of the file, or if the rest is incomplete.

    Raises ValueError if the file is damaged.
    """
    unpack = zlib.decompressobj(31)
    parts: list[bytes] = []
    data = read_ahead
    while not unpack.eof:
        data = data or file.read(1 << 16)
        if not data:
            return None, b""
        try:
            parts.append(unpack.decompress(data))
        except zlib.error:
            raise ValueError(
                f"{file.name} is damaged: nothing after byte {file.tell() - len(data)} can be read"
            ) from None
        data = b""
    return b"".join(parts), unpack.unused_data
