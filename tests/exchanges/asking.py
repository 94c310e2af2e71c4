"""Every operation of every spot exchange, and the rules for each answer."""

from __future__ import annotations

import asyncio
import functools
import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from inside.candles import source_for
from inside.exchanges import connector_class, spot_exchanges
from inside.markets import Lists

from marketdata import AsyncClient, MarketDataError
from marketdata.errors import Code
from marketdata.models import Record

from .loopback import CANARY, Body, Loopback

NATIVE, COARSER = "a timeframe that it has", "one that it has not"
PAIR: dict[str, Any] = {"pair": "BTC/USDT"}
PAIRS: dict[str, Any] = {"pairs": ["BTC/USDT", "ETH/USDT"]}

ASKED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("pairs", {}),
    ("ticker", PAIR),
    ("tickers", PAIRS),
    ("tickers", {}),
    ("quotes", PAIRS),
    ("orderbook", {**PAIR, "depth": 5}),
    ("candles", {**PAIR, "timeframe": NATIVE, "limit": 5}),
    ("trades", {**PAIR, "limit": 5}),
    ("status", {}),
)
"""Operations that make each of ccxt's calls once."""
MORE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ticker", {**PAIR, "window": "4h"}),
    ("ticker", {**PAIR, "window": "day"}),
    ("quote", PAIR),
    ("quotes", {}),
    ("candles", {**PAIR, "timeframe": NATIVE, "start": "-3d", "end": "-2d"}),
    ("candles", {**PAIR, "timeframe": COARSER, "limit": 3}),
    ("trades", {**PAIR, "limit": 5, "start": "-3d"}),
    ("trades", {**PAIR, "limit": 5, "from_id": 7}),
    ("trades", {**PAIR, "limit": 5, "aggregate": True}),
    ("fees", PAIR),
)
"""The others, which make them in other ways."""

TIMEOUT = 20.0
"""Seconds that a call may take. All exchanges are asked at once, so that each waits for others."""
MOST_REQUESTS = 12
"""Requests that one call makes at most, retries being off."""

_CODES = frozenset(get_args(Code))
_PYTHON = re.compile(
    r"Traceback|\b\w+\.py\b|ccxt[./]|aiohttp|<class |object at 0x|\b[A-Z]\w*(?:Error|Exception)\b"
)
"""What no message has a use for."""


@functools.cache
def spot(folder: Path) -> tuple[str, ...]:
    """Name the exchanges, asked from ccxt."""
    return tuple(one.id for one in spot_exchanges(folder))


def keyed(folder: Path) -> set[str]:
    """Name the exchanges that are not asked anything without the key of an account."""
    listed = spot_exchanges(folder)
    return {one.id for one in listed if {*one.operations} - {*one.needs_key} <= {"status"}}


def markets(exchange: str) -> list[dict[str, Any]]:
    """Return a list of pairs as ccxt would make it of what the exchange sends."""
    api = connector_class(exchange)({})
    made = []
    for number, (base, quote) in enumerate((("BTC", "USDT"), ("ETH", "USDT"), ("BTC", "JPY")), 1):
        kinds = dict.fromkeys(("margin", "swap", "future", "option", "contract", "stock"), False)
        raw = api.safe_market_structure(
            {
                **kinds,
                "id": str(number),
                "lowercaseId": f"{base}{quote}".lower(),
                "symbol": f"{base}/{quote}",
                "base": base,
                "quote": quote,
                "baseId": base,
                "quoteId": quote,
                "type": "spot",
                "spot": True,
                "active": True,
                "precision": {"amount": 1e-8, "price": 0.01},
                "priceScale": 8,
                "valueScale": 8,
                "info": {"type": "1"},
            }
        )
        made.append(raw)
    return made


@dataclass
class Case:
    """One call, and what came of it."""

    exchange: str
    operation: str
    given: dict[str, Any]
    body: Body
    came: Any
    requests: int

    def __str__(self) -> str:
        given = json.dumps({name: one for name, one in self.given.items() if name != "pair"})
        return f"{self.exchange} {self.operation} {given} on {self.body.name}: {self.came!r:.200}"


