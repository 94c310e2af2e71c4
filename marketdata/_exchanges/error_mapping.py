"""Translates errors of ccxt and its parsers to errors of this package."""

from __future__ import annotations

import logging
import math
from typing import NamedTuple

from marketdata._exchanges import faults
from marketdata._exchanges.bodies import LARGEST, TooLargeError
from marketdata._exchanges.loader import ccxt_errors
from marketdata._exchanges.reasons import Why, why_refused_by_proxy, why_unreachable
from marketdata._requests.reply import Reply
from marketdata.errors import (
    DataUnavailableError,
    ExchangeUnavailableError,
    InternalError,
    InvalidParameterError,
    MarketDataError,
    MissingParameterError,
    PairNotSupportedError,
)

MALFORMED = (
    ArithmeticError,
    AttributeError,
    IndexError,
    KeyError,
    RecursionError,
    TypeError,
    ValueError,
)
"""Errors that ccxt's parsers raise, besides ccxt's own, on a body of another shape."""

CUT_OFF = (AssertionError, OSError, RuntimeError)
"""The error of aiohttp in a request whose session is closed."""


def translate(
    error: Exception, exchange: str, reply: Reply, *, keeps_answers: bool = True
) -> MarketDataError:
    """Return the error for an error of ccxt or its parsers.

    The most specific class of ccxt with an entry decides. No upstream text is kept.
    ``keeps_answers`` says that ccxt may have used a cached response.
    """
    details = {"exchange": exchange, **({"httpStatus": reply.status} if reply.status else {})}
    if not (keeps_answers or reply.asked) and isinstance(error, MALFORMED):
        # There was no response that could have another shape, so the bug is ours or ccxt's.
        faults.note(logging.ERROR, f"a call to {exchange} went wrong inside", error)
        meaning = _BROKEN
    else:
        meaning = _meaning(error, reply)
    ours, said, retryable, reason = meaning
    if issubclass(ours, ExchangeUnavailableError):
        details["reason"] = reason or "failing"
    wait = f"wait {math.ceil(reply.retry_after)} s" if reply.retry_after else "wait"
    return ours(
        said.format(exchange=exchange, wait=wait, status=reply.status),
        retryable=retryable,
        retry_after=reply.retry_after if retryable else None,
        details=details,
    )


def _meaning(error: Exception, reply: Reply) -> Meaning:
    status = reply.status or 0
    if status == 451 or (status == 403 and isinstance(error, _base_error())):
        return _REFUSED
    if status == 407:
        return _meaning_of(why_refused_by_proxy(status))  # which no exchange answers with
    if status in (418, 429):
        return _BUSY
    if isinstance(error, TooLargeError):
        return _TOO_LARGE
    meaning = _meaning_of_class(error)
    if not reply.asked and (meaning is _UNUSABLE or meaning.kind in _BLAMES_CALLER):
        return _NOT_OFFERED
    if reply.requests and meaning is _BROKEN:
        meaning = _REJECTED  # ccxt reads the response as one about an order
    if status == 404 and (meaning is _REJECTED or meaning.kind is InvalidParameterError):
        return _DOWN  # ccxt's meaning for exchanges that do not define their own
    if status >= 500 and (meaning is _DOWN or meaning.kind is DataUnavailableError):
        return _FAILING
    return meaning


def _meaning_of_class(error: Exception) -> Meaning:
    # ccxt has one class for most of these, and the general ExchangeError for some.
    if why := why_unreachable(error.__cause__):
        return _meaning_of(why)
    for kind in type(error).__mro__:
        if kind.__name__ in TRANSLATIONS and issubclass(kind, _base_error()):
            return TRANSLATIONS[kind.__name__]
    return _UNUSABLE


def _meaning_of(why: Why) -> Meaning:
    said = f"{{exchange}} {why.said.replace('{', '{{').replace('}', '}}')}"
    return Meaning(ExchangeUnavailableError, said, why.retryable, why.reason)


def _base_error() -> type[Exception]:
    kind: type[Exception] = ccxt_errors().BaseError
    return kind


_BLAMES_CALLER = (InvalidParameterError, MissingParameterError)


