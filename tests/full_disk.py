"""Disks that are full for a while, without a file system of their own."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def full_disk(largest: int = 0) -> Iterator[None]:
    """Let no file of this process grow beyond so many bytes inside the block.

    A write beyond that fails as on a full disk, and takes as many bytes as there is room for.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (largest, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
