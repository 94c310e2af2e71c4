"""What every exchange answers about prices and fees, right or contradicting itself, holds together.

The answers are those that ccxt's parsers show or, where they show none, made of the fields that
they read. They reach the operations through the real connectors.
"""

from __future__ import annotations

import asyncio
import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ccxt.async_support.base.exchange import Exchange

import marketdata as md

from .answers import pair_of, understood, variants
from .asking import World
from .ccxts_tickers import spot_exchanges
from .invariants import check_fees, check_quote, check_ticker

REFUSED = {"DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE", "PAIR_NOT_SUPPORTED"}
SENT = json.loads(Path(__file__).with_name("sweep.json").read_text())

Asked = tuple[str, dict[str, Any]]


def check(came: Any) -> bool:
    """Check an answer, or an error; tell whether it was an answer."""
    if isinstance(came, md.MarketDataError):
        assert came.code in REFUSED
        return False
    for one in came if isinstance(came, list) else [came]:
        (check_quote if isinstance(one, md.Quote) else check_ticker)(one)
    return True


NOT_OF_ALL = {
    # There is no such call, or there are only last prices.
    *("bit2c", "bitbank", "bitflyer", "bitso", "btcmarkets", "bullish", "coinbaseexchange"),
    *("coincheck", "deribit", "derive", "independentreserve", "mercado", "paymium", "zaif"),
    # ccxt knows its rows by ids that begin with "t", which the pairs here have not.
    "bitfinex",
}
"""Exchanges whose tickers do not come in one answer."""


def quoted_in_bulk() -> set[str]:
    """Name the exchanges whose quotes of several pairs are read from the tickers of all."""
    pairs = "pairs=['BTC/USDT', 'ETH/USDT']"
    return {
        name
        for name, cells in SENT.items()
        if len(cells["tickers"]) == 1 and cells[f"quotes {pairs}"] == cells[f"tickers {pairs}"]
    }


def test_tickers_and_fees_of_every_exchange_hold_together(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("API_KEY", "SECRET"):
        monkeypatch.setenv(f"MARKETDATA_ALPACA_{name}", "7")
    answers: dict[str, Any] = {}

    async def fetch(self: Any, *_: Any, **__: Any) -> Any:
        return copy.deepcopy(answers[type(self).__name__])

    monkeypatch.setattr(Exchange, "fetch", fetch)
    given: dict[str, set[str]] = {}
    wrong: list[str] = []

    async def asks(world: World, exchange: str, *asked: Asked) -> None:
        for operation, arguments in asked:
            came = (await world.asks(exchange, operation, arguments)).came
            try:
                if check(came):
                    given.setdefault(operation, set()).add(exchange)
            except AssertionError as error:
                wrong.append(f"{exchange} {operation} {answers[exchange]}: {came!r}: {error}")

    async def one(world: World, exchange: str) -> None:
        pair = pair_of(exchange)
        answer = await understood(exchange, answers)
        for said in variants(answer) if answer is not None else ():
            answers[exchange] = said
            await asks(world, exchange, ("ticker", {"pair": pair}))
        answer = await understood(exchange, answers, of_all=True)
        for said in variants(answer) if answer is not None else ():
            answers[exchange] = said
            pairs = {"pairs": [pair]}
            await asks(world, exchange, ("tickers", pairs), ("tickers", {}), ("quotes", pairs))
        try:
            check_fees((await world.asks(exchange, "fees", {"pair": pair})).came)
        except AssertionError as error:
            wrong.append(f"{exchange} fees: {error}")

    async def all_of_them() -> None:
        async with World.begun(home, spot_exchanges(), trip_after=10**6) as world:
            await asyncio.gather(*(one(world, name) for name in spot_exchanges()))

    asyncio.run(all_of_them())
    assert wrong == []
    assert given["ticker"] == set(spot_exchanges())
    assert set(spot_exchanges()) - given["tickers"] == NOT_OF_ALL
    assert quoted_in_bulk() - given["quotes"] - NOT_OF_ALL == set()
