"""Faults on streams, frame by frame."""

import asyncio
import json
from typing import Any

import aiohttp
import pytest
from sim_wires import applied, rest, wire

from marketdata.sim import Fault, SimulatedExchange
from marketdata.sim.faults import Faults

START = 1_750_000_000_700
DEPTH = "btcusdt@depth@100ms"
BOOK = "/api/v3/depth"


def texts(fault: str, stream: str = DEPTH, seconds: float = 1, start: int = START) -> list[str]:
    """Return what is sent for one stream under a fault."""

    async def run() -> list[str]:
        async with (
            SimulatedExchange(now=start, frozen=True, faults=[fault] if fault else ()) as sim,
            wire(sim, f"/ws/{stream}") as client,
        ):
            await sim.advance(seconds)
            return [
                await asyncio.wait_for(client.socket.receive_str(), 10)
                for _ in range(sim.sockets[0].sent)
            ]

    return asyncio.run(run())


@pytest.fixture(scope="module")
def whole() -> list[str]:
    """What is sent when nothing goes wrong."""
    found = texts("")
    assert len(found) == 10
    return found


def test_lost_frames_leave_a_gap(whole: list[str]) -> None:
    assert texts("binance:stream/depth/BTCUSDT:lose,every=4") == [
        *whole[:3],
        *whole[4:7],
        *whole[8:],
    ]
    assert texts("binance:stream/depth/ETHUSDT:lose") == whole
    assert texts("binance:stream/trade/*:lose") == whole
    assert texts("kraken:stream/*:lose") == whole
    assert texts("*:*:lose,after=2,times=1") == [*whole[:2], *whole[3:]]
    assert texts("*:stream/*:lose") == []


def test_repeated_and_exchanged_frames(whole: list[str]) -> None:
    assert texts("*:stream/*:twice,after=3,times=1") == [*whole[:4], whole[3], *whole[4:]]
    swapped = [*whole[:2], whole[3], whole[2], *whole[4:]]
    assert texts("*:stream/*:swap,after=2,times=1") == swapped


def test_garbage_comes_before_a_frame(whole: list[str]) -> None:
    found = texts("*:stream/depth/*:garbage,after=1,times=1")
    assert [found[0], *found[3:]] == whole
    with pytest.raises(ValueError, match="Expecting"):
        json.loads(found[1])
    assert not {"e", "id", "u"} & set(json.loads(found[2]))


def test_silence_lasts_by_the_exchanges_clock(whole: list[str]) -> None:
    found = texts("*:stream/depth/*:silence=0.5,after=2,times=1")
    assert found == [*whole[:2], *whole[7:]]


def test_silence_of_a_whole_socket_keeps_pongs_back() -> None:
    async def run() -> None:
        faults = ["binance:stream/*:silence=3,times=1"]
        async with (
            SimulatedExchange(now=START, frozen=True, faults=faults) as sim,
            aiohttp.ClientSession() as session,
            session.ws_connect(f"{sim.url}/ws/{DEPTH}", autoping=False) as socket,
        ):
            await sim.advance(0.1)
            await socket.ping(b"lost")
            await socket.send_str('{"method":"LIST_SUBSCRIPTIONS","id":1}')
            while not sim.sockets[0].received:
                await asyncio.sleep(0.001)
            await sim.advance(3.1)
            await socket.ping(b"heard")
            found = [await socket.receive() for _ in range(3)]
        assert [json.loads(one.data)["E"] for one in found[:2]] == [START + 3_100, START + 3_200]
        assert (found[2].type, found[2].data) == (aiohttp.WSMsgType.PONG, b"heard")

    asyncio.run(run())


def test_a_cut_socket_is_not_closed_in_order() -> None:
    async def run() -> None:
        faults = ["binance:stream/depth/*:cut,after=3,times=1"]
        async with (
            SimulatedExchange(now=START, frozen=True, faults=faults) as sim,
            wire(sim, f"/ws/{DEPTH}") as client,
        ):
            await sim.advance(0.3)
            await client.all(3)
            await sim.advance(1)
            assert (await client.socket.receive()).type is aiohttp.WSMsgType.CLOSED
            assert client.socket.close_code == 1006
            assert sim.sockets[0].closed

    asyncio.run(run())


def test_a_flood_is_valid_to_the_last_frame() -> None:
    async def run() -> None:
        faults = ["binance:stream/depth/*:flood=500,after=3,times=1"]
        async with (
            SimulatedExchange(now=START, frozen=True, faults=faults) as sim,
            wire(sim, f"/ws/{DEPTH}") as client,
            wire(sim, f"/ws/{DEPTH}") as other,
        ):
            before = await rest(sim, BOOK, symbol="BTCUSDT", limit=5000)
            await sim.advance(1)
            after = await rest(sim, BOOK, symbol="BTCUSDT", limit=1000)
            assert [record.sent for record in sim.sockets] == [10, 510]
            for one, count in ((client, 10), (other, 510)):
                found = applied(before, await one.all(count))
                assert found["lastUpdateId"] == after["lastUpdateId"]
                assert found["bids"][:1000] == after["bids"]
                assert found["asks"][:1000] == after["asks"]

    asyncio.run(run())


