"""The trades in the comments of ccxt's parsers, for every exchange, are consistent."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from inside.exchanges import connector_class, parsing, stream_class

import marketdata as md

from .asking import markets
from .ccxts_tickers import shown, spot_exchanges

METHODS = ("parse_trade", "parse_spot_trade", "fetch_trades", "parse_ws_trade", "handle_trades")
PARSERS = ("parse_ws_trade", "parse_trade")
RECEIVED = datetime(2026, 1, 1, tzinfo=UTC)


def rows(value: Any, depth: int = 4) -> Iterator[dict[str, Any]]:
    """Yield what may be a trade in an answer."""
    if isinstance(value, dict):
        yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner if depth else ():
        yield from rows(one, depth - 1)


def trade(api: Any, exchange: str, row: dict[str, Any]) -> md.Trade | None:
    """Return a row as a trade; None where it is none, or one of an account."""
    for name in PARSERS:
        try:
            raw = getattr(api, name)(row, api.market("BTC/USDT"))
            if not parsing.is_trade(raw) or raw.get("order"):
                continue
            made = parsing.trades(
                [raw], exchange=exchange, pair="BTC/USDT", received_at=RECEIVED, simulated=False
            )
        except Exception:  # noqa: BLE001 - it is not of that form
            continue
        return made[0]
    return None


def test_a_trade_is_worth_its_price_times_its_amount() -> None:
    wrong: list[str] = []
    checked: set[str] = set()

    async def all_of_them() -> None:
        for exchange in spot_exchanges():
            api = (stream_class(exchange) or connector_class(exchange))({})
            api.set_markets(markets(exchange))
            for name in METHODS:
                method = getattr(api, name, None)
                source = inspect.getsource(method) if callable(method) else ""
                for row in [row for answer in shown(source) for row in rows(answer)]:
                    made = trade(api, exchange, row)
                    if made is None or made.cost is None:
                        continue
                    checked.add(exchange)
                    worth = made.price * made.amount
                    if not abs(made.cost - worth) <= 0.01 * worth:
                        wrong.append(f"{exchange} {row}: {made!r}")
            await api.close()

    asyncio.run(all_of_them())
    assert wrong == []
    assert len(checked) > 70


def test_a_time_that_is_taken_for_a_cost_is_none() -> None:
    """DeepCoin's stream has the time of a trade where ccxt reads what it was worth."""
    made = stream_class("deepcoin")
    assert made is not None
    sent = {"TradeID": "7", "I": "BTC/USDT", "D": "1", "P": 100, "V": 2, "T": 1_760_000_000}
    raw = made.parse_ws_trade(made({}), sent, {"symbol": "BTC/USDT", "spot": True})
    for value, exact in ((raw["price"], 200.0), (Decimal(100), Decimal(200))):
        given = {**raw, "price": value, "amount": type(value)(2)}
        [trade] = parsing.trades(
            [given], exchange="deepcoin", pair="BTC/USDT", received_at=RECEIVED, simulated=False
        )
        assert trade.cost == exact
