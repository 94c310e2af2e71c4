"""What our operations send, compared with what ccxt's own fixtures expect of each unified call.

Path and query are compared. Where we ask in another way on purpose, `OURS` has the reason.
"""

import asyncio
import contextlib
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import playback
import pytest
from ccxt.async_support.base.exchange import Exchange
from ccxt.base.errors import RequestTimeout
from inside.markets import Lists
from recorded import Recordings

from marketdata import AsyncClient, MarketDataError

NAMES = (
    *("binance", "bitfinex", "bitstamp", "coinbase", "coinbaseexchange"),
    *("gate", "htx", "kraken", "kucoin", "okx"),
)
METHODS = ("fetchTicker", "fetchTickers", "fetchOrderBook", "fetchTrades", "fetchBidsAsks")
METHODS += ("fetchTime", "fetchStatus")

OURS = {
    ("binance", "fetchTrades"): "single trades, where ccxt's default is aggregated ones",
    ("coinbase", "fetchBidsAsks"): "the call that ccxt makes wants the key of an account",
    ("coinbaseexchange", "fetchTickers"): "the call for several gives last prices alone",
    ("htx", "fetchStatus"): "spot has its own state; the fixture is of all markets",
    ("kraken", "fetchTrades"): "the nanosecond before the time, where ccxt sends whole seconds",
    ("kucoin", "fetchOrderBook"): "the whole book wants the key of an account, 20 levels do not",
}
"""Calls that we make in another way, and why."""
SIZES = {"limit", "count", "len", "depth", "size", "sz"}
"""Parameters that we always send: our operations have sizes of their own where none is given."""


def _calls(method: str, given: list[Any]) -> tuple[str, dict[str, Any]] | None:
    """Return our operation for a unified call; None for one that we have no such operation for."""
    if any(isinstance(one, dict) for one in given):
        return None  # with parameters of its own
    first = given[0] if given else None
    rest = [*given[1:], None, None]
    match method:
        case "fetchTicker":
            return "ticker", {"pair": first}
        case "fetchTickers":
            return "tickers", {"pairs": first}
        case "fetchBidsAsks":
            return "quotes", {"pairs": first}
        case "fetchOrderBook":
            return "orderbook", {"pair": first, **({"depth": rest[0]} if rest[0] else {})}
        case "fetchTrades":
            more = {"start": rest[0], "limit": rest[1]}
            return "trades", {"pair": first, **{k: v for k, v in more.items() if v is not None}}
        case "fetchTime" | "fetchStatus":
            return "status", {}
    return None


def _parts(url: str) -> tuple[str, dict[str, str]]:
    parts = urlsplit(url)
    return parts.path, dict(parse_qsl(parts.query))


def _without_sizes(query: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in query.items() if name not in SIZES}


def cases(folder: Path, name: str) -> list[tuple[str, dict[str, Any]]]:
    sent = json.loads((folder / "ccxt-static" / "request" / f"{name}.json").read_text())["methods"]
    return [(method, case) for method in METHODS for case in sent.get(method, ())]


def served(folder: Path, name: str) -> list[dict[str, Any]]:
    listed = json.loads((folder / "ccxt-static" / "markets" / f"{name}.json").read_text())
    return [one for one in listed.values() if playback.is_served(one)]


async def _sent(home: Path, name: str, markets: list[dict[str, Any]], call: Any) -> list[str]:
    urls: list[str] = []

    async def fetch(self: Any, url: str, *_: Any, **__: Any) -> Any:
        urls.append(url)
        raise RequestTimeout("nothing is sent")

    operation, arguments = call
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Exchange, "fetch", fetch)
        Lists(home).plant(name, markets)
        async with AsyncClient(name, home=home, retries=0) as client:
            with contextlib.suppress(MarketDataError):
                await getattr(client, operation)(**arguments)
    return urls


@pytest.mark.parametrize("name", NAMES)
def test_requests_are_those_that_ccxt_expects(
    name: str, recordings: Recordings, pytestconfig: pytest.Config, tmp_path: Path
) -> None:
    assert recordings is not None
    folder = pytestconfig.getoption("recorded")
    markets = served(folder, name)
    spot = {one["symbol"] for one in markets}
    compared, wrong = 0, []
    different: set[tuple[str, str]] = set()
    for number, (method, case) in enumerate(cases(folder, name)):
        call = _calls(method, case.get("input") or [])
        pairs = [] if call is None else [call[1].get("pair"), *(call[1].get("pairs") or ())]
        if call is None or not {one for one in pairs if one} <= spot:
            continue
        path, query = _parts(case["url"])
        urls = asyncio.run(_sent(tmp_path / str(number), name, markets, call))
        found = [_parts(url) for url in urls]
        compared += 1
        sized = method in ("fetchOrderBook", "fetchTrades") and not any(
            isinstance(one, int) and one < 10_000 for one in case.get("input") or ()
        )
        if sized:
            query = _without_sizes(query)
            found = [(where, _without_sizes(asked)) for where, asked in found]
        if (name, method) in OURS:
            different.add((name, method))
        elif (path, query) not in found:
            wrong.append(f"{method} {case.get('input')}: {path} {query} != {found}")
    assert compared
    assert not wrong, "\n".join(wrong)
    assert different == {one for one in OURS if one[0] == name}