def test_a_flood_of_trades_runs_ahead_of_time() -> None:
    usual = [json.loads(text) for text in texts("", "btcusdt@trade", 120)]
    found = [json.loads(t) for t in texts("*:*:flood=30,after=4,times=1", "btcusdt@trade", 120)]
    assert len(usual) > 50
    assert found == usual
    ahead = texts("*:*:flood=300,times=1", "btcusdt@trade", 10)
    assert len(ahead) == 301
    assert len({json.loads(text)["t"] for text in ahead}) == 301


def test_a_flood_of_tickers_repeats_them() -> None:
    usual = texts("", "btcusdt@ticker", 3)
    assert texts("*:*:flood=2,after=1,times=1", "btcusdt@ticker", 3) == [
        usual[0],
        *[usual[1]] * 3,
        usual[2],
    ]


def test_a_stray_level_crosses_the_book() -> None:
    found = [json.loads(text) for text in texts("*:stream/depth/*:stray,after=5,times=1")]
    asks = [float(price) for event in found for price, _ in event["a"]]
    crossing = [float(event["b"][0][0]) > max(asks) for event in found if event["b"]]
    assert crossing.count(True) == 1


def test_what_has_no_checksum_stays_as_it_is(whole: list[str]) -> None:
    assert texts("*:stream/depth/*:checksum") == whole


def test_the_connector_tells_of_a_gap(stream) -> None:
    async def run() -> None:
        faults = ["binance:stream/depth/*:lose,after=3,times=1"]
        async with (
            SimulatedExchange(now=START, frozen=True, faults=faults) as sim,
            stream("binance", sim) as exchange,
        ):
            await exchange.watch_order_book("BTC/USDT")
            watching = asyncio.create_task(exchange.watch_order_book("BTC/USDT"))
            await asyncio.sleep(0)
            await sim.advance(0.3)
            await watching
            watching = asyncio.create_task(exchange.watch_order_book("BTC/USDT"))
            await asyncio.sleep(0)
            await sim.advance(0.2)
            with pytest.raises(Exception, match=r"checksum|nonce"):
                await asyncio.wait_for(watching, 10)

    asyncio.run(run())


@pytest.mark.parametrize(
    "effect", ["status=503", "status=429,retry_after=3", "drop,times=2", "hang"]
)
def test_an_upgrade_obeys_the_rules_of_requests(effect: str) -> None:
    async def run() -> Any:
        async with (
            SimulatedExchange(faults=[f"binance:/ws/*:times=1,{effect}"]) as sim,
            aiohttp.ClientSession() as session,
        ):
            try:
                async with asyncio.timeout(0.5):
                    await session.ws_connect(f"{sim.url}/ws/0")
            except (aiohttp.ClientError, TimeoutError) as error:
                found = error
            async with session.ws_connect(f"{sim.url}/ws/0"):
                return found, [record.status for record in sim.requests]

    found, statuses = asyncio.run(run())
    if effect.startswith("status"):
        assert isinstance(found, aiohttp.WSServerHandshakeError)
        assert [found.status, 101] == statuses
    else:
        assert set(statuses[:-1]) == {None}


def test_rules_for_frames_and_for_requests_do_not_mix() -> None:
    faults = Faults()
    faults.add("*:*:lose,times=1")
    faults.add("*:*:hang,times=1")
    assert [
        bool(faults.meet("okx", path)) for path in ("/a", "/a", "stream/b/C", "stream/b/C")
    ] == [
        True,
        False,
        True,
        False,
    ]
    assert Fault.parse("kraken:stream/book/*:swap") == Fault(
        exchange="kraken", path="stream/book/*", frame="swap"
    )
    assert Fault.parse("*:stream/*:silence=2.5").silence == 2.5
    assert Fault.from_mapping({"frame": "cut", "flood": "7"}).flood == 7


@pytest.mark.parametrize(
    "text", ["*:*:lose,status=500", "*:*:silence=1,hang", "*:*:flood=-1", "*:*:frame=odd"]
)
def test_rules_for_frames_that_make_no_sense(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        Fault.parse(text)


def test_control_over_http(fetch) -> None:
    with SimulatedExchange() as sim:
        text = "okx:stream/books/*:lose,every=3"
        added = fetch(sim, "/_sim/faults", method="POST", body=text)
        assert (added.status, added.json["frame"]) == (201, "lose")
        rule = json.dumps({"exchange": "okx", "path": "stream/*", "silence": 2})
        assert fetch(sim, "/_sim/faults", method="POST", body=rule).json["silence"] == 2.0