class Meaning(NamedTuple):
    """The meaning of an error of ccxt."""

    kind: type[MarketDataError]
    said: str
    retryable: bool
    """Whether a retry may help."""
    reason: str | None = None
    """Why it cannot be reached, if known."""


_UNUSABLE = Meaning(
    DataUnavailableError,
    "{exchange} sent an unusable response.",
    True,
)
_TOO_LARGE = Meaning(
    DataUnavailableError,
    f"{{exchange}} sent a response of more than {LARGEST} MiB, which is refused.",
    False,
)
_DOWN = Meaning(
    ExchangeUnavailableError,
    "{exchange} cannot be reached or is failing. Try later.",
    True,
    "failing",
)
_FAILING = Meaning(
    ExchangeUnavailableError,
    "{exchange} is failing (HTTP {status}). Try later.",
    True,
    "server_error",
)
_BUSY = Meaning(
    ExchangeUnavailableError,
    "{exchange} asks for fewer requests: {wait}, then retry.",
    True,
    "rate_limited",
)
_NOT_OFFERED = Meaning(
    DataUnavailableError,
    "{exchange} does not support this, or not with these arguments.",
    False,
)
"""The meaning of an error before any request. Our arguments are checked before ccxt gets them, so
ccxt does not support the call."""
_REJECTED = Meaning(DataUnavailableError, "{exchange} rejected the request.", False)
_KEYS = Meaning(
    ExchangeUnavailableError,
    "{exchange} does not accept the configured key, or requires one. Check MARKETDATA_*_API_KEY.",
    False,
    "key_refused",
)
_REFUSED = Meaning(
    ExchangeUnavailableError,
    "{exchange} refuses requests from this location. Use another exchange, or set "
    "MARKETDATA_ENDPOINTS to a host of it that responds here.",
    False,
    "location_refused",
)
_BROKEN = Meaning(
    InternalError,
    "The call to {exchange} failed because of a bug in this package. Please report it.",
    False,
)

TRANSLATIONS: dict[str, Meaning] = {
    "BadSymbol": Meaning(PairNotSupportedError, "{exchange} does not trade this pair now.", False),
    "ArgumentsRequired": Meaning(
        MissingParameterError, "{exchange} needs another argument.", False
    ),
    "BadRequest": Meaning(
        InvalidParameterError, "{exchange} does not accept these arguments.", False
    ),
    "NotSupported": Meaning(DataUnavailableError, "{exchange} does not offer this.", False),
    "MarketClosed": Meaning(
        DataUnavailableError, "{exchange} has closed this market for now.", True
    ),
    "ContractUnavailable": Meaning(
        DataUnavailableError, "{exchange} does not offer this now.", False
    ),
    "BadResponse": _UNUSABLE,
    "NullResponse": _UNUSABLE,
    "ChecksumError": _UNUSABLE,
    "RestrictedLocation": _REFUSED,
    "AuthenticationError": _KEYS,
    "RateLimitExceeded": _BUSY,
    "DDoSProtection": _BUSY,
    "OnMaintenance": Meaning(
        ExchangeUnavailableError, "{exchange} is under maintenance. Try later.", True, "maintenance"
    ),
    "RequestTimeout": Meaning(
        ExchangeUnavailableError,
        "{exchange} did not respond in time. Try later.",
        True,
        "timed_out",
    ),
    "InvalidNonce": _DOWN,
    "OperationFailed": _DOWN,
    "OperationRejected": _REJECTED,
    "InvalidProxySettings": Meaning(
        InvalidParameterError,
        "The proxy settings cannot be used. Check HTTPS_PROXY and HTTP_PROXY.",
        False,
    ),
    "InvalidOrder": _BROKEN,
    "InsufficientFunds": _BROKEN,
    "InvalidAddress": _BROKEN,
    "ManualInteractionNeeded": _KEYS,
    "NoChange": _BROKEN,
    "ExchangeClosedByUser": _BROKEN,
    "UnsubscribeError": _BROKEN,
    "CancelPending": _BROKEN,
    "ExchangeError": Meaning(DataUnavailableError, "{exchange} returned an error.", False),
    "BaseError": _BROKEN,
}
"""The meanings of ccxt's error classes."""
