"""The table of quirks agrees with ccxt for each exchange.

Connectors are ccxt's own; only their last step, the request itself, is noted instead of made.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import pytest
from inside.candles import known
from inside.exchanges import QUIRKS, Quirk, Venue, connector_class, loader, open_venue, quirk
from inside.markets import Catalogue, Market

import marketdata as md
from marketdata._candles.paging import Pages
from marketdata.errors import ExchangeNotSupportedError
from marketdata.settings import Settings

PAIR = "BTC/USDT"
START, LATER = 1_700_000_000_000, 1_703_600_000_000
DEPTHS = (1, 7, 20, 100, 400, 1_000, 5_000)

Said: TypeAlias = "str | Exception"
"""The first request of a call, or its error; empty if it sent none."""


class Asked(Exception):  # noqa: N818
    """A request that was about to be made."""


@dataclass
class Probe:
    """The intended requests to one exchange."""

    name: str
    special: Quirk
    timeframes: list[str]
    offered: dict[str, bool] = field(default_factory=dict)
    said: dict[str, Said] = field(default_factory=dict)

    def was_asked(self, what: str) -> bool:
        return isinstance(self.said[what], str)


CALLS: Mapping[str, Callable[[Venue, str], Awaitable[Any]]] = {
    "fetchMarkets": lambda venue, _: venue._fetch_listing(),
    "fetchTicker": lambda venue, pair: venue.ticker(pair),
    "fetchTickers": lambda venue, pair: venue.tickers([pair], every=True),
    "fetchBidsAsks": lambda venue, pair: venue.quote(pair),
    "fetchOrderBook": lambda venue, pair: venue.orderbook(pair, 20),
    "fetchOHLCV": lambda venue, pair: _pages(venue, pair).newest(10),
    "fetchTrades": lambda venue, pair: venue.trades(
        pair, limit=10, since=None, params=_trades_params(venue.quirk)
    ),
    "fetchTime": lambda venue, _: venue.call(_as_it_is, "fetch_time"),
    "fetchStatus": lambda venue, _: venue.call(_as_it_is, "fetch_status"),
}
"""ccxt's calls as they are made here."""

PLAIN: Mapping[str, tuple[Any, ...]] = {
    "fetchMarkets": (),
    "fetchTicker": (PAIR,),
    "fetchTickers": (),
    "fetchBidsAsks": (),
    "fetchOrderBook": (PAIR, None),
    "fetchOHLCV": (PAIR, "1h"),
    "fetchTrades": (PAIR,),
    "fetchTime": (),
    "fetchStatus": (),
}
"""ccxt's calls as its manual has them."""


def _as_it_is(answer: Any, _: Any) -> Any:
    return answer


def _trades_params(special: Quirk) -> dict[str, Any]:
    if special.newest_trades:
        return special.recent_trades
    return {(special.trades_from_id or "")[1:]: "7"}


def _market(api: Any, pair: str) -> Market:
    base, _, quote = pair.partition("/")
    made = api.safe_market_structure(
        {
            # A number, since some have no other ids and others take any text.
            "id": "7",
            "lowercaseId": "7",
            "numericId": 7,
            "symbol": pair,
            "base": base,
            "quote": quote,
            "baseId": base,
            "quoteId": quote,
            "type": "spot",
            "spot": True,
            "active": True,
            "stock": False,
            **dict.fromkeys(("swap", "future", "option", "margin", "contract"), False),
            "precision": {"price": 0.01, "amount": 0.0001},
            "info": {"id": 7, "symbol": "7"},
        }
    )
    return Market(pair, made)


async def _said(call: Awaitable[Any]) -> Said:
    try:
        await call
    except Asked as asked:
        return str(asked)
    except Exception as error:  # noqa: BLE001 - whatever it is, it came before a request
        return error
    return ""


def _pages(venue: Venue, pair: str) -> Pages:
    return Pages(venue, pair, known(venue.id, venue.timeframes[0]))


async def _page_from(venue: Venue, pair: str, start: int) -> Any:
    pages = _pages(venue, pair)
    until = pages.calendar.shift(start, 10) - 1
    return await venue.candles(pair, pages.timeframe, start, 10, until=until)


