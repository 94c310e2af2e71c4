"""A process on a terminal whose screen can be read as text."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
import threading

import warm
from waiting import joined, until

_PART = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|(\r)|(\n)|([^\x1b\r\n]+)")


class Picture:
    """The screen of a terminal that supports only the codes of this program."""

    def __init__(self):
        self.rows = {}
        self.row = self.column = 0
        self.is_alternate = False
        self.shows_cursor = True
        self._behind = ({}, 0, 0)
        """The content and the cursor that are restored when the alternate screen ends."""
        self._unread = ""

    def feed(self, text):
        text = self._unread + text
        end = 0
        for match in _PART.finditer(text):
            if match.start() != end:
                break
            end = match.end()
            numbers, code, back, feed, plain = match.groups()
            if code:
                self._obey(numbers, code)
            elif back:
                self.column = 0
            elif feed:
                self.row += 1
            else:
                line = self.rows.get(self.row, "").ljust(self.column)
                after = line[self.column + len(plain) :]
                self.rows[self.row] = line[: self.column] + plain + after
                self.column += len(plain)
        self._unread = text[end:]

    def _obey(self, numbers, code):
        match code, numbers:
            case "h" | "l", "?1049":
                self.is_alternate = code == "h"
                here = (self.rows, self.row, self.column)
                (self.rows, self.row, self.column), self._behind = self._behind, here
            case "h" | "l", "?25":
                self.shows_cursor = code == "h"
            case "h" | "l", "?2026":
                pass
            case "H", _:
                row, _, column = (numbers or "1;1").partition(";")
                self.row, self.column = int(row) - 1, int(column) - 1
            case "J", "2":
                self.rows = {}
            case "K", "0" | "":
                self.rows[self.row] = self.rows.get(self.row, "")[: self.column]
            case "m", _:
                pass
            case _:
                raise AssertionError(f"an unexpected code: {numbers!r} {code!r}")

    @property
    def lines(self):
        last = max((row for row, text in self.rows.items() if text.strip()), default=-1)
        return [self.rows.get(row, "").rstrip() for row in range(last + 1)]


class LiveTerminal:
    """A process on a separate terminal."""

    def __init__(self, line, env, columns=80, rows=24):
        self.ours, self._theirs = pty.openpty()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            line,
            env=env,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            start_new_session=True,
            preexec_fn=warm.take_terminal,
        )
        self.picture = Picture()
        self.received = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def resize(self, columns, rows):
        fcntl.ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def _read(self):
        while True:
            try:
                part = os.read(self.ours, 65536)
            except OSError:
                return
            if not part:
                return
            self.received += part
            self.picture.feed(part.decode(errors="ignore"))

    def type(self, text):
        os.write(self.ours, text.encode())

    def until(self, wanted):
        """Wait until the picture meets a condition, and return its lines."""
        until(
            lambda: wanted(self.picture.lines),
            what=lambda: "\n".join(self.picture.lines),
            process=self.process,
        )
        return self.picture.lines

    def end(self):
        """Wait for the end, and return the exit code."""
        code = self.process.wait(timeout=30)
        os.close(self._theirs)
        self._theirs = None
        joined(self._reader)
        return code

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        if self._theirs is not None:
            self.end()
        os.close(self.ours)
