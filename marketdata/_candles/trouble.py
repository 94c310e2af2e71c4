"""What is raised where the candle store cannot be used, whoever found that out."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from marketdata.errors import DataUnavailableError, MarketDataError

UNREADABLE = (ArithmeticError, LookupError, MemoryError, OSError, ValueError)
"""What is raised in reading a file that says something else than it did, besides Arrow's own."""


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise `DataUnavailableError` for what the libraries raise that read and write a table.

    Errors of ours pass.
    """
    import pyarrow as pa
    from deltalake.exceptions import DeltaError

    try:
        yield
    except MarketDataError:
        raise
    except (DeltaError, pa.ArrowException, *UNREADABLE) as error:
        raise DataUnavailableError(_said(url, error), details={"store": url}) from error


def refused(url: str, number: int) -> DataUnavailableError:
    """Make the error of a folder that the operating system does not let us use."""
    return DataUnavailableError(
        f"The candle store {url} cannot be used: {os.strerror(number)}. Set MARKETDATA_STORE to "
        "another folder, or to 'none'.",
        details={"store": url},
    )


def _said(url: str, error: Exception) -> str:
    number = error.errno if isinstance(error, OSError) else None
    if number is None and (told := re.search(r"\(os error (\d+)\)", str(error))):
        number = int(told[1])
    if number not in (None, errno.ENOENT, errno.EINVAL):
        return refused(url, number).message
    hint = "`history verify` finds the damage, `history repair` removes it."
    if "://" in url:
        return (
            f"The candle store {url} cannot be reached, or it is damaged: check its address "
            f"and the variables with its keys; {hint}"
        )
    return f"The stored candles in {url} are damaged: {hint}"
