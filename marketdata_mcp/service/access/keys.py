"""Keys: how they are made, stored and recognized.

``mdk_IDENTIFIER_SECRETCHECK``: a prefix for secret scanners, an id for lookups and lists, the
secret, and a checksum that shows damage without a lookup. The secret has 190 random bits, so one
round of SHA-256 protects it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from typing import NamedTuple

__all__ = ["PREFIX", "Parts", "digest", "fits", "generate", "parse"]

PREFIX = "mdk_"

_ALPHABET = string.ascii_letters + string.digits
_NAME = string.ascii_lowercase + string.digits
_FORM = re.compile(r"mdk_([a-z0-9]{10})_([A-Za-z0-9]{32})([0-9a-f]{8})", re.ASCII)


class Parts(NamedTuple):
    """The parts of a key."""

    id: str
    """Its id, which is not secret."""
    secret: str


def generate() -> tuple[str, Parts]:
    """Make a key; return it as shown once to its owner, and its parts."""
    name = "".join(secrets.choice(_NAME) for _ in range(10))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(32))
    return f"{PREFIX}{name}_{secret}{_check(name, secret)}", Parts(name, secret)


def parse(text: str) -> Parts | None:
    """Split a key into its parts; None if the text is no key or is damaged."""
    match = _FORM.fullmatch(text)
    if match is None or match[3] != _check(match[1], match[2]):
        return None
    return Parts(match[1], match[2])


def digest(secret: str) -> str:
    """Return the stored digest of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def fits(secret: str, stored: str) -> bool:
    """Return whether a secret matches the stored digest, in constant time."""
    return hmac.compare_digest(digest(secret), stored)


def _check(name: str, secret: str) -> str:
    return f"{zlib.crc32(f'{name}{secret}'.encode()):08x}"
