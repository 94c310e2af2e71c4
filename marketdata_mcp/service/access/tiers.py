"""The limits of tiers and the prices of calls: shipped, or from an operator's file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeAlias
from urllib.parse import urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from marketdata.errors import InvalidParameterError, closest, did_you_mean

__all__ = ["SHIPPED", "Issuer", "Policy", "Tier"]

_MIB = 1 << 20
_LOOPBACK = ("127.0.0.1", "localhost", "::1")

# Strict, because `true` and "600" are mistakes; bounded, so that any store can keep their sums.
_Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=10**12)]
_Days: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=100 * 366)]
_ExchangeId: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]{1,40}$")]
_Name: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
_Scope: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[!#-\[\]-~]+$")]
"""RFC 6749, 3.3."""


class Tier(BaseModel):
    """The limits of the accounts of one tier.

    The shipped numbers are the reference service's. It does not document which exchanges its lower
    tiers have and where its cheap history ends, so those are this package's choice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weekly_units: _Count | None = None
    """Units a week, which begins on Friday at 00:00 UTC; None: no limit."""

    calls_a_minute: Annotated[_Count, Field(ge=1)] | None = None
    """Calls in a calendar minute; None: no limit."""

    exchanges: Annotated[tuple[_ExchangeId, ...], Field(min_length=1)] | None = None
    """Ids of the allowed exchanges; None (``"all"`` in a file): all of them."""

    history_days: _Days | None = None
    """Maximum age of candles in days; 0: only the open candle; None: no limit."""

    near_units: _Count = 1
    """Units for candles that begin before the current one and within `Policy.near_days`."""

    far_units: _Count = 1
    """Units for older candles."""

    keys: _Count | None = None
    """Maximum active keys of an account; None: no limit."""

    @field_validator("exchanges", mode="before")
    @classmethod
    def _all(cls, value: Any) -> Any:
        return None if value == "all" else value


class Issuer(BaseModel):
    """The issuer whose tokens are accepted besides keys (OAuth 2.0 resource server)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    issuer: str
    """The ``iss`` of its tokens: a URL, from which clients get tokens."""

    jwks_url: str
    """The URL of its public keys (RFC 7517)."""

    audience: str
    """The required ``aud`` of a token: the URL of this server for clients."""

    scopes: Annotated[Mapping[_Scope, str], Field(min_length=1)]
    """The tier of each scope; of several, the last one in `Policy.tiers` counts."""

    @field_validator("issuer", "jwks_url", "audience")
    @classmethod
    def _url(cls, value: str) -> str:
        parts = urlsplit(value)  # raises ValueError, too
        plain = value.isascii() and value.isprintable() and not set(value) & set(' "\\<>')
        allowed = ("http", "https") if parts.hostname in _LOOPBACK else ("https",)
        if not (plain and parts.hostname and parts.scheme in allowed and parts.port != 0):
            raise ValueError("a URL that starts with https:// is expected")
        return value


_THREE = ("binance", "coinbaseexchange", "kraken")
_EIGHT = (*_THREE, "bitfinex", "bitstamp", "bybit", "kucoin", "okx")

SHIPPED: Mapping[str, Tier] = {
    "pioneer": Tier(
        weekly_units=6_000, calls_a_minute=600, exchanges=_THREE, history_days=0, keys=1
    ),
    "explorer": Tier(
        weekly_units=30_000,
        calls_a_minute=600,
        exchanges=_EIGHT,
        history_days=90,
        near_units=5,
        far_units=20,
        keys=1,
    ),
    "adventurer": Tier(
        weekly_units=150_000,
        calls_a_minute=600,
        history_days=365,
        near_units=5,
        far_units=20,
        keys=3,
    ),
    "hero": Tier(weekly_units=1_250_000, calls_a_minute=600, history_days=3 * 365, keys=10),
}
"""The shipped tiers, which an operator's file can change."""


class Policy(BaseModel):
    """All tiers and their common settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tiers: Mapping[_Name, Tier] = SHIPPED

    near_days: _Days = 30
    """Candles that begin within this number of days cost `Tier.near_units`."""

    oauth: Issuer | None = None
    """The accepted issuer; None: only keys."""

    @classmethod
    def read(cls, file: Path) -> Policy:
        """Read an operator's TOML file; other settings keep the shipped values.

        Raises `InvalidParameterError` with the file, the place and the problem.
        """
        try:
            if file.stat().st_size > _MIB:
                raise InvalidParameterError(f"{file} is too large to be a policy.")
            given = tomllib.loads(file.read_text("utf-8"))
        except OSError as error:
            raise InvalidParameterError(f"{file} cannot be read: {error.strerror}.") from None
        except (ValueError, RecursionError) as error:
            raise InvalidParameterError(f"{file} is not TOML: {error}.") from None
        tiers = given.get("tiers")
        if isinstance(tiers, dict):
            given["tiers"] = {**SHIPPED, **{name: _merged(name, tiers[name]) for name in tiers}}
        try:
            policy = cls.model_validate(given)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            place = ".".join(str(part) for part in problem["loc"])
            said = problem["msg"].removeprefix("Value error, ")
            raise InvalidParameterError(f"{file}, {place}: {said}.") from None
        for scope, tier in policy.oauth.scopes.items() if policy.oauth else ():
            try:
                policy.tier(tier)
            except InvalidParameterError as error:
                place = f"oauth.scopes.{scope}"
                raise InvalidParameterError(f"{file}, {place}: {error.message}") from None
        return policy

    def tier(self, name: str) -> Tier:
        """Return a tier; raises `InvalidParameterError` for an unknown name."""
        found = self.tiers.get(name)
        if found is None:
            near = did_you_mean(closest(name, self.tiers))
            raise InvalidParameterError(
                f"There is no tier '{name[:40]}'.{near} There are {', '.join(self.tiers)}.",
                details={"parameter": "tier"},
            )
        return found

    def to_toml(self) -> str:
        """Return it as the text of a file, which `read` reads as the same policy."""
        lines = [f"near_days = {self.near_days}"]
        for name, tier in self.tiers.items():
            lines += ["", f"[tiers.{name}]"]
            for field, value in tier.model_dump().items():
                if field == "exchanges":
                    value = "all" if value is None else list(value)
                if value is not None:
                    lines.append(f"{field} = {_literal(value)}")
        if self.oauth is not None:
            lines += ["", "[oauth]"]
            for field, value in self.oauth.model_dump(exclude={"scopes"}).items():
                lines.append(f"{field} = {_literal(value)}")
            lines += ["", "[oauth.scopes]"]
            lines += [f"{_literal(one)} = {_literal(to)}" for one, to in self.oauth.scopes.items()]
        return "\n".join(lines) + "\n"


def _merged(name: str, given: Any) -> Any:
    if name in SHIPPED and isinstance(given, dict):
        return {**SHIPPED[name].model_dump(), **given}
    return given


def _literal(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
