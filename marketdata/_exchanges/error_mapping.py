"""What ccxt's errors, and those of its parsers, mean in ours."""

from __future__ import annotations

import logging
from typing import TypeAlias

from marketdata._exchanges import faults
from marketdata._exchanges.bodies import LARGEST, TooLargeError
from marketdata._exchanges.loader import ccxt_errors
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
"""What ccxt's parsers raise, besides ccxt's own errors, on a body of another shape."""

CUT_OFF = (AssertionError, OSError, RuntimeError)
"""What aiohttp raises in a request whose session is closed under it."""


def translate(
    error: Exception, exchange: str, reply: Reply, *, keeps_answers: bool = True
) -> MarketDataError:
    """Give the error of ours that says what an error of ccxt's, or of its parsers, means.

    The most specific class of ccxt's that has an entry decides. No upstream text is kept.
    ``keeps_answers`` says that ccxt may have read an answer that it has kept from before.
    """
    details = {"exchange": exchange, **({"httpStatus": reply.status} if reply.status else {})}
    if not (keeps_answers or reply.asked) and isinstance(error, MALFORMED):
        # There was no answer that could have been of another shape: the fault is ours or ccxt's.
        faults.note(logging.ERROR, f"a call to {exchange} went wrong inside", error)
        meaning = _BROKEN
    else:
        meaning = _meaning(error, reply)
    ours, said, retryable = meaning
    return ours(
        said.format(exchange=exchange),
        retryable=retryable,
        retry_after=reply.retry_after if retryable else None,
        details=details,
    )


def _meaning(error: Exception, reply: Reply) -> _Meaning:
    status = reply.status or 0
    if status == 451 or (status == 403 and isinstance(error, _base_error())):
        return _REFUSED
    if status in (418, 429):
        return _BUSY
    if isinstance(error, TooLargeError):
        return _TOO_LARGE
    meaning = _meaning_of_class(error)
    if not reply.asked and (meaning is _UNUSABLE or meaning[0] in _BLAMES_CALLER):
        return _NOT_OFFERED
    if reply.requests and meaning is _BROKEN:
        meaning = _REJECTED  # what ccxt takes for an answer about an order
    if status == 404 and (meaning is _REJECTED or meaning[0] is InvalidParameterError):
        return _DOWN  # as ccxt has it for exchanges that do not give it a meaning of their own
    return _DOWN if status >= 500 and meaning[0] is DataUnavailableError else meaning


def _meaning_of_class(error: Exception) -> _Meaning:
    if type(error.__cause__).__module__.partition(".")[0] == "aiohttp":
        return _DOWN  # ccxt has the general ExchangeError for a body that breaks off
    for kind in type(error).__mro__:
        if kind.__name__ in TRANSLATIONS and issubclass(kind, _base_error()):
            return TRANSLATIONS[kind.__name__]
    return _UNUSABLE


def _base_error() -> type[Exception]:
    kind: type[Exception] = ccxt_errors().BaseError
    return kind


_BLAMES_CALLER = (InvalidParameterError, MissingParameterError)

_Meaning: TypeAlias = tuple[type[MarketDataError], str, bool]
"""The error of ours, what to say, whether trying again may help."""

_UNUSABLE: _Meaning = (
    DataUnavailableError,
    "{exchange} answered with something that makes no sense.",
    True,
)
_TOO_LARGE: _Meaning = (
    DataUnavailableError,
    f"{{exchange}} answered with more than {LARGEST} MiB, which is not read.",
    False,
)
_DOWN: _Meaning = (
    ExchangeUnavailableError,
    "{exchange} cannot be reached or is failing. Try later.",
    True,
)
_BUSY: _Meaning = (
    ExchangeUnavailableError,
    "{exchange} asks for fewer requests. Wait, then retry.",
    True,
)
_NOT_OFFERED: _Meaning = (
    DataUnavailableError,
    "{exchange} does not offer this, or not in this way.",
    False,
)
"""Why no request was made: arguments of ours are sound before they get to ccxt."""
_REJECTED: _Meaning = (DataUnavailableError, "{exchange} rejected the request.", False)
_KEYS: _Meaning = (
    ExchangeUnavailableError,
    "{exchange} does not accept the configured key, or wants one. Check MARKETDATA_*_API_KEY.",
    False,
)
_REFUSED: _Meaning = (
    ExchangeUnavailableError,
    "{exchange} refuses requests from this place. Ask another exchange, or set "
    "MARKETDATA_ENDPOINTS to a host of it that answers here.",
    False,
)
_BROKEN: _Meaning = (
    InternalError,
    "The call to {exchange} went wrong inside. Please report it.",
    False,
)

TRANSLATIONS: dict[str, _Meaning] = {
    "BadSymbol": (PairNotSupportedError, "{exchange} does not trade this pair now.", False),
    "ArgumentsRequired": (MissingParameterError, "{exchange} needs another argument.", False),
    "BadRequest": (InvalidParameterError, "{exchange} does not take these arguments.", False),
    "NotSupported": (DataUnavailableError, "{exchange} does not offer this.", False),
    "MarketClosed": (DataUnavailableError, "{exchange} has closed this market for now.", True),
    "ContractUnavailable": (DataUnavailableError, "{exchange} does not offer this now.", False),
    "BadResponse": _UNUSABLE,
    "NullResponse": _UNUSABLE,
    "ChecksumError": _UNUSABLE,
    "RestrictedLocation": _REFUSED,
    "AuthenticationError": _KEYS,
    "RateLimitExceeded": _BUSY,
    "DDoSProtection": _BUSY,
    "OnMaintenance": (ExchangeUnavailableError, "{exchange} is under maintenance.", True),
    "RequestTimeout": (ExchangeUnavailableError, "{exchange} did not answer in time.", True),
    "InvalidNonce": _DOWN,
    "OperationFailed": _DOWN,
    "OperationRejected": _REJECTED,
    "InvalidProxySettings": (
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
    "ExchangeError": (DataUnavailableError, "{exchange} answered with an error.", False),
    "BaseError": _BROKEN,
}
"""What ccxt's error classes mean."""
