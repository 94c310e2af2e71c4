"""Response bodies: read up to a maximum size, and parsed."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydantic_core import from_json

if TYPE_CHECKING:
    from aiohttp import ClientResponse

LARGEST = 40
"""Maximum MiB of a body, decompressed: twice the longest list of pairs, which has 20 MB."""


LARGEST_FRAME = 10
"""Maximum MiB of a WebSocket frame, decompressed: ccxt's maximum of an uncompressed one."""


class TooLargeError(ValueError):
    """A body is larger than any that an exchange has a reason to send."""


def parsed(text: str) -> Any:
    """Parse JSON; whole numbers keep all their digits.

    ccxt's parser makes floats of numbers beyond 64 bits, which would make different trade ids
    equal. Raises ValueError for invalid JSON.
    """
    return from_json(text, allow_inf_nan=False)


class FlatRows(list[Any]):
    """Rows of equal length, one after the other in one list.

    A list for each row would keep the garbage collector busy.
    """

    def __init__(self, numbers: list[Any], width: int) -> None:
        super().__init__(numbers)
        self.width = width

    def column(self, position: int) -> list[Any]:
        """Return the numbers in one position of each row."""
        return self[position :: self.width]


_OF_NUMBERS = b'0123456789.+-eE"'


def flat_rows(body: str, parse: Callable[[str], Any]) -> FlatRows | None:
    """Parse a list of rows of numbers, with or without quotes; None if it is anything else.

    Raises ValueError if ``parse`` does.
    """
    whole = body.encode()
    # The text without the numbers shows whether all rows have the same form.
    form = whole.translate(None, _OF_NUMBERS)
    row = form[1 : form.find(b"]") + 1]
    rows, width = len(form) // (len(row) + 1), len(row) - 1
    if row != b"[%b]" % (b"," * (width - 1)) or form != b"[%b]" % b",".join([row] * rows):
        return None
    numbers = whole.translate(None, b'[]"').decode()
    return FlatRows(parse(f"[{numbers}]"), width)


def unpacked(frame: bytes, *, has_header: bool) -> str:
    """Unpack a frame that came as gzip, or as deflate without a header.

    Raises `TooLargeError` once it is too large, ValueError if it is neither.
    """
    unpack = zlib.decompressobj(31 if has_header else -15)
    try:
        whole = unpack.decompress(frame, LARGEST_FRAME * 2**20)
    except zlib.error:
        raise ValueError("a frame that cannot be unpacked") from None
    if unpack.unconsumed_tail:
        raise TooLargeError
    return whole.decode()


@functools.cache
def bounded_response() -> type[ClientResponse]:
    """Return aiohttp's response class with a maximum size of bodies.

    It raises `TooLargeError` by the header, or once too much was received, and closes the
    connection.
    """
    import aiohttp  # a process that answers from the disk does not need it

    class BoundedResponse(aiohttp.ClientResponse):
        async def read(self) -> bytes:
            if self._body is None:
                self._body = await self._bounded()
            return await super().read()

        async def _bounded(self) -> bytes:
            parts: list[bytes] = []
            most = LARGEST * 2**20
            left = most - (self.content_length or 0)
            try:
                if left >= 0:
                    left = most
                    while left >= 0 and (part := await self.content.readany()):
                        parts.append(part)
                        left -= len(part)
                if left < 0:
                    raise TooLargeError
            except BaseException:
                self.close()
                raise
            return b"".join(parts)

    return BoundedResponse
