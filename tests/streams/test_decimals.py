"""Streams with Decimals: every digit of the frames, as in the exchange's REST responses."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from digits import MORE, Sent, numbers, told
from inside.exchanges import quirks
from inside.recordings import Writer, read

import marketdata as md
from marketdata._exchanges.exact import exact_frame
from marketdata.sim import SimulatedExchange

from .live import EXCHANGES, NAMES, PAIR, as_rest, client_of, flowing, run, stream
from .tapes import recorded

KEPT_BY_CCXT = [name for name in EXCHANGES if name != "coinbaseexchange"]
BOOKS = [*((name, True) for name in EXCHANGES), *((name, False) for name in KEPT_BY_CCXT)]


@pytest.mark.parametrize(("exchange", "wired"), BOOKS)
def test_a_book_is_what_rest_says(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch, exchange: str, wired: bool
) -> None:
    if not wired:
        known = replace(quirks.quirk(exchange), book_wire=None)
        monkeypatch.setitem(quirks.QUIRKS, exchange, known)

    async def work() -> None:
        async with (
            client_of(sim, exchange, numbers="decimal") as client,
            client.watch_orderbook(PAIR, 10) as watch,
        ):
            await flowing(sim, lambda: stream(client).state == "live", step=0.1)
            for _ in range(2):
                await sim.advance(2)
                found = await as_rest(client, watch, depth=10)
                assert {type(one) for one in numbers(found)} == {Decimal}
            assert stream(client).gaps == 0

    run(work())


SAID = {
    "ticker": ("last", "bid", "ask", "high", "low", "base_volume"),
    "quote": ("bid", "ask", "bid_volume", "ask_volume"),
    "trades": ("price", "amount"),
    "orderbook": ("bids", "asks"),
    "candles": ("columns",),
}


def longer(source: Path, target: Path) -> Sent:
    """Copy a recording, with more digits in all frames and answers."""
    sent = Sent()
    with Writer(target) as copy:
        for event in read(source):
            text = event.text
            if event.kind in ("got", "rest") and "exchangeInfo" not in event.url:
                text = sent.longer(text)
                if "prevSeqId" in text:
                    # OKX's checksum is of the texts themselves; without one it sends 0.
                    text = re.sub(r'"checksum":-?\d+', '"checksum":0', text)
            copy.write(event._replace(text=text))
    return sent


def subjects() -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what is recorded at once: candles may come from a socket of their own."""
    for exchange, names in NAMES.items():
        # Elsewhere tickers and quotes are one subscription.
        quote = ("quote",) if exchange in ("binance", "okx") else ()
        yield exchange, ("ticker", *quote, "trades", "orderbook")
        if names.candles:
            yield exchange, ("candles",)


@pytest.mark.parametrize(("exchange", "kinds"), [*subjects()])
def test_each_digit_of_the_frames(
    sim: SimulatedExchange, exchange: str, kinds: tuple[str, ...], tmp_path: Path
) -> None:
    file, count = tmp_path / "long", len(kinds)

    async def work() -> None:
        async with client_of(sim, exchange) as client:
            await recorded(client, sim, tmp_path / "short", what=kinds, subjects=count, advance=40)
        sent = longer(tmp_path / "short", file)
        async with (
            md.AsyncClient(exchange, numbers="decimal") as client,
            client.replay(file, math.inf, wait_for=count) as replay,
        ):

            async def watched(kind: str) -> list[Any]:
                watch = getattr(replay, f"watch_{kind}")(PAIR, delivery="every")
                return [record async for record in watch]

            async with asyncio.timeout(20):
                found = await asyncio.gather(*map(watched, kinds))
        for kind, records in zip(kinds, found, strict=True):
            assert records, kind
            texts = set[str]()
            for record in records:
                assert {type(one) for one in numbers(record)} <= {Decimal}
                texts |= told(record, *SAID[kind])
            assert {one for one in texts if float(one) and "." in one} <= sent.texts, kind
            assert any(one.endswith(MORE) for one in texts), kind

    run(work())


def test_json_in_the_json_of_a_frame() -> None:
    frame = exact_frame('{"o": "[{\\"price\\": 0.1234567890123456789}]", "n": 1, "s": "[x"}')
    assert frame == {"o": '[{"price":"0.1234567890123456789"}]', "n": 1, "s": "[x"}
    with pytest.raises(ValueError, match="not JSON"):
        exact_frame("[" * 100_000)
