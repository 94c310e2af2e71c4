"""The connection of one client to one exchange: its operations, and the calls to it.

A call uses ccxt's unified methods and the machine's request budget. It is retried while that can
help and time is left. It returns a record or raises an error of this package.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from marketdata._exchanges import capabilities
from marketdata._exchanges.caller import Caller, closed
from marketdata._exchanges.capabilities import WANTS_KEY, Capabilities
from marketdata._exchanges.markets import PairList, spot_markets
from marketdata._exchanges.markets_cache import Catalogue, Facts, Fetched, Packed, source
from marketdata._exchanges.quirks import Quirk, quirk
from marketdata._exchanges.recording import Event
from marketdata._exchanges.stream_offers import streamed_timeframes
from marketdata._exchanges.supported import serves_spot
from marketdata._exchanges.transport import Transport
from marketdata._requests.network import CERTIFICATES, check_proxies
from marketdata._requests.rate_ledger import Limit
from marketdata._requests.rate_limit import Budget
from marketdata._requests.reply import Reply
from marketdata.arguments import nearest
from marketdata.errors import (
    DataUnavailableError,
    ExchangeNotSupportedError,
    TimeframeNotSupportedError,
)
from marketdata.models import (
    Upstream,
)

if TYPE_CHECKING:
    from marketdata.settings import Settings

T = TypeVar("T")
_MONTHS = 60
"""Candles of a month that are requested at a time."""


class Connection:
    """One exchange, connected."""

    def __init__(
        self,
        connector: type[Any],
        settings: Settings,
        catalogue: Catalogue,
        endpoint: str | None,
    ) -> None:
        self.id = connector.__name__
        self._quirk = quirk(self.id)
        self._settings = settings
        self._source = source(self.id, endpoint)
        self._api = self._make(connector, endpoint)
        if not serves_spot(self._api):
            raise ExchangeNotSupportedError(
                f"{self.id} has no spot markets; only spot is supported.",
                details={"exchange": self.id},
            )
        self.listed = PairList(self.id, self._source, catalogue, self._fetch_listing, self._load)
        self._able = self._capabilities(self._api.has)
        self._caller = Caller(self.id, self._api, settings)
        self._endpoint = endpoint
        self._live: Any = None
        self._refused_sizes: set[str] = set()
        """Calls for which the exchange has refused a number of rows."""
        self._recorder: Callable[[Event], None] | None = None

    def _make(self, connector: type[Any], endpoint: str | None) -> Any:
        settings = self._settings
        keys = settings.credentials(self.id)
        given = {"apiKey": keys.api_key, "secret": keys.secret, "password": keys.password}
        transport = Transport(
            self.id,
            endpoint,
            settings.login(self.id),
            # aiohttp looks for proxies in a thread, twice for each request. The simulator needs
            # none.
            trust_env=not settings.sim and check_proxies(),
            cafile=os.environ.get(CERTIFICATES) or None,
            used_weight=self._quirk.used_weight,
        )
        api = connector(
            {
                "session": transport,
                "enableRateLimit": not settings.sim,
                "timeout": int(settings.timeout * 1000),
                "options": dict(self._quirk.options),
                **{name: key.get_secret_value() for name, key in given.items() if key},
            }
        )
        if not settings.sim:
            redis = settings.redis
            transport.budget = Budget(
                settings.folder() / "budget.sqlite",
                self._source,
                self.id,
                self._limit(api),
                redis=None if redis is None else redis.get_secret_value(),
            )
        return api

    @property
    def _connected(self) -> list[Any]:
        """ccxt's objects: for requests and, once used, for streams."""
        return [api for api in (self._live, self._api) if api is not None]

    def _capabilities(self, has: Mapping[str, Any]) -> Capabilities:
        keyed = bool(self._api.check_required_credentials(error=False))
        return Capabilities(has, self._quirk, keyed=keyed)

    def live(self) -> Any:
        """Return ccxt's object for streams, with the same markets.

        Raises `DataUnavailableError` if ccxt has none.
        """
        if self._live is None:
            # Most programs never watch anything.
            from marketdata._exchanges.sockets import stream_class

            connector = stream_class(self.id, exact=self.is_exact)
            if connector is None:
                raise DataUnavailableError(
                    f"{self.id} has no streams in ccxt; poll it instead.",
                    details={"exchange": self.id},
                )
            self._live = self._make(connector, self._endpoint)
            # Some of ccxt's `watch` methods need its event loop before they open a socket.
            self._live.open()
            self._load(self.listed.loaded, self.listed.renamed)
            if self._recorder is not None:
                self.record(self._recorder)
        return self._live

    def record(self, recorder: Callable[[Event], None]) -> None:
        """Pass everything sent and received to a recorder; no request is signed then."""
        self._recorder = recorder
        for api in self._connected:
            api.transport.recorder = recorder
            api.apiKey = api.secret = api.password = None
        self._able = self._capabilities(self._api.has)

    def _limit(self, api: Any) -> Limit:
        window = api.rollingWindowSize / 1000 if self._quirk.bursts else 0.0
        return Limit(api.rateLimit / 1000, window or None)

    @property
    def is_exact(self) -> bool:
        """Whether its numbers are Decimals."""
        return self._settings.numbers == "decimal"

    @property
    def is_closed(self) -> bool:
        """Return whether it makes no more requests."""
        return bool(self._api.transport.ended)

    @property
    def quirk(self) -> Quirk:
        """What the exchange does differently."""
        return self._quirk

    async def close(self) -> None:
        """Close its connections; calls in flight end with an error."""
        for api in self._connected:
            api.transport.ended = True
        await self.listed.close(closed(self.id))
        await self._caller.close()
        for api in self._connected:
            await api.close()
            await api.transport.close()
        # Transports report their end one turn of the loop later.
        await asyncio.sleep(0)

    def call(
        self,
        make: Callable[[Any, Reply], T],
        method: str,
        *args: Any,
        params: Mapping[str, Any] | None = None,
    ) -> Coroutine[Any, Any, T]:
        """Call a method of ccxt; return ``make`` of its result and the reply.

        See `Caller.ask`.
        """
        return self._caller.ask(make, method, args, dict(params or {}))

    @property
    def pause(self) -> float | None:
        """Seconds of a pause because it keeps failing; None without one."""
        return self._caller.pause

    def stats(self) -> Upstream:
        """Return the state of the calls to it."""
        return self._caller.stats()

    def has(self, method: str) -> bool:
        """Return whether ccxt has a call that works for spot and with our keys."""
        return method in self._able.offered

    def is_native(self, operation: str) -> bool:
        """Return whether ccxt has a call for an operation."""
        return self._able.is_native(operation)

    def check(self, operation: str, *, native: bool = False) -> None:
        """Raise `DataUnavailableError` for an unsupported operation, without a request.

        ``native`` excludes data derived from other calls.
        """
        if self._able.is_native(operation) if native else self._able.is_served(operation):
            return
        reason = self._able.reason(operation)
        raise DataUnavailableError(
            f"{self.id} offers {reason}.{self._to_set(reason)}",
            details={"exchange": self.id, "operation": operation},
        )

    def _to_set(self, reason: str) -> str:
        """Return a sentence with the variables to set, if the reason is a missing key."""
        if not reason.endswith(WANTS_KEY):
            return ""
        needed = self._api.requiredCredentials
        names = {"apiKey": "API_KEY", "secret": "SECRET", "password": "PASSWORD"}
        variables = " and ".join(
            f"MARKETDATA_{self.id.upper()}_{names[one]}" for one in names if needed.get(one)
        )
        return f" Set {variables}."

    def check_stream(self, kind: str, timeframe: str | None = None) -> None:
        """Raise `DataUnavailableError` with the reason if a kind has no stream, without a request.

        Raises `TimeframeNotSupportedError` for a timeframe that the exchange does not stream.
        """
        able = self._capabilities(self.live().has)
        reason = capabilities.why_no_stream(able, self._quirk, kind)
        if reason is not None:
            raise DataUnavailableError(
                f"{self.id} has no stream of {kind}: {reason}.{self._to_set(reason)}",
                details={"exchange": self.id, "kind": kind},
            )
        offered = streamed_timeframes(self.id, self.live().timeframes)
        if timeframe is not None and timeframe not in offered:
            raise TimeframeNotSupportedError(
                f"{self.id} streams no '{timeframe[:20]}' candles; it streams "
                f"{', '.join(offered)}.",
                details={
                    "exchange": self.id,
                    "timeframes": offered,
                    "closest": nearest(timeframe, offered),
                },
            )

    @property
    def _fees(self) -> Mapping[str, Any]:
        """The public fees of pairs without their own."""
        return (self._api.fees or {}).get("trading") or {}

    async def _fetch_listing(self) -> Fetched:
        (markets, named), reply = await self.call(
            self._listing, "fetch_markets", params=self._quirk.markets_params
        )
        facts = replace(
            named,
            precision_mode=self._api.precisionMode,
            fees={side: self._fees.get(side) for side in ("maker", "taker")},
        )
        return Fetched(markets, facts, reply.simulated, reply.plays)

    def _listing(
        self, raw: Iterable[Mapping[str, Any]], reply: Reply
    ) -> tuple[tuple[Packed, Facts], Reply]:
        by_code = self._quirk.asked_by_code
        markets, facts = spot_markets(raw, self._api.ccxts_codes, asked_by_code=by_code)
        return (Packed(markets), facts), reply

    def _load(self, markets: list[dict[str, Any]], renamed: Mapping[str, str]) -> None:
        for api in self._connected:
            api.rename(renamed)
            api.set_markets(markets)

    @property
    def has_candles(self) -> bool:
        """Whether the exchange has its own candles."""
        return self.has("fetchOHLCV")

    @property
    def timeframes(self) -> list[str]:
        """The exchange's timeframes; empty if it has no candles."""
        names = (self._api.timeframes if self.has_candles else None) or ()
        return capabilities.offered_timeframes(names, self._quirk)

    def candles_per_request(self, timeframe: str) -> int:
        """Maximum number of candles in a page; a cautious guess if ccxt does not say."""
        spot = (self._api.features or {}).get("spot") or {}
        size = self._quirk.bars_per_request.get(timeframe)
        size = size or int((spot.get("fetchOHLCV") or {}).get("limit") or 100)
        # ccxt asks for ranges in months of 30 days, in which the last of more would not open.
        return min(size, _MONTHS) if timeframe.endswith("M") else size

    def seconds_for(self, requests: int) -> float:
        """Return the minimum seconds for a number of pages of candles within the rate limit."""
        pace = float(self._api.rateLimit) / 1000
        if not self._quirk.bursts:
            return requests * pace
        # The first minute's budget may be spent at once; then the pace is the limit's.
        return max(requests * 0.01, requests * pace - 60.0)

    @property
    def ahead(self) -> int:
        """Milliseconds by which its clock is known to be ahead of ours."""
        return int(self._api.ahead)

    def now(self) -> int:
        """Return the time in Unix ms up to which candles are requested."""
        return int(self._api.milliseconds())
