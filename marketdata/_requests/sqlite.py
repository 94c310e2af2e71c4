"""What to do about SQLite files that cannot be used: they are only caches, and made anew."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path


def is_damage(error: Exception) -> bool:
    """Tell a file that is no good from one that cannot be used now."""
    return _code(error) in (
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_ERROR,  # no such table or column
        sqlite3.SQLITE_FORMAT,
        sqlite3.SQLITE_MISMATCH,
        sqlite3.SQLITE_NOTADB,
    )


def is_locked(error: Exception) -> bool:
    """Tell whether somebody else is using the file just now."""
    return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_passing(error: Exception) -> bool:
    """Tell whether a file may be of use again soon: the disk is full, or did not take a write."""
    return _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR)


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)) & 0xFF


def discard(file: Path) -> None:
    """Remove a damaged file, and the journal that would be played back into the next one."""
    for one in (file.with_name(f"{file.name}-journal"), file):
        with contextlib.suppress(OSError):
            one.unlink()
