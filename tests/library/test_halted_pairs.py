"""Pairs that an exchange lists but has halted, and pairs under their former names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from inside.exchanges import open_venue
from inside.markets import Catalogue, spot_markets

import marketdata as md
from marketdata.sim.markets.listings import listings

from .markets import DIALECTS
from .test_names import spot


@pytest.mark.parametrize("exchange", DIALECTS)
def test_halted_pairs_are_listed_on_request(client: md.Client, exchange: str) -> None:
    halted = client.pairs(exchange=exchange, active=False)

    assert [one.pair for one in halted] == sorted(
        one.pair for one in listings(exchange) if not one.active
    )
    assert all(one.halted for one in halted)
    assert not any(one.halted for one in client.pairs(exchange=exchange))


def test_halted_pairs_are_searched_separately_from_active_ones(
    client: md.Client, isolated: Path
) -> None:
    exchange = next(one for one in DIALECTS if any(not two.active for two in listings(one)))
    client.pairs(exchange=exchange)
    wanted = next(one.pair for one in listings(exchange) if not one.active)

    assert [one.pair for one in client.pairs(search=wanted, active=False)] == [wanted]
    assert client.pairs(search=wanted) == []


def of(*markets: dict[str, object]) -> Catalogue:
    catalogue = Catalogue(None)
    found, facts = spot_markets(markets, {})
    catalogue.replace("binance", found, facts=facts, simulated=False)
    return catalogue


def asked(catalogue: Catalogue, text: str, *, halted: bool = False) -> str:
    async def ask() -> str:
        venue = open_venue("binance", catalogue=catalogue)
        try:
            symbol = await venue.listed.symbol(text, halted=halted)
            assert venue.listed.market(symbol)["symbol"] == symbol
            return symbol
        finally:
            await venue.close()

    return asyncio.run(ask())


def earlier(catalogue: Catalogue, pair: str) -> str | None:
    async def ask() -> str | None:
        venue = open_venue("binance", catalogue=catalogue)
        try:
            found = await venue.listed.predecessor(await venue.listed.symbol(pair))
            if found is not None:
                assert venue.listed.market(found)["symbol"] == found
            return found
        finally:
            await venue.close()

    return asyncio.run(ask())


def test_operations_that_accept_a_halted_pair_find_it() -> None:
    catalogue = of(*spot("BTC/USDT"), *spot("DEAD/USDT", active=False))

    for text in ("DEAD/USDT", "DEADUSDT", "DEAD_USDT"):
        assert asked(catalogue, text, halted=True) == "DEAD/USDT"
        with pytest.raises(md.PairNotSupportedError, match="has halted DEAD/USDT") as caught:
            asked(catalogue, text)
        assert caught.value.details["halted"] is True
    assert asked(catalogue, "BTC/USDT", halted=True) == "BTC/USDT"


def test_an_unlisted_pair_is_not_called_halted() -> None:
    catalogue = of(*spot("BTC/USDT"))
    for halted in (False, True):
        with pytest.raises(md.PairNotSupportedError) as caught:
            asked(catalogue, "GONE/USDT", halted=halted)
        assert "halted" not in caught.value.details


def test_an_active_market_wins_over_a_halted_one_of_its_name() -> None:
    active, halted = spot("BTC/USDT")[0], spot("BTC/USDT", active=False)[0]
    for order in ((active, halted), (halted, active)):
        catalogue = of(*order)
        assert asked(catalogue, "BTC/USDT", halted=True) == "BTC/USDT"
        assert [one.is_active for one in catalogue.find("binance", "BTC/USDT")] == [True]


@pytest.mark.parametrize("is_active", [False, True])
def test_the_former_pair_of_a_renamed_one_is_found_while_it_is_listed(is_active: bool) -> None:
    catalogue = of(*spot("POL/USDT", "BTC/USDT"), *spot("MATIC/USDT", active=is_active))

    assert earlier(catalogue, "POL/USDT") == "MATIC/USDT"
    assert earlier(catalogue, "BTC/USDT") is None
    assert earlier(of(*spot("POL/USDT", "BTC/USDT")), "POL/USDT") is None
    assert earlier(of(*spot("BTC/S"), *spot("BTC/FTM", active=False)), "BTC/S") == "BTC/FTM"


def test_codes_in_ccxts_map_do_not_count_as_renamed() -> None:
    both = [*spot("POL/USDT"), *spot("MATIC/USDT", active=False)]
    assert spot_markets(both, {})[1].former == {"POL": "MATIC"}
    for common in ({"MATIC": "Other"}, {"X": "MATIC"}, {"POL": "Another"}):
        assert spot_markets(both, common)[1].former == {}


def test_two_active_markets_with_one_name_are_separated_or_reported(
    caplog: pytest.LogCaptureFixture,
) -> None:
    first = spot("LUNA/USDT", id="LUNAUSDT", baseId="LUNA", quoteId="USDT")
    second = spot("LUNA/USDT", id="LUNA2USDT", baseId="LUNA2", quoteId="USDT")
    third = spot("LUNA/USDT", id="LUNA-USDT-2", baseId="LUNA", quoteId="USDT")
    halted = spot("LUNA/USDT", id="OLD", active=False)
    markets, _ = spot_markets([*first, *second, *halted], {})
    active = [(one.pair, one.raw["id"]) for one in markets if one.is_active]
    assert active == [("LUNA/USDT", "LUNAUSDT"), ("LUNA2/USDT", "LUNA2USDT")]
    assert not caplog.records

    catalogue = of(*first, *second, *third, *halted)
    assert "LUNA-USDT-2" in caplog.text
    assert sorted(catalogue.names("binance")) == ["LUNA/USDT", "LUNA2/USDT"]
    assert asked(catalogue, "LUNA2/USDT") == "LUNA2/USDT"
    assert [one.raw["id"] for one in catalogue.find("binance", "LUNA/USDT")] == ["LUNAUSDT"]