class World:
    """All exchanges at one address, each with the same few pairs."""

    def __init__(self, home: Path, loopback: Loopback, client: AsyncClient) -> None:
        self._loopback = loopback
        self._client = client
        self._lists = Lists(home)
        self._endpoints = client.settings.endpoints
        self.exchanges = tuple(self._endpoints)
        self._listed = {name: markets(name) for name in self.exchanges}
        for name in self.exchanges:
            self._list(name)

    @classmethod
    @asynccontextmanager
    async def begun(
        cls, home: Path, exchanges: Iterable[str], login: str = "", **more: Any
    ) -> AsyncIterator[World]:
        """Connect to all, with a ``user:password@`` where one is given."""
        async with Loopback.begun() as loopback:
            url = loopback.url.replace("//", f"//{login}")
            endpoints = {name: f"{url}/{name}" for name in exchanges}
            more.setdefault("timeout", TIMEOUT)
            async with AsyncClient(endpoints=endpoints, home=home, retries=0, **more) as client:
                yield cls(home, loopback, client)

    @property
    def client(self) -> AsyncClient:
        return self._client

    @property
    def loopback(self) -> Loopback:
        return self._loopback

    def _list(self, exchange: str) -> None:
        endpoint = self._endpoints[exchange]
        self._lists.plant(exchange, self._listed[exchange], endpoint=endpoint)

    async def asks_all(
        self,
        body: Body,
        asked: Iterable[tuple[str, dict[str, Any]]],
        exchanges: Iterable[str] | None = None,
    ) -> list[Case]:
        """Ask some exchanges, or all, at once; each one thing after the other."""
        self._loopback.body = body
        asked = tuple(asked)

        async def ask_one(exchange: str) -> list[Case]:
            return [await self.asks(exchange, name, given) for name, given in asked]

        each = await asyncio.gather(*map(ask_one, exchanges or self.exchanges))
        return [case for cases in each for case in cases]

    async def asks(self, exchange: str, operation: str, given: dict[str, Any]) -> Case:
        """Ask one exchange; what has not come long after its time is a TimeoutError."""
        if given.get("timeframe") in (NATIVE, COARSER):
            given = {**given, "timeframe": await self._timeframe(exchange, given["timeframe"])}
        if operation == "pairs":
            self._lists.forget(exchange, self._endpoints[exchange])
        before = self._loopback.requests[exchange]
        came: Any
        try:
            async with asyncio.timeout(1.5 * TIMEOUT):
                came = await getattr(self._client, operation)(exchange=exchange, **given)
        except Exception as error:  # noqa: BLE001 any is what is looked for
            came = error
        if operation == "pairs":
            self._list(exchange)
        requests = self._loopback.requests[exchange] - before
        return Case(exchange, operation, given, self._loopback.body, came, requests)

    async def _timeframe(self, exchange: str, wanted: str) -> str:
        venue = await (await self._client._session.connections()).venue(exchange)
        offered = venue.timeframes
        if wanted == NATIVE:
            return next((one for one in ("1h", "1m", "1d") if one in offered), (*offered, "1h")[0])
        coarser = (
            one for one in ("3d", "2d", "12h", "8h", "2h", "90m", "2m") if one not in offered
        )
        return next((one for one in coarser if source_for(one, offered)), "3d")


def offences(cases: Iterable[Case]) -> list[str]:
    """Return which cases should not have come out as they did, and why."""
    return [f"{why}: {case}" for case in cases for why in _wrong(case)]


def _wrong(case: Case) -> Iterable[str]:
    came = case.came
    if case.requests > MOST_REQUESTS:
        yield f"{case.requests} requests"
    if isinstance(came, MarketDataError):
        yield from _wrong_error(case, came)
    elif isinstance(came, Exception):
        yield "not an error of ours"
    elif not _is_answer(case):
        yield "not an answer to that"


def _is_answer(case: Case) -> bool:
    """Return whether something may have been answered."""
    came, body = case.came, case.body
    if case.operation in ("pairs", "fees"):
        return case.requests == 0 and bool(came)  # what ccxt knows by heart, or the disk
    if case.operation == "status":
        if CANARY in came.to_json() or came.exchange != case.exchange:
            return False
        if came.reachable:
            return body.status == 200 and body.text[:1] in (b"[", b"{")
        return came.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE")
    if case.operation in ("trades", "candles"):
        # Nobody can tell what was meant by an empty list where an object was due.
        return body.text == b"[]" and (isinstance(came, Record) or came == []) and not len(came)
    return False


def _wrong_error(case: Case, error: MarketDataError) -> Iterable[str]:
    body, asked = case.body, case.requests > 0
    if error.code not in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE"):
        # That it does not have a pair some say by an empty list, or by 404, others beforehand, also
        # where the pairs are asked for one by one.
        may_be_gone = not asked or body.status == 404 or body.text[:1] in (b"[", b"{")
        may_be_gone = may_be_gone or case.operation == "tickers"
        if error.code != "PAIR_NOT_SUPPORTED" or not may_be_gone:
            yield "another code" if error.code in _CODES else "no code"
    if error.details.get("exchange") != case.exchange:
        yield "nobody named"
    if error.retryable and not asked:
        yield "retryable, but nothing was asked"
    fails = body.closes or body.status == 500
    to_be_retried = error.code == "EXCHANGE_UNAVAILABLE" and error.retryable
    if asked and fails and not to_be_retried and error.code != "PAIR_NOT_SUPPORTED":
        yield "a failing exchange, not to be retried"
    # An empty list of pairs some take for a failure themselves.
    if to_be_retried and body.status == 200 and not fails and body.text[:1] not in (b"[", b"{"):
        yield "taken for a failing exchange"
    said = "\n".join([error.message, repr(error), json.dumps(error.to_dict())])
    if CANARY in said:
        yield "upstream's text"
    if _PYTHON.search(error.message):
        yield "Python's text"
    if error.__context__ is not None or error.__cause__ is not None:
        yield "what it came of, which a traceback shows"
