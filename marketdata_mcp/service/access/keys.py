"""Keys: how they are made, what of them is kept, and how a text is found not to be one.

``mdk_IDENTIFIER_SECRETCHECK``: a prefix that scanners of repositories can look for, a name by
which it is found and shown, the secret, and a checksum by which damage is seen without looking
anything up. The secret has 190 bits of chance, so one round of SHA-256 keeps it.
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
    """A key, taken apart."""

    id: str
    """Its name, which is not secret."""
    secret: str


def generate() -> tuple[str, Parts]:
    """Make a key: as its owner gets it, once, and its parts."""
    name = "".join(secrets.choice(_NAME) for _ in range(10))
    secret = "".join(secrets.choice(_ALPHABET) for _ in range(32))
    return f"{PREFIX}{name}_{secret}{_check(name, secret)}", Parts(name, secret)


def parse(text: str) -> Parts | None:
    """Take a key apart; None where the text is none, or is damaged."""
    match = _FORM.fullmatch(text)
    if match is None or match[3] != _check(match[1], match[2]):
        return None
    return Parts(match[1], match[2])


def digest(secret: str) -> str:
    """Return what is stored of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def fits(secret: str, stored: str) -> bool:
    """Return whether a secret is the one that is stored, in a time that tells nothing of either."""
    return hmac.compare_digest(digest(secret), stored)


def _check(name: str, secret: str) -> str:
    return f"{zlib.crc32(f'{name}{secret}'.encode()):08x}"
