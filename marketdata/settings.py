"""The settings of the library, read from the MARKETDATA_* variables."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit, urlunsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from marketdata.errors import InvalidParameterError
from marketdata.exchange_names import exchange_id

__all__ = ["Credentials", "Settings"]

PREFIX = "MARKETDATA_"

DEFAULT_EXCHANGES = ("binance", "kraken", "okx", "coinbaseexchange")


class Credentials(BaseModel):
    """API keys of one exchange for signed requests; printed as asterisks."""

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    password: SecretStr | None = None


class Settings(BaseModel):
    """Settings of the library; `from_environment` reads them from the MARKETDATA_* variables."""

    # pydantic's errors must not contain the value, which may be a URL with a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    exchange: tuple[str, ...] = Field(DEFAULT_EXCHANGES, min_length=1)
    """Default exchanges, in order of preference (MARKETDATA_EXCHANGE)."""

    home: Path | None = None
    """Folder for files (MARKETDATA_HOME); None: the user's cache folder for this package."""

    store: str | None = None
    """Where closed candles are stored: a folder, or a URL that Delta Lake takes such as
    ``s3://bucket/candles`` (MARKETDATA_STORE). ``none`` stores nothing; None: `candle_store`."""

    redis: SecretStr | None = None
    """URL of a Redis or Valkey in which machines share rate limits and lists of pairs:
    ``redis://host:6379/0``, ``rediss://`` or ``unix://`` (MARKETDATA_REDIS). None: the processes of
    this machine share files in `folder`."""

    endpoints: dict[str, str] = Field(default_factory=dict)
    """Exchange id to base URL, which replaces all hosts of that exchange (MARKETDATA_ENDPOINTS). A
    user and password in it are stored separately, for `login`."""

    _logins: dict[str, SecretStr] = PrivateAttr(default_factory=dict)

    sim: bool = False
    """Whether all data come from the simulator (MARKETDATA_SIM)."""

    sim_seed: int = 1
    """Seed of the simulated prices (MARKETDATA_SIM_SEED)."""

    sim_tape: tuple[Path, ...] = ()
    """Recordings that the simulator plays instead (MARKETDATA_SIM_TAPE, separated by commas)."""

    sim_speed: float = Field(1.0, gt=0)
    """Speed of a recording of streams: 1 is that of the recording, ``inf`` as fast as it is read
    (MARKETDATA_SIM_SPEED)."""

    sim_wait_for: int = Field(1, ge=1)
    """Number of subscriptions that a recording of streams waits for (MARKETDATA_SIM_WAIT_FOR)."""

    sim_now: datetime | None = None
    """Start of the simulated clock (MARKETDATA_SIM_NOW); None: now, or the end of a recording."""

    timeout: float = Field(30.0, gt=0, le=3600)
    """Seconds for a whole call, retries included (MARKETDATA_TIMEOUT). A range of candles has this
    time for each page."""

    retries: int = Field(2, ge=0, le=20)
    """Maximum retries of transient failures, within ``timeout`` (MARKETDATA_RETRIES)."""

    max_calls: int | None = Field(None, ge=1)
    """Limit of concurrent calls to one exchange (MARKETDATA_MAX_CALLS). Further calls wait, within
    their ``timeout``. None: no limit."""

    trip_after: int | None = Field(None, ge=1)
    """Consecutive failures after which an exchange gets no requests for a while, and calls to it
    fail at once (MARKETDATA_TRIP_AFTER). None: never."""

    numbers: Literal["float", "decimal"] = "float"
    """Type of prices, sizes and fees (MARKETDATA_NUMBERS): floats with 15 significant digits, or
    Decimals with the exchange's own digits, which are strings in JSON."""

    @field_validator("exchange", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
            raise ValueError("names of exchanges are expected")
        return tuple(exchange_id(name) for name in names if name.strip())

    @field_validator("sim_tape", mode="before")
    @classmethod
    def _files(cls, value: Any) -> Any:
        return [part for part in value.split(",") if part] if isinstance(value, str) else value

    @field_validator("endpoints", mode="before")
    @classmethod
    def _parse(cls, value: Any) -> Any:
        try:
            return json.loads(value) if isinstance(value, str) else value
        except (json.JSONDecodeError, RecursionError):
            raise ValueError(
                "a JSON object of exchange ids and base URLs is expected, "
                'for example {"binance": "http://127.0.0.1:9000"}'
            ) from None

    @field_validator("endpoints")
    @classmethod
    def _urls(cls, value: dict[str, str]) -> dict[str, str]:
        for exchange, url in value.items():
            if not url.startswith(("http://", "https://")):
                raise ValueError(f"the base URL of '{exchange}' starts with http:// or https://")
        return {exchange_id(exchange): url.rstrip("/") for exchange, url in value.items()}

    @model_validator(mode="after")
    def _keep_logins(self) -> Self:
        # Lists, recordings and output contain the URL.
        for exchange, url in self.endpoints.items():
            parts = urlsplit(url)
            login, at, host = parts.netloc.rpartition("@")
            if at:
                self._logins[exchange] = SecretStr(login)
                self.endpoints[exchange] = urlunsplit(parts._replace(netloc=host))
        return self

    def login(self, exchange: str) -> SecretStr | None:
        """Return the ``user:password`` of an exchange's base URL; None if it has none."""
        return self._logins.get(exchange)

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_redis(value.get_secret_value()):
            raise ValueError(
                "a URL that begins with redis://, rediss:// or unix:// is expected, "
                "for example redis://127.0.0.1:6379/0"
            )
        return value

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, **chosen: Any
    ) -> Settings:
        """Read the settings; arguments that are not None win over variables.

        Raises `InvalidParameterError` naming the variable or argument that is wrong.
        """
        variables = os.environ if environment is None else environment
        given = {
            name: variables[PREFIX + name.upper()]
            for name in cls.model_fields
            if variables.get(PREFIX + name.upper())
        }
        given.update({name: value for name, value in chosen.items() if value is not None})
        if chosen.get("endpoints") and chosen.get("sim") is None:
            given.pop("sim", None)  # endpoints set in the program have priority
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            name = str(problem["loc"][0])
            shown = name if chosen.get(name) is not None else PREFIX + name.upper()
            said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            raise InvalidParameterError(f"{shown}: {said}.", details={"parameter": shown}) from None

    def folder(self) -> Path:
        """Return the folder for files; it may not exist yet."""
        if self.home is not None:
            return self.home.expanduser()
        import platformdirs

        return platformdirs.user_cache_path("marketdata", appauthor=False)

    def candle_store(self) -> str | None:
        """Return the location of stored candles; None: they are not stored.

        By default the folder ``candles`` in MARKETDATA_HOME or in the user's data folder, not in
        the cache folder, which may be emptied.
        """
        if self.store is not None:
            if self.store.lower() == "none":
                return None
            remote = "://" in self.store
            return self.store if remote else Path(self.store).expanduser().absolute().as_posix()
        if self.home is not None:
            return (self.home.expanduser().absolute() / "candles").as_posix()
        import platformdirs

        return (platformdirs.user_data_path("marketdata", appauthor=False) / "candles").as_posix()

    @staticmethod
    def credentials(exchange: str) -> Credentials:
        """Read the keys of one exchange: MARKETDATA_<EXCHANGE>_API_KEY, _SECRET, _PASSWORD."""
        stem = f"{PREFIX}{exchange.upper()}_"
        return Credentials.model_validate(
            {
                name: os.environ[stem + name.upper()]
                for name in Credentials.model_fields
                if os.environ.get(stem + name.upper())
            }
        )


def _is_redis(url: str) -> bool:
    try:
        parts = urlsplit(url)
        number = parts.port  # raises for an invalid port
    except ValueError:
        return False
    if url.startswith("unix://"):
        return parts.path.startswith("/")
    return url.startswith(("redis://", "rediss://")) and number != 0
