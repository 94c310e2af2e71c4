"""Completions for the URI of a resource."""

from typing import Any

import pytest
from mcp import Client
from mcp_doors import ERAS, finish
from mcp_types import PromptReference, ResourceTemplateReference

from marketdata import AsyncClient
from marketdata_mcp import app

TICKER = ResourceTemplateReference(uri="market://{exchange}/{base}-{quote}/ticker")
CANDLES = ResourceTemplateReference(uri="market://{exchange}/{base}-{quote}/candles/{timeframe}")


def _offered(ref: Any, name: str, value: str, era: str = "auto", **known: str) -> list[str]:
    async def work() -> list[str]:
        async with Client(app.Service(AsyncClient(sim=True)).server(), mode=era) as client:
            answer = await client.complete(ref, {"name": name, "value": value}, known)
            assert answer.completion.total is not None
            assert len(answer.completion.values) <= min(100, answer.completion.total)
            return answer.completion.values

    return finish(work())


@pytest.mark.parametrize("era", ERAS)
def test_exchanges_are_completed_from_their_beginning(era: str) -> None:
    assert _offered(TICKER, "exchange", "K", era) == ["kraken"]


def test_currencies_are_those_of_the_exchange() -> None:
    bases = _offered(TICKER, "base", "b", exchange="kraken")
    assert "BTC" in bases
    assert all(base.lower().startswith("b") for base in bases)
    quotes = _offered(TICKER, "quote", "", exchange="binance", base="BTC")
    assert "USDT" in quotes


def test_timeframes_are_those_of_the_exchange() -> None:
    assert "1h" in _offered(CANDLES, "timeframe", "1", exchange="kraken")
    assert _offered(CANDLES, "timeframe", "1") == []


@pytest.mark.parametrize(
    ("ref", "name", "known"),
    [
        (TICKER, "base", {"exchange": "nowhere"}),
        (TICKER, "colour", {}),
        (ResourceTemplateReference(uri="other://{exchange}"), "exchange", {}),
        (PromptReference(name="none"), "exchange", {}),
    ],
)
def test_completions_without_candidates_are_empty(
    ref: Any, name: str, known: dict[str, str]
) -> None:
    assert _offered(ref, name, "", **known) == []