async def _probe(venue: Venue) -> Probe:
    api, special = venue._api, venue.quirk
    name = api.id
    pair = PAIR if special.ticker_pairs is None else special.ticker_pairs[0]
    made = Probe(name, special, list(api.timeframes or ()))

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> None:
        raise Asked(f"{method} {url} {body or ''}")

    async def throttle(cost: Any = None) -> None:
        pass

    api.fetch, api.throttle = fetch, throttle
    venue._load([_market(api, one).raw for one in dict.fromkeys((pair, PAIR, "ETH/USDT"))], {})
    for call, make in CALLS.items():
        made.offered[call] = venue.has(call)
        if venue.has(call):
            made.said[call] = await _said(make(venue, pair))
        if api.has.get(call):
            made.said[f"plain {call}"] = await _said(_plain(api, call, *PLAIN[call]))
    if api.has.get("fetchTickers"):
        made.said["plain named"] = await _said(_plain(api, "fetchTickers", [PAIR]))
    if venue.has("fetchTickers"):
        if special.full_tickers:
            made.said["named"] = await _said(venue.tickers([pair]))
        made.said["plain two"] = await _said(_plain(api, "fetchTickers", [PAIR, "ETH/USDT"]))
    if venue.has("fetchOrderBook"):
        taken = {*DEPTHS, *(special.depths or ()), special.max_depth or 1}
        for depth in sorted(taken):
            made.said[f"depth {depth}"] = await _said(venue.orderbook(pair, depth))
        for depth in special.depths or (special.max_depth,):
            made.said[f"plain {depth}"] = await _said(_plain(api, "fetchOrderBook", pair, depth))
    if venue.has_candles:
        bars = venue.timeframes[0]
        for start in (START, LATER):
            made.said[f"bars {start}"] = await _said(_page_from(venue, pair, start))
            plain = _plain(api, "fetchOHLCV", pair, bars, start, 10)
            made.said[f"plain bars {start}"] = await _said(plain)
    if venue.has("fetchTrades"):
        for since in (START, LATER):
            asked = venue.trades(pair, limit=10, since=since)
            made.said[f"trades {since}"] = await _said(asked)
        if special.trades_from_id is not None:
            params = {**special.trades_from_id_params, special.trades_from_id[1:]: "987654"}
            made.said["id"] = await _said(venue.trades(pair, limit=10, params=params))
    if special.keyless_call is not None:
        call, params = special.keyless_call
        made.said["keyless"] = await _said(venue.call(_as_it_is, call, params=params))
    return made


def _plain(api: Any, call: str, *args: Any) -> Awaitable[Any]:
    method = "fetch_ohlcv" if call == "fetchOHLCV" else api.un_camel_case(call)
    return getattr(api, method)(*args)  # type: ignore[no-any-return]


@functools.cache
def _probed() -> list[Probe]:
    async def work() -> list[Probe]:
        settings = Settings.from_environment(sim=False, retries=0, trip_after=1_000)
        catalogue, found = Catalogue(None), []
        for name in loader.ids():
            try:
                venue = open_venue(name, settings=settings, catalogue=catalogue)
            except ExchangeNotSupportedError:
                continue
            found.append(await _probe(venue))
            await venue.close()
        return found

    return asyncio.run(work())


@pytest.fixture
def probes(isolated: Any) -> list[Probe]:
    """The intended requests to each spot exchange, without keys."""
    return _probed()


def test_every_offered_call_can_be_made(probes: list[Probe]) -> None:
    assert len(probes) > 80
    silent = [
        (one.name, call)
        for one in probes
        for call, offered in one.offered.items()
        if offered and one.said[call] == "" and call != "fetchMarkets"
    ]
    raised = {
        (one.name, what): said
        for one in probes
        for what, said in one.said.items()
        if isinstance(said, Exception) and not what.startswith(("plain", "trades"))
    }
    assert silent == []
    assert raised == {}


def test_lists_of_pairs_are_requested_unless_ccxt_has_them(probes: list[Probe]) -> None:
    for one in probes:
        if one.offered["fetchMarkets"] and one.said["fetchMarkets"] == "":
            assert loader.described(one.name).markets, one.name


@pytest.mark.parametrize("table", ["not_offered", "keyed"])
def test_calls_that_are_not_offered_fail_without_a_request(probes: list[Probe], table: str) -> None:
    """A line whose call works by now is one too many."""
    lines = [
        (one, call)
        for one in probes
        for call in getattr(one.special, table)
        if call.startswith("fetch")
    ]
    assert lines
    for one, call in lines:
        assert not one.offered[call]
        plain = [one.was_asked(f"plain {call}")]
        if call == "fetchTickers":
            plain.append(one.was_asked("plain named"))
        assert not all(plain), f"{one.name} has {call} by now"


def test_streams_that_are_not_offered_fail_without_a_subscription(probes: list[Probe]) -> None:
    """A line whose stream works by now is one too many."""
    lines = {
        (one.name, call)
        for one in probes
        for call in (*one.special.not_offered, *one.special.keyed)
        if call.startswith("watch")
    }
    assert {name for name, _ in lines} == {"bitrue", "cex", "lighter", "luno"}

    async def subscribed(name: str, call: str) -> Said:
        api = importlib.import_module(f"ccxt.pro.{name}").__dict__[name]({"timeout_on_exit": 0})

        async def ask(*_: Any, **__: Any) -> None:
            raise Asked

        api.watch = api.watch_multiple = api.fetch = ask
        api.set_markets([_market(api, PAIR).raw], {})
        bars = ["1m"] if call == "watchOHLCV" else []
        method = "watch_ohlcv" if bars else api.un_camel_case(call)
        try:
            return await _said(getattr(api, method)(PAIR, *bars))
        finally:
            await api.close()

    for name, call in sorted(lines):
        assert isinstance(asyncio.run(subscribed(name, call)), Exception), f"{name} has {call}"


