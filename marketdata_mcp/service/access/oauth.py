"""Tokens of an outside issuer: signed, for this service, and valid now (RFC 9068, RFC 8707).

The issuer's public keys are requested when a token names an unknown one, but at most every half
minute, so that strangers cannot cause many requests.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

from marketdata.errors import UnauthorizedError
from marketdata_mcp.service.access.accounts import AwayError

if TYPE_CHECKING:
    from jwt import PyJWK

    from marketdata_mcp.service.access.tiers import Issuer

__all__ = ["TokenVerifier", "Verified"]

_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA")
"""Only public-key algorithms: with a shared secret, everyone who can check tokens can make them."""
_PAUSE = 30.0
_KEPT = 3600.0
_LEEWAY = 30.0
_TIMEOUT = 5.0
_MAX_BYTES = 1 << 20
_MAX_SUBJECT = 255
"""Maximum characters of a subject, as in OpenID Connect."""

_UNUSABLE = (OSError, ValueError, AttributeError, TypeError, RecursionError)
"""Errors of reading an issuer's invalid keys, besides those of the libraries."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Verified:
    """The account of a token."""

    account: str
    """``oauth:SUBJECT``; no account with keys can have such a name."""
    client: str
    scopes: frozenset[str]


class TokenVerifier:
    """Checks the tokens of one issuer."""

    def __init__(self, issuer: Issuer, clock: Callable[[], float] = monotonic) -> None:
        self.issuer = issuer
        self._clock = clock
        self._keys: Mapping[str | None, PyJWK] = {}
        self._fetched_at = self._tried_at = -_KEPT
        self._lock = asyncio.Lock()

    async def verify(self, token: str) -> Verified:
        """Return the account of a token.

        Raises `UnauthorizedError` if it is not the issuer's, not for this service or not valid now,
        and `AwayError` if the issuer's keys cannot be requested.
        """
        import jwt

        try:
            header = jwt.get_unverified_header(token)
            key = await self._key(header.get("kid"))
            if key is None or header.get("alg") not in _ALGORITHMS or not _is_access(header):
                raise jwt.InvalidTokenError
            claims: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[header["alg"]],
                audience=self.issuer.audience,
                issuer=self.issuer.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
            subject: str = claims["sub"]
            if not (0 < len(subject) <= _MAX_SUBJECT and subject.isprintable()):
                raise jwt.InvalidTokenError
        except jwt.ExpiredSignatureError:
            raise UnauthorizedError("The token has expired: get a new one.") from None
        except jwt.PyJWTError:
            raise UnauthorizedError(
                "The token was not issued by this service's issuer, or not for this service."
            ) from None
        scopes = claims.get("scope", claims.get("scp", ""))
        named = scopes.split() if isinstance(scopes, str) else scopes
        return Verified(
            f"oauth:{subject}",
            str(claims.get("client_id", claims.get("azp", subject))),
            frozenset(map(str, named if isinstance(named, list) else [])),
        )

    async def _key(self, name: str | None) -> PyJWK | None:
        now = self._clock()
        if now - self._fetched_at > _KEPT or name not in self._keys:
            async with self._lock:
                if self._clock() - self._tried_at > _PAUSE:
                    self._tried_at = self._clock()
                    await self._fetch()
        if not self._keys:
            raise AwayError
        return self._keys.get(name)

    async def _fetch(self) -> None:
        import httpx2
        import jwt

        body = b""
        # Without compression, because few compressed bytes can expand beyond the limit.
        plain = {"Accept-Encoding": "identity"}
        try:
            # The library's own timeout restarts with each received byte.
            async with (
                asyncio.timeout(_TIMEOUT),
                httpx2.AsyncClient(timeout=_TIMEOUT, headers=plain) as http,
                http.stream("GET", self.issuer.jwks_url) as answer,
            ):
                answer.raise_for_status()
                async for part in answer.aiter_raw():
                    body += part
                    if len(body) > _MAX_BYTES:
                        raise ValueError("too long")
            # A stranger can cause this request, and each of thousands of keys would take time.
            self._keys = await asyncio.to_thread(_keys_of, body)
        except (*_UNUSABLE, httpx2.HTTPError, jwt.PyJWTError) as error:
            # Known keys stay in use, so that an issuer that is down locks nobody out.
            _logger.warning("keys of the issuer cannot be fetched (%s)", type(error).__name__)
            return
        self._fetched_at = self._clock()


def _keys_of(body: bytes) -> dict[str | None, PyJWK]:
    import jwt

    given = json.loads(body)
    given["keys"] = [one for one in given.get("keys", ()) if isinstance(one, dict) and _signs(one)]
    return {key.key_id: key for key in jwt.PyJWKSet.from_dict(given).keys}


def _is_access(header: Mapping[str, Any]) -> bool:
    """Return whether a token's type is access, or is not given (RFC 8725, 3.11)."""
    kind = header.get("typ")
    return kind is None or (
        isinstance(kind, str) and kind.lower().removeprefix("application/") in ("jwt", "at+jwt")
    )


def _signs(key: Mapping[str, Any]) -> bool:
    """Return whether a key may be used to check signatures (RFC 7517, 4.2, 4.3)."""
    uses = key.get("key_ops")
    return key.get("use", "sig") == "sig" and (uses is None or "verify" in uses)
