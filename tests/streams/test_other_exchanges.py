"""Behaviour of exchanges that are not simulated, each tested on one exchange."""

from __future__ import annotations

import asyncio
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from inside.exchanges import spot_exchanges, stream_class
from inside.streams import TickerFeed

from marketdata._exchanges.stream_offers import stream_offer

from .live import PAIR, refused, run, until
from .stubs import stub

IDS = [100373972746255757500235867 + 33161685 * number for number in range(4)]
LONG = "10500517034273194594947"


def streaming(home: Path) -> list[str]:
    return [one.id for one in spot_exchanges(home) if one.streams]


# ---------------------------------------------------------------------------- ids


@pytest.mark.parametrize("exact", [False, True])
def test_all_exchanges_keep_the_digits_of_whole_numbers(isolated: Path, exact: bool) -> None:
    async def work() -> None:
        text = f'{{"id": {LONG}, "rows": [{LONG}, 12.5]}}'
        for name in streaming(isolated):
            made = stream_class(name, exact=exact)
            assert made is not None
            api, frames = made({}), list[Any]()
            api.handle_message = lambda _, frame, frames=frames: frames.append(frame)
            api.client("ws://127.0.0.1:1/").handle_text_or_binary_message(text)
            frames.append(api.on_json_response(text))
            await api.close()
            for frame in frames:
                assert (str(frame["id"]), str(frame["rows"][0])) == (LONG, LONG), name
            assert len(frames) == 2, name

    run(work())


@pytest.mark.parametrize("exchange", ["htx", "bittrade"])
@pytest.mark.parametrize("numbers", ["float", "decimal"])
def test_trades_whose_ids_differ_behind_64_bits_are_two(
    isolated: Path, exchange: str, numbers: str
) -> None:
    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        rows = ",".join(
            f'{{"id": {number}, "ts": 1618678006262, "amount": 7.2, "price": 5, '
            '"direction": "sell"}'
            for number in IDS
        )
        await socket.send_json({"id": said["id"], "status": "ok", "subbed": said["sub"]})
        await socket.send_str(f'{{"ch": "{said["sub"]}", "ts": 1, "tick": {{"data": [{rows}]}}}}')

    async def work() -> None:
        async with (
            stub(exchange, isolated, talk, numbers=numbers) as client,
            client.watch_trades(PAIR) as watch,
        ):
            await until(lambda: watch.waiting == len(IDS), what=lambda: watch.waiting)
            assert [one.id for one in await watch.batch()] == list(map(str, IDS))

    run(work())


# ---------------------------------------------------------------------------- depth


async def _deep(socket: web.WebSocketResponse, said: Any) -> None:
    if said["method"] != "depth_subscribe":
        return
    depth = said["params"][1]
    bids = [[str(100 - level), "1"] for level in range(min(depth, 90))]
    asks = [[str(101 + level), "1"] for level in range(min(depth, 90))]
    book = {"timestamp": 1_700_000_000.0, "asks": asks, "bids": bids}
    await socket.send_json({"id": said["id"], "result": {"status": "success"}, "error": None})
    update = {"method": "depth_update", "params": [True, book, "btcusdt"], "id": None}
    await socket.send_json(update)


def test_as_deep_a_book_is_subscribed_to_as_is_wanted(isolated: Path) -> None:
    asked: list[int] = []

    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        if said["method"] == "depth_subscribe":
            asked.append(said["params"][1])
        await _deep(socket, said)

    async def work() -> None:
        async with (
            stub("whitebit", isolated, talk) as client,
            client.watch_orderbook(PAIR, 40) as watch,
        ):
            book = await anext(watch)
            assert (len(book.bids), len(book.asks), book.max_depth) == (40, 40, None)
            async with client.watch_orderbook(PAIR, 500) as deeper:
                found = await anext(deeper)
                while len(found.bids) < 90:
                    found = await anext(deeper)
                assert (len(found.bids), found.max_depth) == (90, 100)
                [told] = client.streams()
                assert (told.reconnects, told.gaps) == (0, 0)
        assert asked == [50, 100]

    run(work())


def test_a_quiet_book_is_compared_as_deep_as_both_have_it(isolated: Path, patience: Any) -> None:
    requests: list[str] = []

    def answer(request: web.Request) -> Any:
        requests.append(request.path)
        bids = [[str(100 - level), "1"] for level in range(60)]
        asks = [[str(101 + level), "1"] for level in range(60)]
        return {"ticker_id": "btcusdt", "timestamp": 1, "asks": asks, "bids": bids}

    async def work() -> None:
        async with (
            stub("whitebit", isolated, _deep, answer) as client,
            client.watch_orderbook(PAIR, 10) as watch,
        ):
            await anext(watch)
            patience(0.2)
            await until(lambda: len(requests) > 1)
            await anext(watch)
            [told] = client.streams()
            assert (told.state, told.reconnects, told.error) == ("live", 0, None)

    run(work())


def test_the_depth_that_is_named_is_one_that_is_streamed(isolated: Path) -> None:
    for name in streaming(isolated):
        offer = stream_offer(name)
        assert list(offer.depths) == sorted(set(offer.depths)), name
        for wanted in (1, 7, 50, 400, 5_000):
            depth, levels = offer.depth_for(wanted), offer.levels_for(wanted)
            assert depth is None or offer.any_depth or depth in offer.depths, name
            assert levels is None or levels < wanted, name


