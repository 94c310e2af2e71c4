"""Fees are plausible fractions, or None."""

from __future__ import annotations

from typing import Any

import ccxt
import pytest
from inside.exchanges import parsing

from .ccxts_tickers import spot_exchanges

ABSURD = {"bit2c", "cryptomus", "tokocrypto"}
"""ccxt has 3%, 2% and what contradicts its own comment; none of these is to be had elsewhere."""


def table(exchange: str) -> dict[str, Any]:
    return (getattr(ccxt, exchange)().fees or {}).get("trading") or {}


@pytest.mark.parametrize("exchange", spot_exchanges())
def test_the_fees_that_ccxt_has_written_down_are_fractions(exchange: str) -> None:
    written = table(exchange)
    maker, taker = parsing.public_fees(exchange, {}, written)
    for fee in (maker, taker):
        assert fee is None or -0.001 <= fee <= (0.012 if exchange == "coinbase" else 0.01)
    known = {side for side in ("maker", "taker") if isinstance(written.get(side), int | float)}
    if exchange in ABSURD:
        assert (maker, taker) == (None, None)
    else:
        assert {side for side, fee in (("maker", maker), ("taker", taker)) if fee is not None} == (
            known
        )


@pytest.mark.parametrize(
    ("exchange", "sent", "taker"),
    [
        ("indodax", {"taker": 0.3}, 0.003),
        ("indodax", {"taker": 0.06}, 0.0006),
        ("zebpay", {"maker": 0.2, "taker": 0.4}, 0.004),
        ("weex", {"taker": 0.001}, 0.001),
        ("weex", {}, 0.001),
        ("cryptomus", {"maker": 0.02, "taker": 0.02}, None),
        ("bit2c", {"taker": 0.03}, None),
        ("coinbase", {}, 0.012),
        ("binance", {"taker": 0.5}, None),
        ("binance", {"taker": -0.01}, None),
        ("binance", {"taker": -0.0005}, -0.0005),
    ],
)
def test_a_pairs_own_fee(exchange: str, sent: dict[str, float], taker: float | None) -> None:
    assert parsing.public_fees(exchange, sent, table(exchange))[1] == taker
