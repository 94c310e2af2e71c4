"""Every error that this package raises, with the code that programs branch on.

::

    MarketDataError
    ├── InvalidRequestError                 the call is wrong; change it
    │   ├── InvalidParameterError           INVALID_PARAMETER
    │   │   └── MissingExtraError           INVALID_PARAMETER (also an ImportError)
    │   ├── MissingParameterError           MISSING_PARAMETER
    │   ├── ExchangeNotSupportedError       EXCHANGE_NOT_SUPPORTED
    │   ├── PairNotSupportedError           PAIR_NOT_SUPPORTED
    │   ├── TimeframeNotSupportedError      TIMEFRAME_NOT_SUPPORTED
    │   └── HistoryLimitExceededError       HISTORY_LIMIT_EXCEEDED
    ├── AccessError                         no access, or not at the moment
    │   ├── UnauthorizedError               UNAUTHORIZED
    │   ├── ForbiddenError                  FORBIDDEN
    │   ├── QuotaExceededError              QUOTA_EXCEEDED
    │   └── RateLimitExceededError          RATE_LIMIT_EXCEEDED (retryable)
    ├── UpstreamError                       the exchange could not answer
    │   ├── DataUnavailableError            DATA_UNAVAILABLE
    │   └── ExchangeUnavailableError        EXCHANGE_UNAVAILABLE (retryable)
    └── InternalError                       INTERNAL_ERROR

The code is the contract. Messages are for people and may change in any release; they say what to do
next and never contain an exchange's text.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, ClassVar, Literal, TypeAlias

from _ccxt_marketdata import DISTRIBUTION

__all__ = [
    "AccessError",
    "Code",
    "DataUnavailableError",
    "ExchangeNotSupportedError",
    "ExchangeUnavailableError",
    "ForbiddenError",
    "HistoryLimitExceededError",
    "InternalError",
    "InvalidParameterError",
    "InvalidRequestError",
    "MarketDataError",
    "MissingExtraError",
    "MissingParameterError",
    "PairNotSupportedError",
    "QuotaExceededError",
    "RateLimitExceededError",
    "TimeframeNotSupportedError",
    "UnauthorizedError",
    "UpstreamError",
]

Code: TypeAlias = Literal[
    "INVALID_PARAMETER",
    "MISSING_PARAMETER",
    "UNAUTHORIZED",
    "FORBIDDEN",
    "QUOTA_EXCEEDED",
    "RATE_LIMIT_EXCEEDED",
    "EXCHANGE_NOT_SUPPORTED",
    "PAIR_NOT_SUPPORTED",
    "TIMEFRAME_NOT_SUPPORTED",
    "HISTORY_LIMIT_EXCEEDED",
    "DATA_UNAVAILABLE",
    "EXCHANGE_UNAVAILABLE",
    "INTERNAL_ERROR",
]


class MarketDataError(Exception):
    """Base class of all errors that this package raises.

    ``code`` is stable. ``retryable`` says whether the same call may succeed later, and
    ``retry_after`` after how many seconds (None if unknown). ``details`` holds facts for
    programs, with camelCase keys and JSON values.
    """

    code: ClassVar[Code] = "INTERNAL_ERROR"
    retryable: bool = False

    def __init__(
        self,
        message: str,
        *,
        retryable: bool | None = None,
        retry_after: float | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.retry_after = retry_after
        self.details = details or {}
        if retryable is not None:
            self.retryable = retryable

    def to_dict(self) -> dict[str, Any]:
        """Return the error as JSON values: code, message, retryable, retryAfter?, details?."""
        answer: dict[str, Any] = {
            "code": self.code,
            "message": self.message,
            "retryable": self.retryable,
        }
        if self.retry_after is not None:
            answer["retryAfter"] = self.retry_after
        if self.details:
            answer["details"] = self.details
        return answer

    def __reduce__(self) -> tuple[Any, ...]:
        # The default pickles only args and would lose the keyword-only attributes.
        return _rebuild, (type(self), self.message, self.retryable, self.retry_after, self.details)


def _rebuild(
    kind: type[MarketDataError],
    message: str,
    retryable: bool,
    retry_after: float | None,
    details: dict[str, Any],
) -> MarketDataError:
    return kind(message, retryable=retryable, retry_after=retry_after, details=details)


class InvalidRequestError(MarketDataError):
    """The call is wrong. Change it: sending it again cannot help."""


class InvalidParameterError(InvalidRequestError):
    """An argument has an invalid value, or its name is unknown."""

    code = "INVALID_PARAMETER"


class MissingExtraError(InvalidParameterError, ImportError):
    """The call needs an optional extra of the package that is not installed."""

    def __init__(self, what: str, extra: str, **more: Any) -> None:
        if more:  # rebuilt from a pickle: `what` is the whole message
            super().__init__(what, **more)
            return
        super().__init__(
            f"{what} needs the extra '{extra}': pip install '{DISTRIBUTION}[{extra}]'.",
            details={"extra": extra},
        )

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild_missing_extra, (self.message, self.details)


def _rebuild_missing_extra(message: str, details: dict[str, Any]) -> MissingExtraError:
    return MissingExtraError(message, str(details.get("extra", "all")), details=details)


class MissingParameterError(InvalidRequestError):
    """A required argument is missing."""

    code = "MISSING_PARAMETER"


class ExchangeNotSupportedError(InvalidRequestError):
    """No spot exchange has this name; ``details["closest"]`` holds similar names."""

    code = "EXCHANGE_NOT_SUPPORTED"


class PairNotSupportedError(InvalidRequestError):
    """The exchange has no such active spot pair; ``details["closest"]`` holds similar pairs."""

    code = "PAIR_NOT_SUPPORTED"


class TimeframeNotSupportedError(InvalidRequestError):
    """The exchange lacks this timeframe; ``details["timeframes"]`` holds those that it has."""

    code = "TIMEFRAME_NOT_SUPPORTED"


class HistoryLimitExceededError(InvalidRequestError):
    """The range starts earlier, or is longer, than the caller's account allows."""

    code = "HISTORY_LIMIT_EXCEEDED"


