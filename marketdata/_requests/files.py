"""Folders that are this user's alone, whatever the umask."""

from __future__ import annotations

from pathlib import Path

__all__ = ["private_folder"]


def private_folder(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for this user alone (0700).

    One that is there stays as it is: `doctor` tells where others may write in it.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        one.mkdir(mode=0o700, exist_ok=True)
        if one.stat().st_mode & 0o077:  # of a file system with permissions of its own
            one.chmod(0o700)
