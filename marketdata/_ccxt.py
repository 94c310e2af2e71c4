"""Loads one exchange of ccxt without the hundred others, and translates its errors.

Together with `_exchange` this is all that knows ccxt. ``import ccxt`` loads every exchange: 0.4 s
and 70 MiB, twice that with the asynchronous half. Here these packages are put into
``sys.modules`` unexecuted, so that importing ``ccxt.async_support.binance`` runs that module and
what it needs, nothing else. A package stays in that state until somebody asks it for something:
a name that its ``__init__`` merely imports from one of its modules is imported from there, any
other runs the real ``__init__``. A program that imports ccxt itself, before or after, from any
thread, therefore finds all of it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import pkgutil
import re
import sys
import threading
import weakref
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.abc import InspectLoader
from types import ModuleType
from typing import Any, TypeAlias
from urllib.parse import urlsplit, urlunsplit

from marketdata._columns import Columns
from marketdata._quirks import CandleLayout, quirk
from marketdata.errors import (
    DataUnavailableError,
    ExchangeUnavailableError,
    InternalError,
    InvalidParameterError,
    MarketDataError,
    MissingParameterError,
    PairNotSupportedError,
)

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
_lock = threading.RLock()


class _LazyPackage(ModuleType):
    """A package whose ``__init__`` has not run yet."""

    _sources: dict[str, str]
    """Names that the ``__init__`` imports, and the modules it has them from."""

    def __getattr__(self, name: str) -> Any:
        if name in self._sources:
            value = getattr(importlib.import_module(self._sources[name]), name)
            self.__dict__[name] = value
            return value
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(name)
        self._run()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'") from None

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system sets each imported module on its package. Where the package has a
        # class of the same name (ccxt.binance), the class must win, as it does in the real one.
        if not (isinstance(value, ModuleType) and self._sources.get(name) == value.__name__):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        self._run()
        return sorted(self.__dict__)

    def _run(self) -> None:
        # Other threads wait here until all of it is there; the one that runs it comes by again
        # when the package asks itself for a name that it does not have yet.
        with _lock:
            spec, state = self.__spec__, self.__dict__
            if self.__class__ is not _LazyPackage or "_runs" in state:
                return
            state["_runs"] = True
            try:
                if spec is not None and spec.loader is not None:
                    spec.loader.exec_module(self)
            finally:
                del state["_runs"]
            self.__class__ = ModuleType  # type: ignore[assignment]


def _prepare_packages() -> None:
    with _lock:
        for name in _PACKAGES:
            if name in sys.modules:
                continue
            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            package = importlib.util.module_from_spec(spec)
            source = _source(name)
            imported = re.findall(r"^from (ccxt[\w.]*) import (\w+)", source, re.MULTILINE)
            package.__dict__["_sources"] = {found: module for module, found in imported}
            package.__class__ = _LazyPackage
            sys.modules[name] = package
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, package)


def _source(name: str) -> str:
    spec = importlib.util.find_spec(name)
    loader = None if spec is None else spec.loader
    return (loader.get_source(name) or "") if isinstance(loader, InspectLoader) else ""


@functools.cache
def version() -> str:
    """Give ccxt's version without running its package."""
    found = re.search(r"^__version__ = '([^']+)'", _source("ccxt"), re.MULTILINE)
    return found[1] if found else str(importlib.import_module("ccxt").__version__)


@functools.cache
def ids() -> tuple[str, ...]:
    """Name all exchanges that ccxt has, spot or not, without importing one."""
    _prepare_packages()
    path = importlib.import_module("ccxt.async_support").__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if not module.ispkg))


@functools.cache
def is_exchange(name: str) -> bool:
    """Tell whether ccxt has an exchange of this name."""
    return name in ids()


def described(name: str) -> Any:
    """Give an exchange as ccxt describes it, streams included where it has any.

    Slow, and more than is needed to ask it anything: `connector_class` is for that.
    """
    _prepare_packages()
    module = f"ccxt.pro.{name}"
    if importlib.util.find_spec(module) is None:
        module = f"ccxt.async_support.{name}"
    return getattr(importlib.import_module(module), name)()


def ccxt_errors() -> ModuleType:
    """Give the module that holds ccxt's error classes."""
    _prepare_packages()
    return importlib.import_module("ccxt.base.errors")


# ---------------------------------------------------------------------------- connecting


