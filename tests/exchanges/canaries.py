"""Recognizable secrets, and the places that are searched for them."""

from __future__ import annotations

import base64
import gzip
import json
import pickle
import traceback
import urllib.parse
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from marketdata import MarketDataError

API_KEY = "Kq7CanaryOfTheApiKey93xQ"
SECRET_BYTES = "Sx4CanaryOfTheSecret/of+32=bytes"
SECRET = base64.b64encode(SECRET_BYTES.encode()).decode()
"""In the form that most exchanges give theirs in."""
PASSWORD = "Pw9CanaryOfThePhrase71zT"
USER, WORD = "Lg2CanaryOfTheUser55mN", "Lg8CanaryOfTheWord!66pR"
"""Of the place where the exchange is."""
REDIS = "Rd5CanaryOfTheRedis~44kV"

LOGIN = f"{USER}:{urllib.parse.quote(WORD)}@"
CANARIES = (API_KEY, SECRET, SECRET_BYTES, PASSWORD, USER, WORD, REDIS)


def plant(monkeypatch: pytest.MonkeyPatch, exchanges: Iterable[str]) -> None:
    """Configure keys of exchanges."""
    for name in exchanges:
        for field, value in (("API_KEY", API_KEY), ("SECRET", SECRET), ("PASSWORD", PASSWORD)):
            monkeypatch.setenv(f"MARKETDATA_{name.upper()}_{field}", value)


def forms(secrets: Iterable[str] = CANARIES) -> dict[bytes, str]:
    """Return all that a secret can look like: whole, in halves, turned around, encoded."""
    found = {}
    for secret in secrets:
        middle = len(secret) // 2
        for part in (secret, secret[:middle], secret[middle:], secret[::-1]):
            raw = part.encode()
            looks = {
                part,
                part.swapcase(),
                part.lower(),
                part.upper(),
                urllib.parse.quote(part, safe=""),
                urllib.parse.quote_plus(part),
                raw.hex(),
                raw.hex().upper(),
                json.dumps(part)[1:-1],
            }
            # Base64 looks different at each of three places; what depends on neighbours is cut.
            for before in range(3):
                for encode in (base64.b64encode, base64.urlsafe_b64encode):
                    text = encode(b"\0" * before + raw).decode()
                    looks.add(text[(0, 2, 3)[before] : len(text) - 4])
            found |= {look.encode(): f"{secret[:3]}..." for look in looks if len(look) > 7}
    return found


_FORMS = forms()


def found_in(where: str, text: str | bytes, among: dict[bytes, str] | None = None) -> list[str]:
    """Return which secrets are in a text."""
    raw = text.encode(errors="surrogatepass") if isinstance(text, str) else text
    looks = _FORMS if among is None else among
    return sorted({f"{name} in {where}" for look, name in looks.items() if look in raw})


def found_below(folder: Path, among: dict[bytes, str] | None = None) -> list[str]:
    """Return which secrets are in files, packed ones too."""
    found = []
    for file in sorted(folder.rglob("*")):
        if file.is_file():
            raw = file.read_bytes()
            found += found_in(f"{file.name}", str(file.relative_to(folder)).encode() + raw, among)
            if raw[:2] == b"\x1f\x8b":
                found += found_in(f"{file.name}, unpacked", _unpacked(raw), among)
    return found


def _unpacked(raw: bytes) -> bytes:
    try:
        return gzip.decompress(raw)
    except (EOFError, zlib.error):
        return zlib.decompressobj(31).decompress(raw)


def shown(error: BaseException, *, with_locals: bool = True) -> Iterator[str]:
    """Yield all that a program, a person or another process can see of an error.

    ``with_locals`` as those tools do that write down the locals of each frame; not of the frames
    of tests, which hold the secrets themselves.
    """
    yield from (str(error), repr(error), *traceback.format_exception(error))
    if with_locals:
        whole = traceback.TracebackException.from_exception(error, capture_locals=True)
        for frame in whole.stack:
            if "/tests/" not in frame.filename:
                yield f"{frame.name} {frame.locals}"
    if isinstance(error, MarketDataError):
        yield json.dumps(error.to_dict())
        yield repr(vars(error))
        yield repr(pickle.dumps(error))
