"""Calls for several exchanges, with tiers that lack some of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from access_doors import Desk, Server, call, serving

from marketdata_mcp.service.access.sqlite_store import SqliteStore
from marketdata_mcp.service.access.tiers import Policy

TIER = """
[tiers.narrow]
weekly_units = 1000
exchanges = ["kraken", "binance"]
"""

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("compare_exchanges", {"pair": "BTC/USDT"}),
    ("get_consolidated_orderbook", {"pair": "BTC/USDT"}),
    ("get_execution_cost", {"pair": "BTC/USDT", "side": "buy", "amount": 1}),
]


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A server of the simulated exchanges, and a key that opens two of them."""
    home: Path = tmp_path_factory.mktemp("home")
    (home / "policy.toml").write_text(TIER)
    policy = Policy.read(home / "policy.toml")
    desk = Desk(lambda: SqliteStore(home / "access.sqlite"), policy)
    key = desk.newcomer("acme", "narrow")
    with serving(home, MARKETDATA_SIM="1", MARKETDATA_EXCHANGE="okx,binance,kraken") as server:
        yield server, key


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
def test_every_exchange_named_has_to_be_the_tiers(
    door: tuple[Server, str], tool: str, arguments: dict[str, Any]
) -> None:
    server, key = door
    for names in (["okx"], ["binance", "okx"], ["kraken", " OKX "], ["nosuch", "kraken"]):
        error = call(server.url, key, tool, **arguments, exchanges=names).error
        assert error["code"] == "EXCHANGE_NOT_SUPPORTED"
        assert error["details"]["allowedExchanges"] == ["kraken", "binance"]
    both = call(server.url, key, tool, **arguments, exchanges=["Binance", "kraken"])
    assert asked(both.content) == ["binance", "kraken"]


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
def test_without_names_it_asks_those_of_the_tier(
    door: tuple[Server, str], tool: str, arguments: dict[str, Any]
) -> None:
    server, key = door
    found = call(server.url, key, tool, **arguments).content
    assert asked(found) == ["binance", "kraken"], "in the order of MARKETDATA_EXCHANGE"


def asked(content: dict[str, Any]) -> list[str]:
    """Return the exchanges that an answer is from."""
    return [one["exchange"] for one in content["rows" if "rows" in content else "sources"]]