@dataclass
class Reply:
    """What is known of the answers to the requests that one call made."""

    sent_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    received_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    requests: int = 0
    hollow: bool = False
    """Whether the last answer was an object without fields."""

    def note(self, status: int, headers: dict[str, str]) -> None:
        """Take in one answer, the last one so far."""
        self.received_at = datetime.now(UTC)
        self.status = status
        self.headers = {name.lower(): value for name, value in headers.items()}
        self.requests += 1

    @property
    def date(self) -> datetime | None:
        """The exchange's clock, in whole seconds, as its answer's Date header has it."""
        return _http_date(self.headers.get("date"))

    @property
    def retry_after(self) -> float | None:
        """Seconds for which the exchange asks to be left alone."""
        text = self.headers.get("retry-after", "")
        if text.isascii() and text.isdigit():
            return float(text)
        moment = _http_date(text)
        return None if moment is None else max(0.0, (moment - self.received_at).total_seconds())

    @property
    def simulated(self) -> bool:
        """Whether the simulated exchange gave the answer."""
        return "x-marketdata-simulated" in self.headers


def _http_date(text: str | None) -> datetime | None:
    try:
        return None if not text else parsedate_to_datetime(text).astimezone(UTC)
    except ValueError:
        return None


current_reply: ContextVar[Reply | None] = ContextVar("current_reply", default=None)
"""Where the requests of the running task note their answers; tasks do not see each other's."""


