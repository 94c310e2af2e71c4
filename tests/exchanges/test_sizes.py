"""The number of rows that are requested from exchanges, and their start times."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from inside.exchanges import QUIRKS, loader, quirk

import marketdata as md
from marketdata import arguments
from marketdata._exchanges.capabilities import offered_timeframes

from .ccxts_tickers import spot_exchanges
from .wires import Answer, Asked, Wire, binance, binance_ticker, now

Open = Callable[..., tuple[md.Client, Wire]]


@pytest.fixture
def speaking(tmp_path: Path) -> Iterator[Open]:
    """Makes a server that speaks as an exchange does, and a client that asks it."""
    made: list[Any] = []
    count = itertools.count()

    def speaking(name: str, routes: dict[str, Any], **more: Any) -> tuple[md.Client, Wire]:
        wire = Wire(routes).__enter__()
        made.append(wire)
        more.setdefault("retries", 0)
        home = tmp_path / f"home{next(count)}"
        client = md.Client(name, endpoints={name: wire.url}, home=home, **more)
        made.append(client)
        return client, wire

    yield speaking
    for one in reversed(made):
        one.__exit__(None, None, None)


# ---------------------------------------------------------------------------- words


@pytest.mark.parametrize("exchange", spot_exchanges())
def test_only_lengths_of_bars_that_callers_can_write_are_listed(exchange: str) -> None:
    names = offered_timeframes(loader.described(exchange).timeframes or (), quirk(exchange))
    assert [arguments.timeframe(name) for name in names] == names


def test_what_ccxt_calls_in_another_way_is_not_listed() -> None:
    assert "15" in loader.described("backpack").timeframes
    assert "1Y" in loader.described("phemex").timeframes
    for exchange, name in (("backpack", "15"), ("phemex", "1Y")):
        names = loader.described(exchange).timeframes
        assert name not in offered_timeframes(names, quirk(exchange))


# ---------------------------------------------------------------------------- refusals


ROW = {"id": 1, "price": "100", "qty": "1", "quoteQty": "100", "isBuyerMaker": True}


def refusing(at_most: int, rows: Callable[[int], Any]) -> Callable[[Asked], Any]:
    """Answer with an error of Binance's for more than it takes, which nobody documents."""

    def route(asked: Asked) -> Any:
        limit = int(asked.query.get("limit", at_most))
        if limit > at_most:
            return Answer({"code": -1100, "msg": "Illegal characters in parameter 'limit'"}, 400)
        return rows(limit)

    return route


def test_a_size_that_is_refused_is_asked_for_once(speaking: Open) -> None:
    def book(limit: int) -> Any:
        bids = [[str(100 - at), "1"] for at in range(limit)]
        return {"lastUpdateId": 1, "bids": bids, "asks": [["101", "1"]]}

    def trades(limit: int) -> Any:
        return [{**ROW, "id": at, "time": now() - 1000 + at} for at in range(limit)]

    routes = {"/trades": refusing(7, trades)} | binance({"BTCUSDT": binance_ticker("BTCUSDT")})
    routes["/depth"] = refusing(5, book)
    client, wire = speaking("binance", routes)

    for _ in range(2):
        assert len(client.orderbook("BTC/USDT", 50).bids) == 5
        assert len(client.trades("BTC/USDT", limit=40)) == 7
    assert [one.query.get("limit") for one in wire.paths("/depth")] == ["50", None, None]
    assert [one.query.get("limit") for one in wire.paths("/trades")] == ["40", None, None]
    assert len(client.orderbook("BTC/USDT", 3).bids) == 3


def test_what_is_refused_for_another_reason_stays_an_error(speaking: Open) -> None:
    refusal = Answer({"code": -1100, "msg": "Illegal characters in a parameter"}, 400)
    routes = binance({"BTCUSDT": binance_ticker("BTCUSDT")}, refusal)
    client, wire = speaking("binance", routes)
    for _ in range(2):
        with pytest.raises(md.MarketDataError) as caught:
            client.orderbook("BTC/USDT", 50)
        assert caught.value.__context__ is None
    assert [one.query.get("limit") for one in wire.paths("/depth")] == ["50", None] * 2


def test_documented_sizes_are_sent() -> None:
    assert quirk("bitopro").depths == (1, 5, 10, 20, 30, 50)
    assert (quirk("toobit").trades_per_request, quirk("toobit").max_depth) == (60, 100)
    assert quirk("bitvavo").max_depth == 1_000
    for name, special in QUIRKS.items():
        assert special.depths is None or list(special.depths) == sorted(special.depths), name


# ---------------------------------------------------------------------------- from a time on


MARKET = {
    "market": "BTC-EUR",
    "status": "trading",
    "base": "BTC",
    "quote": "EUR",
    "pricePrecision": "5",
    "minOrderInBaseAsset": "0.0001",
    "minOrderInQuoteAsset": "5",
    "orderTypes": ["market", "limit"],
}
BEGUN = 1_700_000_000_000
TAPE = [BEGUN + 1_000 * at for at in range(2_000)]
"""When somebody traded: once a second."""


def bitvavo(choose: Callable[[list[int], dict[str, str]], list[int]]) -> dict[str, Any]:
    def trades(asked: Asked) -> Any:
        times = choose(TAPE, asked.query)
        return [
            {"id": f"t{time}", "timestamp": time, "amount": "1", "price": "100", "side": "buy"}
            for time in sorted(times, reverse=True)
        ]

    return {"/markets": [MARKET], "/trades": trades}


def oldest_from(tape: list[int], query: dict[str, str]) -> list[int]:
    return [one for one in tape if one >= int(query.get("start", 0))][: int(query["limit"])]


def newest_since(tape: list[int], query: dict[str, str]) -> list[int]:
    return [one for one in tape if one >= int(query.get("start", 0))][-int(query["limit"]) :]


def newest_whatever(tape: list[int], query: dict[str, str]) -> list[int]:
    return tape[-int(query["limit"]) :]


@pytest.mark.parametrize("choose", [oldest_from, newest_since])
@pytest.mark.parametrize("back", [5, 50, 500])
def test_trades_from_a_time_are_those_that_the_answer_proves(
    speaking: Open, choose: Any, back: int
) -> None:
    client, _ = speaking("bitvavo", bitvavo(choose))
    start = TAPE[-back]
    found = client.trades("BTC/EUR", limit=100, start=start)
    assert [round(one.timestamp.timestamp() * 1000) for one in found] == TAPE[-back:][:100]


@pytest.mark.parametrize("choose", [newest_since, newest_whatever])
def test_trades_that_begin_later_are_refused(speaking: Open, choose: Any) -> None:
    client, _ = speaking("bitvavo", bitvavo(choose))
    with pytest.raises(md.DataUnavailableError, match="newest trades"):
        client.trades("BTC/EUR", limit=100, start=TAPE[3])


def test_an_exchange_says_so() -> None:
    with md.Client() as client:
        known = {one.id: one for one in client.exchanges()}
    for name in ("bitvavo", "hitbtc", "gemini", "deribit", "coinbase", "mexc", "bitget"):
        assert "time" in known[name].trades_from, name
    assert known["bitso"].trades_from == ()
