"""Exchanges that could not be reached a moment ago, known to all processes of a machine.

One file each in a folder: the time until which the exchange is asked last is when the file was
last changed. A folder that cannot be used is as good as none.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

__all__ = ["LONGEST", "Avoided"]

LONGEST = 3600.0
"""Seconds at most; a time further ahead is one that a wrong clock has written."""


class Avoided:
    """Which exchanges, by where they are asked, failed a moment ago."""

    def __init__(self, folder: Path | None) -> None:
        """Keep it in a folder, which is made when needed; None keeps it in this process alone."""
        self._folder = folder
        self._until: dict[str, float] = {}

    def note(self, source: str, seconds: float) -> None:
        """Have an exchange asked last for so many seconds."""
        until = time.time() + min(seconds, LONGEST)
        self._until[source] = until
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._folder.mkdir(parents=True, exist_ok=True)
                file = self._file(self._folder, source)
                file.touch()
                os.utime(file, (until, until))

    def forget(self, source: str) -> None:
        """Note that an exchange has answered."""
        self._until.pop(source, None)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._file(self._folder, source).unlink()

    def is_avoided(self, source: str) -> bool:
        """Return whether an exchange is to be asked last."""
        until = self._until.get(source, 0.0)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                until = self._file(self._folder, source).stat().st_mtime
        return 0 < until - time.time() <= LONGEST

    @staticmethod
    def _file(folder: Path, source: str) -> Path:
        import hashlib  # a millisecond, and nothing of it for who names one exchange

        # An address has characters that a name of a file may not have.
        return folder / hashlib.sha256(source.encode()).hexdigest()[:32]
