"""Kraken's public REST interface, as `ccxt.kraken` calls it."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import cached_property
from itertools import islice
from typing import Any

from marketdata.sim.dialects import kraken_session, kraken_streams
from marketdata.sim.dialects.decimals import fixed, ratio, short
from marketdata.sim.dialects.dialect import Call, Dialect, RefusedError, Route, SocketRoute, Venue
from marketdata.sim.markets.bars import DAY, MINUTE, Bar, Grid, Trade
from marketdata.sim.markets.listings import Listing
from marketdata.sim.markets.market import Market

_INTERVALS = (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)
_MOST_BARS = 720

# Assets that were listed before Kraken gave up its X and Z prefixes: (id, other name).
_OLD = {
    "BTC": ("XXBT", "XBT"),
    "DOGE": ("XXDG", "XDG"),
    "ETH": ("XETH", "ETH"),
    "LTC": ("XLTC", "LTC"),
    "XRP": ("XXRP", "XRP"),
    "EUR": ("ZEUR", "EUR"),
    "USD": ("ZUSD", "USD"),
}
_TAKER = [[0, 0.4], [10000, 0.35], [50000, 0.24], [100000, 0.22], [250000, 0.2], [500000, 0.18]]
_MAKER = [[0, 0.25], [10000, 0.2], [50000, 0.14], [100000, 0.12], [250000, 0.1], [500000, 0.08]]


class Kraken:
    """Answers for one venue; each public method is one endpoint."""

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    @cached_property
    def _ids(self) -> dict[str, Listing]:
        return self._venue.ids(_pair_id)

    @cached_property
    def _names(self) -> dict[str, Listing]:
        return {**self._venue.ids(_other_name), **self._venue.ids(_spelled), **self._ids}

    def time(self, call: Call) -> object:
        """GET Time."""
        moment = datetime.fromtimestamp(call.now // 1000, UTC)
        return _result({"unixtime": call.now // 1000, "rfc1123": format_datetime(moment)})

    def system_status(self, call: Call) -> object:
        """GET SystemStatus."""
        moment = datetime.fromtimestamp(call.now // 1000, UTC)
        return _result({"status": "online", "timestamp": f"{moment:%Y-%m-%dT%H:%M:%SZ}"})

    def assets(self, _call: Call) -> object:
        """GET Assets: all of them."""
        return _result(
            {
                _asset_id(name): {
                    "aclass": "currency",
                    "altname": _asset_name(name),
                    "decimals": 4 if _asset_id(name).startswith("Z") else 10,
                    "display_decimals": 2 if _asset_id(name).startswith("Z") else 5,
                    "status": "enabled",
                }
                for name in self._venue.assets
            }
        )

    def asset_pairs(self, call: Call) -> object:
        """GET AssetPairs: all of them, or those named."""
        found = self._named(call) if call.query.get("pair") else list(self._ids.values())
        return _result({_pair_id(listing): _pair(listing) for listing in found})

    def ticker(self, call: Call) -> object:
        """GET Ticker: all traded pairs, or those named."""
        if call.query.get("pair"):
            markets = [self._venue.market(listing) for listing in self._named(call)]
        else:
            markets = self._venue.markets()
        answers = {_pair_id(market.listing): _ticker(market, call.now) for market in markets}
        return _result({name: answer for name, answer in answers.items() if answer})

    def ohlc(self, call: Call) -> object:
        """GET OHLC: of the last 720 candles, those after ``since``."""
        market = self._market(call)
        interval = _integer(call, "interval", 1)
        if interval not in _INTERVALS:
            raise _arguments()
        grid = Grid(interval * MINUTE)
        since = _integer(call, "since", 0) * 1000
        bars = market.newest(grid, _MOST_BARS, 0, call.now + 1, call.now, filled=False)
        rows = [_bar(market, bar) for bar in call.kept([b for b in bars if b.start > since])]
        closed = [bar.start for bar in bars if grid.after(bar.start) <= call.now]
        last = closed[-1] if closed else since
        return _result({_pair_id(market.listing): rows, "last": last // 1000})

    def depth(self, call: Call) -> object:
        """GET Depth: up to 500 rows a side."""
        market = self._market(call)
        count = _integer(call, "count", 100)
        if count < 1:
            raise _arguments()
        book = market.book(call.now, min(count, 500))
        seconds = call.now // 1000
        sides: dict[str, list[list[Any]]] = {"asks": [], "bids": []}
        if book:
            for name, rows in (("asks", book.asks), ("bids", book.bids)):
                sides[name] = [
                    [_price(market, price), fixed(amount, market.amount_scale, 3), seconds]
                    for price, amount in rows
                ]
        return _result({_pair_id(market.listing): sides})

    def trades(self, call: Call) -> object:
        """GET Trades: up to 1000, oldest first, after ``since`` or the newest ones."""
        market = self._market(call)
        count = _integer(call, "count", 1000)
        if not 1 <= count <= 1000:
            raise _arguments()
        text = call.query.get("since", "")
        if text:
            since = _nanoseconds(text)
            later = market.forwards(call.now, ms=since // 1_000_000)
            found = list(islice((trade for trade in later if trade.nanos > since), count))
        else:
            since = 0
            found = list(islice(market.backwards(call.now), count))[::-1]
        last = found[-1].nanos if found else since
        rows = [_trade(market, trade) for trade in found]
        return _result({_pair_id(market.listing): rows, "last": str(last)})

    def _market(self, call: Call) -> Market:
        names = self._named(call)
        return self._venue.market(names[0])

    def _named(self, call: Call) -> list[Listing]:
        text = call.query.get("pair", "")
        if not text:
            raise _arguments()
        found = [self._names.get(name.upper()) for name in text.split(",")]
        known = [listing for listing in found if listing is not None]
        if len(known) < len(found):
            raise RefusedError(200, {"error": ["EQuery:Unknown asset pair"]})
        return known


def _asset_id(name: str) -> str:
    return _OLD[name][0] if name in _OLD else name


def _asset_name(name: str) -> str:
    return _OLD[name][1] if name in _OLD else name


def _pair_id(listing: Listing) -> str:
    # Dogecoin keeps its short name in pairs, although its asset id is an old one.
    if listing.base in _OLD and listing.quote in _OLD and listing.base != "DOGE":
        return _asset_id(listing.base) + _asset_id(listing.quote)
    return _other_name(listing)


def _other_name(listing: Listing) -> str:
    return _asset_name(listing.base) + _asset_name(listing.quote)


def _spelled(listing: Listing) -> str:
    return f"{_asset_name(listing.base)}/{_asset_name(listing.quote)}"


def _result(found: dict[str, Any]) -> object:
    return {"error": [], "result": found}


def _arguments() -> RefusedError:
    return RefusedError(200, {"error": ["EGeneral:Invalid arguments"]})


def _integer(call: Call, name: str, default: int) -> int:
    text = call.query.get(name, "")
    if not text:
        return default
    whole = text.partition(".")[0]
    if not whole.removeprefix("-").isdecimal():
        raise _arguments()
    return int(whole)


def _nanoseconds(text: str) -> int:
    """Read ``since``, which may be nanoseconds or seconds with a fraction."""
    whole, _, fraction = text.partition(".")
    if not (whole + fraction).isdecimal():
        raise _arguments()
    if fraction or len(whole) < 13:
        return int(whole or "0") * 10**9 + int(fraction[:9].ljust(9, "0"))
    return int(whole)


def _price(market: Market, price: int) -> str:
    return fixed(price, market.price_scale, market.price_scale)


def _amount(market: Market, amount: int) -> str:
    return fixed(amount, market.amount_scale, 8)


def _mean(market: Market, bar: Bar) -> str:
    if not bar.volume:
        return _price(market, 0)
    return ratio(bar.quote, bar.volume * 10**market.price_scale, market.price_scale)


def _bar(market: Market, bar: Bar) -> list[Any]:
    prices = [_price(market, price) for price in (bar.open, bar.high, bar.low, bar.close)]
    volume = _amount(market, bar.volume)
    return [bar.start // 1000, *prices, _mean(market, bar), volume, bar.trades]


def _trade(market: Market, trade: Trade) -> list[Any]:
    return [
        _price(market, trade.price),
        _amount(market, trade.amount),
        round(trade.nanos / 1e9, 7),
        "b" if trade.buy else "s",
        "m",
        "",
        trade.id,
    ]


def _ticker(market: Market, now: int) -> dict[str, Any] | None:
    last, book = market.last_trade(now), market.book(now, 1)
    today, whole = market.window(now - now % DAY, now), market.window(now - DAY, now)
    if last is None or book is None or today is None or whole is None:
        return None
    best = []
    for price, amount in (book.asks[0], book.bids[0]):
        lots = str(max(1, amount // 10**market.amount_scale))
        best.append([_price(market, price), lots, fixed(amount, market.amount_scale, 3)])
    return {
        "a": best[0],
        "b": best[1],
        "c": [_price(market, last.price), _amount(market, last.amount)],
        "v": [_amount(market, today.volume), _amount(market, whole.volume)],
        "p": [_mean(market, today), _mean(market, whole)],
        "t": [today.trades, whole.trades],
        "l": [_price(market, today.low), _price(market, whole.low)],
        "h": [_price(market, today.high), _price(market, whole.high)],
        "o": _price(market, today.open),
    }


def _pair(listing: Listing) -> dict[str, Any]:
    return {
        "altname": _other_name(listing),
        "wsname": _spelled(listing),
        "aclass_base": "currency",
        "base": _asset_id(listing.base),
        "aclass_quote": "currency",
        "quote": _asset_id(listing.quote),
        "lot": "unit",
        "cost_decimals": 5,
        "pair_decimals": listing.price_scale,
        "lot_decimals": listing.amount_scale,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3] if listing.active else [],
        "leverage_sell": [2, 3] if listing.active else [],
        "fees": _TAKER,
        "fees_maker": _MAKER,
        "fee_volume_currency": "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": short(1, min(4, listing.amount_scale)),
        "costmin": "0.00002" if listing.quote == "BTC" else "0.5",
        "tick_size": short(1, listing.price_scale),
        "status": "online" if listing.active else "cancel_only",
    }


def _error(status: int) -> object:
    if status in (418, 429):
        return {"error": ["EAPI:Rate limit exceeded"]}
    if status in (403, 451):
        return {"error": ["EGeneral:Permission denied"]}
    if status == 503:
        return {"error": ["EService:Unavailable"]}
    return {"error": ["EGeneral:Internal error"]}


DIALECT = Dialect(
    name="kraken",
    prefixes=("/0/", "/v2"),
    routes=(
        Route("/0/public/Time", Kraken.time),
        Route("/0/public/SystemStatus", Kraken.system_status),
        Route("/0/public/Assets", Kraken.assets),
        Route("/0/public/AssetPairs", Kraken.asset_pairs),
        Route("/0/public/Ticker", Kraken.ticker),
        Route("/0/public/OHLC", Kraken.ohlc),
        Route("/0/public/Depth", Kraken.depth),
        Route("/0/public/Trades", Kraken.trades),
    ),
    open=Kraken,
    error=_error,
    sockets=(SocketRoute("/v2", kraken_session.session),),
    source=kraken_streams.generated,
)
