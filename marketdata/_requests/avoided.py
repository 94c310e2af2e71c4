"""Exchanges that could not be reached recently, shared by all processes of a machine.

Each has a file in a folder; its modification time is the time until which the exchange is tried
last. A folder that cannot be used is ignored.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from marketdata.machine import private_folder

LONGEST = 3600.0
"""Maximum seconds; a later time was written by a wrong clock."""


class Avoided:
    """Exchanges that failed recently, by name and address."""

    def __init__(self, folder: Path | None) -> None:
        """Use a folder, which is created when needed; None keeps the state in this process only."""
        self._folder = folder
        self._until: dict[str, float] = {}

    def note(self, source: str, seconds: float) -> None:
        """Have an exchange tried last for some seconds."""
        until = time.time() + min(seconds, LONGEST)
        self._until[source] = until
        if self._folder is not None:
            with contextlib.suppress(OSError):
                private_folder(self._folder)
                file = self._file(self._folder, source)
                file.touch()
                os.utime(file, (until, until))

    def forget(self, source: str) -> None:
        """Note that an exchange has responded."""
        self._until.pop(source, None)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                self._file(self._folder, source).unlink()

    def is_avoided(self, source: str) -> bool:
        """Return whether an exchange should be tried last."""
        until = self._until.get(source, 0.0)
        if self._folder is not None:
            with contextlib.suppress(OSError):
                until = self._file(self._folder, source).stat().st_mtime
        return 0 < until - time.time() <= LONGEST

    @staticmethod
    def _file(folder: Path, source: str) -> Path:
        import hashlib  # takes a millisecond, and a single exchange does not need it

        # An address has characters that a name of a file may not have.
        return folder / hashlib.sha256(source.encode()).hexdigest()[:32]