# ---------------------------------------------------------------------------- what is not offered


def test_lengths_that_are_not_streamed_are_not_promised(isolated: Path) -> None:
    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        raise AssertionError("nothing is to be sent")

    async def work() -> None:
        listed = {one.id: one for one in spot_exchanges(isolated)}
        for exchange, length in (("upbit", "1m"), ("p2b", "1m"), ("bitget", "2h"), ("woo", "4h")):
            async with stub(exchange, isolated, talk) as client:
                error = await refused(anext(client.watch_candles(PAIR, length)))
                assert error.code == "TIMEFRAME_NOT_SUPPORTED"
                assert error.details["timeframes"] == list(listed[exchange].stream_timeframes)
                assert length not in listed[exchange].stream_timeframes

    run(work())


def test_a_fault_of_our_own_is_no_refusal(
    isolated: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(self: Any, api: Any) -> None:
        owner = "ours"
        raise KeyError(f"a field of {owner}")

    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        pass

    monkeypatch.setattr(TickerFeed, "subscribe", broken)

    async def work() -> None:
        async with stub("whitebit", isolated, talk) as client:
            error = await refused(anext(client.watch_ticker(PAIR)))
            assert error.code == "INTERNAL_ERROR"

    with caplog.at_level(logging.ERROR, "marketdata"):
        run(work())
    assert "KeyError" in caplog.text
    assert "in broken" in caplog.text
    assert "a field of ours" not in caplog.text


def test_what_ccxt_does_not_do_is_no_refusal(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unknown(self: Any, api: Any) -> None:
        from ccxt.base.errors import NotSupported

        raise NotSupported("not this")

    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        pass

    monkeypatch.setattr(TickerFeed, "subscribe", unknown)

    async def work() -> None:
        async with stub("whitebit", isolated, talk) as client:
            error = await refused(anext(client.watch_ticker(PAIR)))
            assert (error.code, error.retryable) == ("DATA_UNAVAILABLE", False)

    run(work())


# ---------------------------------------------------------------------------- what is missed


def test_trades_without_numbers_may_be_missing_after_an_interruption(isolated: Path) -> None:
    sockets: list[web.WebSocketResponse] = []

    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        if said["method"] != "trades_subscribe":
            return
        sockets.append(socket)
        row = {"id": len(sockets), "time": 1.0, "price": "5", "amount": "1", "type": "buy"}
        await socket.send_json({"id": said["id"], "result": {"status": "success"}, "error": None})
        await socket.send_json(
            {"method": "trades_update", "params": ["btcusdt", [row]], "id": None}
        )

    async def work() -> None:
        async with (
            stub("whitebit", isolated, talk) as client,
            client.watch_trades(PAIR) as watch,
        ):
            await anext(watch)
            [told] = client.streams()
            assert (told.gaps, told.unfilled) == (0, 0)
            await sockets[0].close()
            assert (await anext(watch)).price == Decimal(5)
            [told] = client.streams()
            assert (told.reconnects, told.gaps, told.unfilled) == (1, 1, 1)

    run(work())


def test_what_was_sent_before_the_end_is_read_although_we_have_something_to_send(
    isolated: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As ccxt's connectors do that answer pings, or set something up behind the first frame."""
    rows = 40

    async def talk(socket: web.WebSocketResponse, said: Any) -> None:
        if said["method"] != "trades_subscribe":
            return
        await socket.send_json({"id": said["id"], "result": {"status": "success"}, "error": None})
        for number in range(rows):
            row = {"id": number, "time": 1.0, "price": "5", "amount": "1", "type": "buy"}
            update = {"method": "trades_update", "params": ["btcusdt", [row]], "id": None}
            await socket.send_json(update)

    made = stream_class("whitebit")
    assert made is not None
    read = made.handle_trades

    def answering(self: Any, client: Any, message: Any) -> Any:
        def gone(text: str) -> None:
            raise ConnectionResetError(f"cannot write {text}")

        client.connection.send_str = gone
        asyncio.ensure_future(client.send({"id": 1, "method": "time"}))  # noqa: RUF006
        return read(self, client, message)

    monkeypatch.setattr(made, "handle_trades", answering)

    async def work() -> None:
        async with (
            stub("whitebit", isolated, talk) as client,
            client.watch_trades(PAIR) as watch,
        ):
            await until(lambda: watch.waiting == rows, what=lambda: watch.waiting)
            [told] = client.streams()
            assert (told.reconnects, told.error) == (0, None)

    run(work())


def test_a_ping_of_an_exchange_does_not_tell_our_time(isolated: Path) -> None:
    """Some of ccxt's handlers take an id, or the exchange's time, for the time of an answer."""

    async def work() -> None:
        made = stream_class("p2b")
        assert made is not None
        api = made({})
        line = api.client("ws://127.0.0.1:1/")
        line.answered = 0.0
        line.lastPong = 7
        assert (line.lastPong, line.answered > 0) == (7, True)
        await api.close()

    run(work())