class Connector:
    """What is changed in ccxt's class of an exchange, mixed in before it."""

    timeout_on_exit = 0  # ccxt waits a quarter of a second for TLS; `Venue.close` waits for it

    ended: bool = False
    """Whether it makes no more requests: ccxt would open a new connection, for nobody to close."""
    base_url: str | None = None
    """Where every request goes instead of the exchange's own hosts, path kept."""
    candle_layout: CandleLayout | None = None
    """Where a candle on the wire has its fields."""
    plain_levels: bool = False
    """Whether ccxt's own way of reading a level of a book would give nothing more."""
    envelope: str | None = None
    """The field of each answer that holds what was asked for."""
    unneeded: tuple[str, ...] = ()
    """Parts of URLs that ccxt asks for although no spot answer needs them."""
    keyless_paths: tuple[str, ...] = ()
    """Paths for which ccxt wants a key although the exchange does not."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        super().__init__(config or {})  # type: ignore[call-arg]
        _connectors.add(self)

    async def fetch(
        self, url: str, method: str = "GET", headers: Any = None, body: Any = None
    ) -> Any:
        """Make one request, at `base_url` where that is set; none for what is not needed."""
        if any(part in url for part in self.unneeded):
            return {}
        if self.ended:
            raise ccxt_errors().ExchangeClosedByUser("closed")
        reply = current_reply.get()
        if reply is not None:
            reply.sent_at = datetime.now(UTC)
        if self.base_url is not None:
            asked, base = urlsplit(url), urlsplit(self.base_url)
            url = urlunsplit(
                asked._replace(scheme=base.scheme, netloc=base.netloc, path=base.path + asked.path)
            )
        answer = await super().fetch(url, method, headers, body)  # type: ignore[misc]
        content = answer
        if self.envelope is not None:
            content = answer.get(self.envelope) if isinstance(answer, dict) else None
            content = None if content == {} else content
        if reply is not None:
            reply.hollow = content == {}
        if not isinstance(content, dict | list | int | float):
            # HTML, half a JSON text, nothing at all: ccxt's parsers would find no field in it and
            # make a ticker of Nones, or no trades.
            raise ccxt_errors().BadResponse("not an answer")
        return answer

    def on_rest_response(
        self, code: int, reason: str, url: str, method: str, response_headers: Any, *more: Any
    ) -> Any:
        """Note an answer for the call that is waiting for it."""
        reply = current_reply.get()
        if reply is not None:
            reply.note(code, response_headers)
        return super().on_rest_response(  # type: ignore[misc]
            code, reason, url, method, response_headers, *more
        )

    def parse_ohlcvs(
        self,
        ohlcvs: Any,
        market: Any = None,
        timeframe: str = "1m",
        since: int | None = None,
        limit: int | None = None,
        tail: bool = False,
    ) -> Any:
        """Read candles by column where their layout is known; else as ccxt does, row by row.

        Columns come oldest first but uncut: whoever asks takes the bars it asked for. ccxt's way
        takes ten times as long and drops the number of trades.
        """
        layout = self.candle_layout
        if layout is None:
            return super().parse_ohlcvs(  # type: ignore[misc]
                ohlcvs, market, timeframe, since, limit, tail
            )
        if not isinstance(ohlcvs, list):
            raise TypeError("candles are a list")
        if not ohlcvs:
            return ohlcvs
        fields = list(zip(*ohlcvs, strict=True))
        unit = 1000 if layout.seconds else 1
        opened, high, low, close, volume = (
            map(float, fields[position]) for position in layout.prices_and_volume
        )
        columns = Columns(
            [int(time) * unit for time in fields[layout.time]],
            opened,
            high,
            low,
            close,
            volume,
            None if layout.trades is None else map(int, fields[layout.trades]),
        )
        newest_first = len(columns) > 1 and columns.time[0] > columns.time[-1]
        return columns[::-1] if newest_first else columns

    def parse_order_book_bids_asks(self, bidasks: Any, *keys: Any) -> Any:
        """Read price and size of levels; a third position is a count or a time, and dropped."""
        if not self.plain_levels:
            return super().parse_order_book_bids_asks(bidasks, *keys)  # type: ignore[misc]
        price, size = keys[:2] if len(keys) > 1 else (0, 1)
        levels = self.to_array(bidasks)  # type: ignore[attr-defined]
        return [(float(level[price]), float(level[size])) for level in levels]

    def sign(self, path: str, *more: Any, **named: Any) -> Any:
        """Sign a request; as if for a public path where no key is needed."""
        if path in self.keyless_paths and not getattr(self, "apiKey", None):
            signed = super().sign("trades", *more, **named)  # type: ignore[misc]
            return {**signed, "url": signed["url"].replace("/trades", f"/{path}", 1)}
        return super().sign(path, *more, **named)  # type: ignore[misc]

    def __del__(self) -> None:
        # ccxt logs a demand to call close() here. `Venue` closes what it opens; what is left at
        # the end of a process that was told to stop is not the user's to close.
        pass


_connectors: weakref.WeakSet[Connector] = weakref.WeakSet()


def _leave_to_parent() -> None:
    # A forked child shares its parent's sockets and the selector that watches them. Taking the
    # connections down at its end would stop the parent from hearing its answers.
    for connector in _connectors:
        pool = getattr(connector, "tcp_connector", None)
        if pool is not None:
            pool._closed = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_to_parent)


@functools.cache
def connector_class(name: str) -> type[Any]:
    """Load ccxt's class of one exchange, with `Connector` mixed in."""
    _prepare_packages()
    theirs = getattr(importlib.import_module(f"ccxt.async_support.{name}"), name)
    special = quirk(name)
    reads_levels = getattr(theirs, "parse_order_book_bid_ask", None)
    changes = {
        "candle_layout": special.candle_layout,
        "envelope": special.envelope,
        "keyless_paths": special.keyless_paths,
        "unneeded": special.unneeded,
        "plain_levels": special.plain_levels
        or getattr(reads_levels, "__module__", None) == "ccxt.base.exchange",
    }
    return type(name, (Connector, theirs), changes)


# ---------------------------------------------------------------------------- translating

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


def translate(error: Exception, exchange: str, reply: Reply) -> MarketDataError:
    """Give the error of ours that says what an error of ccxt's, or of its parsers, means.

    The most specific class of ccxt's that has an entry decides. No upstream text is kept.
    """
    details = {"exchange": exchange, **({"httpStatus": reply.status} if reply.status else {})}
    ours, said, retryable = _meaning(error, reply.status or 0)
    return ours(
        said.format(exchange=exchange),
        retryable=retryable,
        retry_after=reply.retry_after if retryable else None,
        details=details,
    )


def _meaning(error: Exception, status: int) -> _Meaning:
    if status == 451 or (status == 403 and isinstance(error, _base_error())):
        return _REFUSED
    if status in (418, 429):
        return _BUSY
    meaning = _meaning_of_class(error)
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


_Meaning: TypeAlias = tuple[type[MarketDataError], str, bool]
"""The error of ours, what to say, whether trying again may help."""

_UNUSABLE: _Meaning = (
    DataUnavailableError,
    "{exchange} answered with something that makes no sense.",
    True,
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
    "OperationRejected": (DataUnavailableError, "{exchange} rejected the request.", False),
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
