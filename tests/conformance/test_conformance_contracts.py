"""Swaps, futures and options: refused by every operation before anything is asked."""

import asyncio
import re
from typing import Any

import listings
import playback
import pytest
from recorded import Case, Recordings

from marketdata.errors import MarketDataError

ASKING: dict[str, dict[str, Any]] = {
    "ticker": {},
    "quote": {},
    "orderbook": {"depth": 5},
    "candles": {"timeframe": "1h", "limit": 3},
    "trades": {"limit": 3},
}
"""Operations that take one pair."""


def test_contract_case_is_refused(
    contract_case: Case, recordings: Recordings, counted: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    case = contract_case
    counted(case.exchange, "refused")
    symbol = next(one for one in case.symbols if ":" in one)
    listed = listings.markets(recordings, case)
    if not any(map(playback.is_served, listed)):
        listed.append(listings.spot_pair(recordings, case.exchange))
    spot = next(one["symbol"] for one in listed if playback.is_served(one))
    nothing = playback.Playback()

    async def codes() -> dict[str, str]:
        found = {}
        async with playback.client(
            tmp_path,
            case.exchange,
            nothing,
            listed=listed,
            monkeypatch=monkeypatch,
        ) as client:
            for operation, more in ASKING.items():
                with pytest.raises(MarketDataError) as raised:
                    await getattr(client, operation)(symbol, **more)
                found[operation] = raised.value.code
            for operation in ("tickers", "quotes"):
                with pytest.raises(MarketDataError) as raised:
                    await getattr(client, operation)([spot, symbol])
                found[operation] = raised.value.code
        return found

    assert set(asyncio.run(codes()).values()) == {"PAIR_NOT_SUPPORTED"}
    assert nothing.urls == []


def test_no_contract_is_listed_or_found(
    exchange: str, recordings: Recordings, tmp_path: Any, monkeypatch: Any
) -> None:
    listed = recordings.listed(exchange) or []
    spot = list(filter(playback.is_served, listed))
    if not spot:
        spot = [{**listings.spot_pair(recordings, exchange), "active": True}]
        listed = listed + spot
    contracts = [market for market in listed if not market.get("spot")]
    # A contract's native id may be what names the spot pair, as BTCUSDT, BTC_USDT and BTC-USDT do.
    spoken_for = {
        _bare(market[name]) for market in listed for name in ("id", "symbol") if market.get("spot")
    }
    names = [market["symbol"] for market in contracts] + [
        market["id"] for market in contracts if _bare(market["id"]) not in spoken_for
    ]
    nothing = playback.Playback()

    async def pairs_and_codes() -> tuple[list[str], set[str]]:
        codes = set()
        async with playback.client(
            tmp_path, exchange, nothing, listed=listed, monkeypatch=monkeypatch
        ) as client:
            pairs = [one.pair for one in await client.pairs()]
            for name in names:
                with pytest.raises(MarketDataError) as raised:
                    await client.ticker(name)
                codes.add(raised.value.code)
        return pairs, codes

    pairs, codes = asyncio.run(pairs_and_codes())
    assert pairs == sorted(market["symbol"] for market in spot)
    # A native id of many parts, as BTC-USD-241227-60000-P, is not even the form of a pair.
    assert codes <= {"PAIR_NOT_SUPPORTED", "INVALID_PARAMETER"}
    assert nothing.urls == []


def _bare(name: str) -> str:
    return re.sub("[^A-Z0-9]", "", name.upper())
