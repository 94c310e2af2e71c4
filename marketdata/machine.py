"""Helpers for signals, private folders and SQLite files."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["discard", "is_damage", "is_locked", "is_passing", "on_signal", "private_folder"]


def on_signal(number: int, react: Callable[..., Any], *arguments: Any) -> None:
    """Let the running loop call a function when the process gets a signal.

    Only the main thread's loop can. On Windows, loops do not handle signals, so the interpreter
    does.
    """
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, react, *arguments)
    except NotImplementedError:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(react, *arguments))


def private_folder(folder: Path) -> None:
    """Create a folder and missing parents, for this user only (0700).

    An existing folder is not changed; `doctor` reports if others can write to it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        if one.stat().st_mode & 0o077:  # the file system has its own permissions
            one.chmod(0o700)


# ---------------------------------------------------------------------------- SQLite files


def is_damage(error: Exception) -> bool:
    """Return whether a file is damaged, and not just unusable at the moment."""
    # ERROR: no such table or column.
    return _is_any(error, "CORRUPT", "ERROR", "FORMAT", "MISMATCH", "NOTADB")


def is_locked(error: Exception) -> bool:
    """Return whether another process holds the file locked."""
    return _is_any(error, "BUSY", "LOCKED")


def is_passing(error: Exception) -> bool:
    """Return whether a file may work again soon: the disk is full, or a write failed."""
    return _is_any(error, "FULL", "IOERR")


def _is_any(error: Exception, *names: str) -> bool:
    import sqlite3  # many commands do not need it

    code = int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)) & 0xFF
    return code in [getattr(sqlite3, f"SQLITE_{name}") for name in names]


def discard(file: Path) -> None:
    """Delete a damaged file, and its journal, which would be replayed into the next one."""
    for one in (file.with_name(f"{file.name}-journal"), file):
        with contextlib.suppress(OSError):
            one.unlink()
