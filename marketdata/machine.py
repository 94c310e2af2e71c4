"""What programs around the library want of the machine: signals, private folders, SQLite files."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["discard", "is_damage", "is_locked", "is_passing", "on_signal", "private_folder"]


def on_signal(number: int, react: Callable[..., Any], *arguments: Any) -> None:
    """Have the running loop call something when the process gets a signal.

    Only the main thread's loop can. Loops of Windows take no signals; there the interpreter does.
    """
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, react, *arguments)
    except NotImplementedError:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(react, *arguments))


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone (0700).

    One that is there stays as it is: `doctor` tells where others may write in it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        if one.stat().st_mode & 0o077:  # of a file system with permissions of its own
            one.chmod(0o700)


# ---------------------------------------------------------------------------- SQLite files


def is_damage(error: Exception) -> bool:
    """Tell a file that is no good from one that cannot be used now."""
    # ERROR: no such table or column.
    return _is_any(error, "CORRUPT", "ERROR", "FORMAT", "MISMATCH", "NOTADB")


def is_locked(error: Exception) -> bool:
    """Return whether somebody else is using the file just now."""
    return _is_any(error, "BUSY", "LOCKED")


def is_passing(error: Exception) -> bool:
    """Return whether a file may be of use again soon: the disk is full, or did not take a write."""
    return _is_any(error, "FULL", "IOERR")


def _is_any(error: Exception, *names: str) -> bool:
    import sqlite3  # which many commands do without

    code = int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)) & 0xFF
    return code in [getattr(sqlite3, f"SQLITE_{name}") for name in names]


def discard(file: Path) -> None:
    """Remove a damaged file, and the journal that would be played back into the next one."""
    for one in (file.with_name(f"{file.name}-journal"), file):
        with contextlib.suppress(OSError):
            one.unlink()
