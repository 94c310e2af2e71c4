"""What an operator sets through the environment: every MARKETDATA_* variable, in one place."""

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
    """Keys of one exchange for signed requests; they show as asterisks wherever printed."""

    model_config = ConfigDict(frozen=True)

    api_key: SecretStr | None = None
    secret: SecretStr | None = None
    password: SecretStr | None = None


class Settings(BaseModel):
    """How the library behaves; `from_environment` reads it from the MARKETDATA_* variables."""

    # What pydantic says of a wrong value has no part of it: it may be a URL with a password.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    exchange: tuple[str, ...] = Field(DEFAULT_EXCHANGES, min_length=1)
    """Exchanges in order of preference, for calls that name none (MARKETDATA_EXCHANGE)."""

    home: Path | None = None
    """Where files live (MARKETDATA_HOME); None: the user's cache folder for this package."""

    store: str | None = None
    """Where closed candles are kept, a folder or a URL that Delta Lake takes such as
    ``s3://bucket/candles`` (MARKETDATA_STORE); ``none`` keeps none, None: `candle_store`."""

    redis: SecretStr | None = None
    """A Redis or Valkey through which machines share what they ask of each exchange, and its list
    of pairs: ``redis://host:6379/0``, ``rediss://`` or ``unix://`` (MARKETDATA_REDIS); None: the
    processes of this machine share files in `folder`."""

    endpoints: dict[str, str] = Field(default_factory=dict)
    """Exchange id to base URL; all hosts of that exchange become it (MARKETDATA_ENDPOINTS). A user
    and password in it are kept apart, for `login`."""

    _logins: dict[str, SecretStr] = PrivateAttr(default_factory=dict)

    sim: bool = False
    """Everything from the simulated exchange (MARKETDATA_SIM)."""

    sim_seed: int = 1
    """What the simulated prices are made from (MARKETDATA_SIM_SEED)."""

    sim_tape: tuple[Path, ...] = ()
    """Recordings that the simulated exchange plays instead (MARKETDATA_SIM_TAPE, by commas)."""

    sim_speed: float = Field(1.0, gt=0)
    """How many times as fast as it was recorded a recording of streams is played
    (MARKETDATA_SIM_SPEED); ``inf``: as fast as it is read."""

    sim_wait_for: int = Field(1, ge=1)
    """How many subscriptions a recording of streams waits for (MARKETDATA_SIM_WAIT_FOR)."""

    sim_now: datetime | None = None
    """Where the simulated clock starts (MARKETDATA_SIM_NOW); None: now, or a tape's end."""

    timeout: float = Field(30.0, gt=0, le=3600)
    """Seconds for a whole call, retries included (MARKETDATA_TIMEOUT); for a range of candles,
    seconds for each page."""

    retries: int = Field(2, ge=0, le=20)
    """Retries of transient failures within the call's time (MARKETDATA_RETRIES)."""

    max_calls: int | None = Field(None, ge=1)
    """Calls that a client has under way to one exchange at most (MARKETDATA_MAX_CALLS); others
    wait for a place, within their own time. None: as many as are made."""

    trip_after: int | None = Field(None, ge=1)
    """Failures in a row after which an exchange is left alone for a while, and calls to it fail at
    once (MARKETDATA_TRIP_AFTER); None: it is asked all the same."""

    numbers: Literal["float", "decimal"] = "float"
    """What prices, sizes and fees are (MARKETDATA_NUMBERS): floats, which keep 15 significant
    digits, or Decimals made of the exchange's text, which are text in JSON."""

    @field_validator("exchange", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list | tuple) or not all(isinstance(one, str) for one in names):
            raise ValueError("names of exchanges are wanted")
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
                "a JSON object of exchange ids and base URLs is wanted, "
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
        # The URL is in records of where lists come from, in recordings and in what is printed.
        for exchange, url in self.endpoints.items():
            parts = urlsplit(url)
            login, at, host = parts.netloc.rpartition("@")
            if at:
                self._logins[exchange] = SecretStr(login)
                self.endpoints[exchange] = urlunsplit(parts._replace(netloc=host))
        return self

    def login(self, exchange: str) -> SecretStr | None:
        """Give the ``user:password`` of an exchange's base URL; None where it has none."""
        return self._logins.get(exchange)

    @field_validator("redis")
    @classmethod
    def _redis_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _is_redis(value.get_secret_value()):
            raise ValueError(
                "a URL that begins with redis://, rediss:// or unix:// is wanted, "
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
            given.pop("sim", None)  # whoever names the hosts in the program means those
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            problem = error.errors(include_url=False, include_input=False)[0]
            name = str(problem["loc"][0])
            shown = name if chosen.get(name) is not None else PREFIX + name.upper()
            said = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
            raise InvalidParameterError(f"{shown}: {said}.", details={"parameter": shown}) from None

    def folder(self) -> Path:
        """Give the folder that files go to; it need not exist yet."""
        if self.home is not None:
            return self.home.expanduser()
        import platformdirs

        return platformdirs.user_cache_path("marketdata", appauthor=False)

    def candle_store(self) -> str | None:
        """Give where candles are kept; None for nowhere.

        The folder ``candles`` under MARKETDATA_HOME, or the user's data folder for this package:
        it is not a cache that may be emptied without a loss.
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
        number = parts.port  # where it is none, this raises
    except ValueError:
        return False
    if url.startswith("unix://"):
        return parts.path.startswith("/")
    return url.startswith(("redis://", "rediss://")) and number != 0
