"""The errors of a candle store that cannot be used."""

from __future__ import annotations

import contextlib
import errno
import os
import re
from collections.abc import Iterator

from marketdata.errors import DataUnavailableError, MarketDataError

UNREADABLE = (ArithmeticError, LookupError, MemoryError, OSError, ValueError)
"""Errors, besides Arrow's own, in reading a file whose content has changed."""


@contextlib.contextmanager
def translated(url: str) -> Iterator[None]:
    """Raise `DataUnavailableError` for errors of the libraries that read and write tables.

    Errors of this package are not changed.
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
    """Make the error of a folder that the operating system refuses to use."""
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