class AccessError(MarketDataError):
    """The caller has no access to this data, or not at the moment."""


class UnauthorizedError(AccessError):
    """The caller's key is missing, malformed, expired or revoked."""

    code = "UNAUTHORIZED"


class ForbiddenError(AccessError):
    """The caller's account is suspended or lacks this permission."""

    code = "FORBIDDEN"


class QuotaExceededError(AccessError):
    """The account's units for the period are used up."""

    code = "QUOTA_EXCEEDED"


class RateLimitExceededError(AccessError):
    """The caller sends too many requests; ``retry_after`` says how many seconds to wait."""

    code = "RATE_LIMIT_EXCEEDED"
    retryable = True


class UpstreamError(MarketDataError):
    """The exchange could not answer."""


class DataUnavailableError(UpstreamError):
    """The exchange does not have the requested data, or its response is unusable."""

    code = "DATA_UNAVAILABLE"


class ExchangeUnavailableError(UpstreamError):
    """The exchange cannot be reached, refuses this location, or asks callers to wait.

    ``details["reason"]`` says why: ``name_not_resolved``, ``refused``, ``no_route``,
    ``connection_lost``, ``timed_out``, ``tls_failed``, ``certificate_not_trusted``,
    ``proxy_failed``, ``location_refused``, ``key_refused``, ``server_error``, ``maintenance``,
    ``rate_limited``, ``busy``, ``silent`` or ``failing``. ``retryable`` is true if waiting may
    help. If several exchanges failed for different reasons, ``details["exchanges"]`` lists each.
    """

    code = "EXCHANGE_UNAVAILABLE"
    retryable = True


class InternalError(MarketDataError):
    """A bug in this package or in its use of ccxt."""

    code = "INTERNAL_ERROR"


def as_of_here(error: MarketDataError) -> None:
    """End the traceback of an error that is raised again in the caller's line.

    The message says what the caller must change. Bugs of this package keep all frames.
    """
    if not isinstance(error, InternalError):
        error.__traceback__ = None


def closest(wanted: str, known: Iterable[str], count: int = 3) -> list[str]:
    """Return the most similar names, closest first; empty if none is similar."""
    return difflib.get_close_matches(wanted, list(known), n=count, cutoff=0.6)


def did_you_mean(names: list[str]) -> str:
    """Return the names as a question with a leading blank, to end a message; or nothing."""
    return f" Did you mean {' or '.join(names)}?" if names else ""