def test_streams_that_are_not_offered_are_refused_with_the_reason(isolated: Any) -> None:
    with md.Client(sim=False) as client:
        streams = {one.id: set(one.streams) for one in client.exchanges()}
        assert streams["bitrue"] == {"orderbook"}
        assert streams["cex"].isdisjoint({"ticker", "quote", "orderbook"})
        assert streams["luno"] == streams["alpaca"] == set()
        with pytest.raises(md.DataUnavailableError, match=r"Set MARKETDATA_LUNO_API_KEY and"):
            next(client.watch_trades("BTC/ZAR", exchange="luno"))
        with pytest.raises(md.DataUnavailableError, match="no stream of ticker: ccxt streams"):
            next(client.watch_ticker("BTC/USDT", exchange="bitrue"))


def test_every_depth_is_accepted(probes: list[Probe]) -> None:
    for one in probes:
        if one.offered["fetchOrderBook"]:
            for depth in one.special.depths or (one.special.max_depth,):
                assert one.was_asked(f"plain {depth}"), (one.name, depth)
                # Some requests say when they are made.
                asked, ours = (
                    re.sub(r"timestamp=\d+", "", str(one.said.get(what)))
                    for what in (f"plain {depth}", f"depth {depth}")
                )
                assert depth is None or ours == asked, (one.name, depth)


def test_a_start_time_of_bars_is_sent_if_it_is_respected(probes: list[Probe]) -> None:
    with_candles = [one for one in probes if one.offered["fetchOHLCV"]]
    ignored = {
        one.name for one in with_candles if one.said[f"bars {START}"] == one.said[f"bars {LATER}"]
    }
    newest_only = {one.name for one in with_candles if one.special.newest_bars_only}
    # It is sent, and heeded within the newest page.
    assert newest_only - ignored == {"kraken"}
    assert ignored <= newest_only


def test_bars_are_requested_as_each_exchange_requires(probes: list[Probe]) -> None:
    for one in probes:
        special = one.special
        if special.bars_from_start:
            plain = one.said["plain fetchOHLCV"]
            # Up to our time there may be no candle that the exchange has just begun.
            ends = re.findall(r"endAt=(\d+)", str(plain))
            is_until_now = [abs(int(end) - time.time()) < 600 for end in ends] == [True]
            assert isinstance(plain, Exception) or "=-" in plain or is_until_now, one.name
        if one.offered["fetchOHLCV"]:
            first, later = (one.said[f"plain bars {start}"] for start in (START, LATER))
            is_heeded = isinstance(first, str) and (first != later or special.newest_bars_only)
            assert is_heeded != special.bars_until, one.name
        assert set(special.misnamed_timeframes) <= set(one.timeframes), one.name


def test_trades_are_requested_as_each_exchange_requires(probes: list[Probe]) -> None:
    for one in probes:
        special = one.special
        if not one.offered["fetchTrades"]:
            continue
        assert one.was_asked("plain fetchTrades") == special.newest_trades, one.name
        if special.trades_from_id is not None:
            assert "987654" in str(one.said["id"]), one.name
        if special.trades_from_time and special.trades_after_nanoseconds is None:
            first, later = one.said[f"trades {START}"], one.said[f"trades {LATER}"]
            assert isinstance(first, str), one.name
            assert first != later, one.name


def test_tickers_are_requested_as_each_exchange_requires(probes: list[Probe]) -> None:
    for one in probes:
        special = one.special
        if one.offered["fetchTickers"]:
            assert one.was_asked("plain two") != special.tickers_of_all, one.name
        if special.tickers_of_named:
            calls = ("fetchTickers", "fetchBidsAsks")
            assert not all(one.was_asked(f"plain {call}") for call in calls), one.name
        if special.ticker_pairs is not None:
            assert not one.was_asked("plain fetchTicker"), one.name


class _AnyField(dict[str, Any]):
    """A ticker that has every field, whatever it is called."""

    def __contains__(self, name: object) -> bool:
        return True

    def __getitem__(self, name: object) -> Any:
        return "5"

    def get(self, name: object, otherwise: Any = None) -> Any:
        return "5"


_READ_BUT_NOT_SENT = {
    "bithumb": "only its older API sent them",
    "gemini": "its bulk tickers are last prices",
    "ndax": "what ccxt reads as the bid is a volume",
    "zebpay": "its fields have other names",
}
"""Exchanges whose bulk tickers have no best prices though ccxt looks for them."""


def test_tickers_without_best_prices_are_known() -> None:
    """Of a ticker that has a field of every name, ccxt reads no bid and no ask."""
    lines = [name for name, special in QUIRKS.items() if not special.best_in_tickers]
    assert lines
    for name in lines:
        read = connector_class(name)().parse_ticker(_AnyField())
        assert ((read["bid"], read["ask"]) != (None, None)) == (name in _READ_BUT_NOT_SENT), name


def test_quirks_belong_to_existing_exchanges(probes: list[Probe]) -> None:
    assert QUIRKS.keys() <= {one.name for one in probes}
    assert all(quirk(one.name) is one.special for one in probes)
    assert {one.name for one in probes if one.special.keyless_call is not None}
