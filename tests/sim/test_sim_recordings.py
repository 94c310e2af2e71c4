"""Replays of recorded streams."""

import asyncio
import contextlib
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import captures
import pytest
from inside.recordings import Event, Writer
from sim_wires import applied, rest, wire
from test_sim_sockets_kraken import apply as apply_kraken
from test_sim_sockets_okx import kept as kept_okx
from waiting import taking_at_most

from marketdata.sim import SimulatedExchange
from marketdata.sim.recorded.echoes import Echoes
from marketdata.sim.recorded.playing import RawSession
from marketdata.sim.recorded.reels import Reel

NOW = 1_750_000_000_700
DEPTH = "/api/v3/depth"
ASKED = {
    "binance": (
        "/ws/3",
        {"method": "SUBSCRIBE", "params": ["btcusdt@depth@100ms", "btcusdt@trade"], "id": 1},
    ),
    "kraken": (
        "/v2",
        {"method": "subscribe", "params": {"channel": "book", "symbol": ["BTC/USDT"], "depth": 25}},
    ),
    "coinbaseexchange": (
        "/",
        {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["level2_batch", "matches"]},
    ),
    "okx": (
        "/ws/v5/public",
        {"op": "subscribe", "args": [{"channel": "books", "instId": "BTC-USDT"}]},
    ),
}
each = pytest.mark.parametrize("name", ASKED)

Made = tuple[Path, list[str]]


def nanos(ms: float) -> int:
    return round(ms * 1_000_000)


async def record(name: str, target: Path, seconds: int = 10) -> list[str]:
    """Record what the simulator makes up, and return the frames that are no answers."""
    path, asked = ASKED[name]
    frames: list[str] = []
    with Writer(target) as writer:
        async with SimulatedExchange(now=NOW, frozen=True) as sim, wire(sim, path) as client:
            url = f"wss://{name}.example{path}"
            writer.write(Event(nanos(NOW), 1, "open", exchange=name, url=url))
            writer.write(Event(nanos(NOW), 1, "sent", json.dumps(asked)))
            await client.socket.send_json(asked)
            while not sim.sockets[0].subscriptions:
                await asyncio.sleep(0.001)
            read = 0
            for step in range(10 * seconds):
                if step == 12 and name == "binance":
                    book = await rest(sim, DEPTH, symbol="BTCUSDT", limit=1000)
                    url = "https://binance.example/api/v3/depth?symbol=BTCUSDT&limit=1000"
                    text = json.dumps(book)
                    writer.write(Event(nanos(sim.clock.now()), 0, "rest", text, name, url, 200))
                await sim.advance(0.1)
                while read < sim.sockets[0].sent:
                    text = await client.socket.receive_str()
                    read += 1
                    writer.write(Event(nanos(sim.clock.now()), 1, "got", text))
                    if not is_answer(text):
                        frames.append(text)
    return frames


def is_answer(text: str) -> bool:
    body = json.loads(text)
    return (
        "id" in body
        or "method" in body
        or body.get("event") in ("subscribe", "unsubscribe")
        or body.get("type") == "subscriptions"
        or body.get("channel") in ("status", "heartbeat")
    )


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    made: dict[str, Made] = {}

    def one(name: str) -> Made:
        if name not in made:
            target = tmp_path_factory.mktemp(name) / "recording"
            made[name] = target, asyncio.run(record(name, target))
        return made[name]

    return one


async def texts(socket: aiohttp.ClientWebSocketResponse) -> tuple[list[str], Any]:
    """Read to the end; give the frames that are no answers, and how the socket was closed."""
    found = []
    while (message := await asyncio.wait_for(socket.receive(), 20)).type is aiohttp.WSMsgType.TEXT:
        if not is_answer(message.data):
            found.append(message.data)
    return found, message


@each
def test_a_recording_is_played_as_it_was(name: str, recorded) -> None:
    path, asked = ASKED[name]
    tape, frames = recorded(name)

    async def run() -> None:
        async with (
            SimulatedExchange(tape=tape, frozen=True) as sim,
            wire(sim, path) as client,
        ):
            assert sim.endpoints == {name: sim.url}
            assert abs(sim.clock.now() - NOW) <= 100
            await client.socket.send_json(asked)
            while not sim.sockets[0].subscriptions:
                await asyncio.sleep(0.001)
            await sim.advance(5)
            assert sim.clock.now() - NOW in range(4_900, 5_100)
            await sim.advance(60)
            found, message = await texts(client.socket)
            assert found == frames
            assert (message.data, message.extra) == (4000, "end of recording")

    asyncio.run(run())


def test_it_is_played_again_from_the_beginning(recorded) -> None:
    path, asked = ASKED["okx"]
    tape, frames = recorded("okx")
    sim = SimulatedExchange(tape=tape, speed=None)

    async def run() -> None:
        for _ in range(2):
            async with sim, wire(sim, path) as client:
                await client.socket.send_json(asked)
                assert (await texts(client.socket))[0] == frames

    asyncio.run(run())


def test_what_was_recorded_on_two_sockets_is_sent_once(recorded, tmp_path: Path) -> None:
    path, asked = ASKED["okx"]
    _, frames = recorded("okx")
    tape = tmp_path / "recording"
    with Writer(tape) as writer:
        for number in (1, 2, 3):
            url = f"wss://okx.example{path}"
            writer.write(Event(nanos(NOW), number, "open", exchange="okx", url=url))
        for index, text in enumerate(frames):
            # The first socket is lost in the middle, the second hears all, the third the rest.
            for number in (1, 2) if index < 50 else (2, 3):
                writer.write(Event(nanos(NOW + 100 * index), number, "got", text))
    assert played(tape, path, asked)[0] == frames


@each
def test_only_what_is_subscribed_to_is_sent(name: str, recorded) -> None:
    path, asked = ASKED[name]
    tape, frames = recorded(name)
    del asked

    async def run() -> None:
        async with SimulatedExchange(tape=tape, frozen=True) as sim, wire(sim, path) as client:
            await sim.advance(60)
            found, message = await texts(client.socket)
            assert (found, message.data) == ([], 4000)
            async with wire(sim, path) as late:
                await late.socket.send_json(ASKED[name][1])
                _, message = await texts(late.socket)
                assert message.data == 4000

    asyncio.run(run())
    if name == "binance":
        asked = {"method": "SUBSCRIBE", "params": ["btcusdt@trade"], "id": 1}
        assert played(tape, "/stream", asked)[0] == [
            f'{{"stream":"btcusdt@trade","data":{text}}}' for text in frames if "depth" not in text
        ]


def played(
    tape: Path, path: str, asked: Any, *, late: float = 0, **options: Any
) -> tuple[list[str], int]:
    """Return what a client is sent that subscribes after ``late`` seconds, and the close code."""

    async def run() -> tuple[list[str], int]:
        async with (
            SimulatedExchange(tape=tape, frozen=True, **options) as sim,
            wire(sim, path) as client,
        ):
            if late:
                await sim.advance(late)
            await client.socket.send_json(asked)
            while not sim.sockets[0].received:
                await asyncio.sleep(0.001)
            await sim.advance(60)
            found, message = await texts(client.socket)
            return found, message.data

    return asyncio.run(run())


def test_who_comes_late_gets_a_book_of_kraken(recorded) -> None:
    tape, frames = recorded("kraken")
    found, _ = played(tape, *ASKED["kraken"], late=5)
    bodies = [json.loads(text, parse_float=str) for text in found]
    assert [body["type"] for body in bodies[:2]] == ["snapshot", "update"]
    assert found[1:] == frames[-len(found) + 1 :]
    sides: Any = {"bids": {}, "asks": {}}
    for body in bodies:
        apply_kraken(sides, body["data"][0], 25)
    assert len(sides["bids"]) == len(sides["asks"]) == 25


def test_who_comes_late_gets_a_book_of_okx(recorded) -> None:
    tape, frames = recorded("okx")
    found, _ = played(tape, *ASKED["okx"], late=5)
    assert found[1:] == frames[-len(found) + 1 :]
    assert kept_okx([json.loads(text) for text in found]) == kept_okx(
        [json.loads(text) for text in frames]
    )


def test_who_comes_late_gets_a_book_of_coinbase(recorded) -> None:
    tape, frames = recorded("coinbaseexchange")
    found, _ = played(tape, *ASKED["coinbaseexchange"], late=5)

    def kept(texts: list[str]) -> dict[str, dict[str, str]]:
        book: dict[str, dict[str, str]] = {"buy": {}, "sell": {}}
        for body in map(json.loads, texts):
            if body["type"] == "snapshot":
                book = {"buy": dict(body["bids"]), "sell": dict(body["asks"])}
            for side, price, size in body.get("changes", []):
                book[side][price] = size
        return {
            side: {price: size for price, size in rows.items() if float(size)}
            for side, rows in book.items()
        }

    assert json.loads(found[0])["type"] == "snapshot"
    assert kept(found) == kept(frames)


def test_depth_is_answered_from_the_stream(recorded) -> None:
    tape, frames = recorded("binance")
    events = [json.loads(text) for text in frames if "depthUpdate" in text]

    async def run() -> list[Any]:
        books = []
        async with SimulatedExchange(tape=tape, frozen=True) as sim:
            for _ in range(12):
                books.append(await rest(sim, DEPTH, symbol="BTCUSDT", limit=1000))
                await sim.advance(0.8)
        return books

    books = asyncio.run(run())
    assert books[0] == books[1]
    assert len({book["lastUpdateId"] for book in books}) == 11
    assert all(len(book["bids"]) == 1000 for book in books)
    ends = [applied(book, events) for book in books]
    for end in ends:
        assert end["lastUpdateId"] == ends[0]["lastUpdateId"]
        assert (end["bids"][:800], end["asks"][:800]) == (
            ends[0]["bids"][:800],
            ends[0]["asks"][:800],
        )


def test_what_was_not_recorded_is_refused_and_what_was_quiet_is_not(recorded, tmp_path) -> None:
    tape, _ = recorded("kraken")
    asked = {"method": "subscribe", "params": {"channel": "trade", "symbol": ["BTC/USDT"]}}

    async def answers() -> list[Any]:
        async with SimulatedExchange(tape=tape, frozen=True) as sim, wire(sim, "/v2") as client:
            assert (await client.next())["channel"] == "status"
            refused = await client.say(asked)
            accepted = await client.say(ASKED["kraken"][1])
            return [refused["success"], accepted["success"]]

    assert asyncio.run(answers()) == [False, True]
    quiet = tmp_path / "quiet"
    with Writer(quiet) as writer:
        writer.write(Event(nanos(NOW), 1, "open", exchange="kraken", url="wss://x.example/v2"))
        writer.write(Event(nanos(NOW), 1, "sent", json.dumps(asked)))
        writer.write(Event(nanos(NOW), 1, "sent", json.dumps(ASKED["kraken"][1])))
        writer.write(Event(nanos(NOW), 1, "got", '{"channel":"heartbeat"}'))
    tape = quiet
    assert asyncio.run(answers()) == [True, True]


def other(target: Path, *, more: str = "") -> Path:
    """Record an exchange that is not spoken here, and perhaps another one."""
    base = "https://www.bitstamp.example/api/v2"
    with Writer(target) as writer:
        for index, second in enumerate((0, 2, 4)):
            url = f"{base}/order_book/btcusd/?group=1"
            text = json.dumps({"number": index})
            writer.write(Event(nanos(NOW + 1000 * second), 0, "rest", text, "bitstamp", url, 200))
        url = f"{base}/gone/"
        writer.write(Event(nanos(NOW), 0, "rest", "no", "bitstamp", url, 404))
        url = "wss://ws.bitstamp.example"
        writer.write(Event(nanos(NOW), 1, "open", exchange="bitstamp", url=url))
        writer.write(Event(nanos(NOW), 1, "sent", "please"))
        for index in range(50):
            text = json.dumps({"data": index})
            writer.write(Event(nanos(NOW + 100 * index), 1, "got", text))
        if more:
            url = f"wss://{more}.example/"
            writer.write(Event(nanos(NOW), 2, "open", exchange=more, url=url))
            writer.write(Event(nanos(NOW + 150), 2, "got", f'{{"other":"{more}"}}'))
        writer.write(Event(nanos(NOW + 6_000), 1, "lost"))
    return target


def test_any_exchange_is_played(tmp_path: Path) -> None:
    tape = other(tmp_path / "recording")

    async def run() -> None:
        async with SimulatedExchange(tape=tape, frozen=True) as sim:
            assert sim.endpoints == {"bitstamp": sim.url}
            async with wire(sim, "/") as client, wire(sim, "/") as silent:
                await sim.advance(1)
                await client.socket.send_str("something")
                while not sim.sockets[0].received:
                    await asyncio.sleep(0.001)
                await sim.advance(60)
                found, message = await texts(client.socket)
                assert found == [json.dumps({"data": index}) for index in range(10, 50)]
                assert message.data == 4000
                assert (await texts(silent.socket))[0] == []
            record = sim.sockets[0]
            assert (record.exchange, record.path, record.received) == (
                "bitstamp",
                "/",
                ["something"],
            )

    asyncio.run(run())


def test_recorded_answers(tmp_path: Path, fetch) -> None:
    with SimulatedExchange(tape=other(tmp_path / "recording"), frozen=True) as sim:
        path = "/api/v2/order_book/btcusd/"
        numbers = []
        for _ in range(4):
            numbers.append(fetch(sim, path, group=1).json["number"])
            sim.advance(1.5)
        assert numbers == [0, 0, 1, 2]
        assert fetch(sim, path, group=2).json["number"] == 2
        assert fetch(sim, path, symbol="other").status == 404
        assert fetch(sim, "/api/v2/gone/").status == 404
        assert fetch(sim, "/api/v2/gone/").body == b"no"
        assert fetch(sim, "/elsewhere").status == 404
        assert [one.exchange for one in sim.requests] == ["bitstamp"] * 9
        assert fetch(sim, path).headers["X-Marketdata-Simulated"] == "1"
        assert fetch(sim, path).headers["X-Marketdata-Plays"].startswith("tape-")
        assert fetch(sim, "/_sim/info").json["exchanges"] == ["bitstamp"]


def test_the_dialect_answers_what_was_not_recorded(recorded, fetch) -> None:
    with SimulatedExchange(tape=recorded("binance")[0], frozen=True) as sim:
        info = fetch(sim, "/api/v3/exchangeInfo", symbol="BTCUSDT")
        assert info.json["symbols"][0]["symbol"] == "BTCUSDT"
        assert fetch(sim, DEPTH, symbol="ETHUSDT", limit=5).json["bids"]
        assert fetch(sim, "/0/public/Time").status == 404


def test_several_exchanges_have_their_names_before_their_paths(tmp_path: Path, fetch) -> None:
    tape = other(tmp_path / "recording", more="gemini")

    async def run(sim: SimulatedExchange) -> None:
        async with wire(sim, "/bitstamp/") as one, wire(sim, "/gemini/") as two:
            for client in (one, two):
                await client.socket.send_str("please")
            while not all(record.received for record in sim.sockets):
                await asyncio.sleep(0.001)
            await sim.advance(60)
            first, _ = await texts(one.socket)
            second, _ = await texts(two.socket)
            assert len(first) == 50
            assert second == ['{"other":"gemini"}']

    with SimulatedExchange(tape=tape, frozen=True) as sim:
        assert sim.endpoints == {
            "bitstamp": f"{sim.url}/bitstamp",
            "gemini": f"{sim.url}/gemini",
        }
        path = "/api/v2/order_book/btcusd/"
        assert fetch(sim, f"/bitstamp{path}", group=1).status == 200
        assert fetch(sim, path, group=1).status == 404
        asyncio.run(run(sim))
        assert [(one.exchange, one.path) for one in sim.requests][:2] == [
            ("bitstamp", path),
            ("", path),
        ]
        assert {record.path for record in sim.sockets} == {"/"}


@pytest.mark.parametrize(("speed", "least"), [(20.0, 0.2), (None, 0.0), (float("inf"), 0.0)])
def test_speed(speed: float | None, least: float, tmp_path: Path) -> None:
    tape = other(tmp_path / "recording")

    async def run() -> None:
        async with SimulatedExchange(tape=tape, speed=speed) as sim, wire(sim, "/") as client:
            await asyncio.sleep(0.1)
            assert sim.clock.now() < NOW
            with pytest.raises(RuntimeError, match="cannot be advanced"):
                await sim.advance(1)
            began = time.monotonic()
            with taking_at_most(5):
                await client.socket.send_str("please")
                found, message = await texts(client.socket)
            assert time.monotonic() - began > least
            assert len(found) == 50
            assert message.data == 4000
            assert sim.clock.now() == NOW + 6_000

    asyncio.run(run())


def test_it_waits_for_all_subscriptions(recorded) -> None:
    tape, frames = recorded("okx")
    path, asked = ASKED["okx"]

    async def run() -> None:
        async with (
            SimulatedExchange(tape=tape, speed=None, wait_for=2) as sim,
            wire(sim, path) as first,
            wire(sim, path) as second,
        ):
            await first.say(asked)
            await asyncio.sleep(0.1)
            assert [record.sent for record in sim.sockets] == [1, 0]
            await second.say(asked)
            for client in (first, second):
                assert (await texts(client.socket))[0] == frames

    asyncio.run(run())


def test_flat_out_is_as_fast_as_it_is_read(tmp_path: Path) -> None:
    tape = tmp_path / "recording"
    with Writer(tape) as writer:
        writer.write(Event(nanos(NOW), 1, "open", exchange="x", url="wss://x.example/s"))
        for index in range(4_000):
            text = json.dumps({"number": index, "filled": "x" * 5_000})
            writer.write(Event(nanos(NOW + index), 1, "got", text))

    async def run() -> None:
        async with SimulatedExchange(tape=tape, speed=None) as sim, wire(sim, "/s") as client:
            await client.socket.send_str("please")
            await asyncio.sleep(0.5)
            assert sim.sockets[0].sent < 4_000
            found, _ = await texts(client.socket)
            assert [json.loads(text)["number"] for text in found] == list(range(4_000))

    asyncio.run(run())


@each
def test_faults_meet_recorded_frames(name: str, recorded) -> None:
    path, asked = ASKED[name]
    tape, frames = recorded(name)
    channel, symbol = {
        "binance": ("depth", "BTCUSDT"),
        "kraken": ("book", "BTC/USDT"),
        "coinbaseexchange": ("level2_batch", "BTC-USD"),
        "okx": ("books", "BTC-USDT"),
    }[name]
    mark = {"binance": "depthUpdate", "coinbaseexchange": "l2update"}.get(name, "")
    books = [text for text in frames if mark in text or '"snapshot"' in text]

    def under(effect: str) -> list[str]:
        fault = f"{name}:stream/{channel}/{symbol}:{effect},after=3,times=1"
        found, _ = played(tape, path, asked, faults=[fault])
        return [text for text in found if mark in text or '"snapshot"' in text]

    assert under("lose") == [*books[:3], *books[4:]]
    assert under("twice") == [*books[:4], *books[3:]]
    assert under("swap") == [*books[:3], books[4], books[3], *books[5:]]
    assert under("flood=7") == books
    assert under("silence=2")[:3] == books[:3]
    assert len(under("silence=2")) < len(books) - 5
    strayed = under("stray")
    assert [one == two for one, two in zip(strayed, books, strict=True)].count(False) == 1
    assert len(strayed[3]) > len(books[3])
    changed = [one != two for one, two in zip(under("checksum"), books, strict=True)]
    assert changed.count(True) == (1 if name in ("kraken", "okx") else 0)


def test_a_flood_runs_ahead_in_a_recording(recorded) -> None:
    tape, _ = recorded("okx")
    path, asked = ASKED["okx"]

    async def run() -> None:
        faults = ["okx:stream/books/*:flood=30,times=1"]
        async with (
            SimulatedExchange(tape=tape, frozen=True, faults=faults) as sim,
            wire(sim, path) as client,
        ):
            await client.say(asked)
            await sim.advance(0.2)
            assert sim.sockets[0].sent > 30
            sent = sim.sockets[0].sent
            await sim.advance(2)
            assert sim.sockets[0].sent == sent

    asyncio.run(run())


def test_what_cannot_be_played(tmp_path: Path) -> None:
    tape = other(tmp_path / "recording")
    empty = tmp_path / "empty"
    with Writer(empty) as writer:
        writer.write(Event(nanos(NOW), 0, "rest", "{}", "x", "https://x.example/", 200))
    with pytest.raises(ValueError, match="no frame"):
        SimulatedExchange(tape=empty)
    with pytest.raises(ValueError, match="alone"):
        SimulatedExchange(tape=[tape, empty])
    with pytest.raises(ValueError, match="now"):
        SimulatedExchange(tape=tape, now=NOW)
    with pytest.raises(ValueError, match="speed"):
        SimulatedExchange(tape=tape, speed=0)


def test_a_client_that_hangs_up_leaves_the_others_alone(recorded) -> None:
    tape, frames = recorded("okx")
    path, asked = ASKED["okx"]

    async def run() -> None:
        async with (
            SimulatedExchange(tape=tape, speed=50, wait_for=2) as sim,
            wire(sim, path) as client,
        ):
            async with wire(sim, path) as other:
                await other.say(asked)
                await client.say(asked)
                await other.next()
            assert (await texts(client.socket))[0] == frames
            assert sim.sockets[1].closed

    asyncio.run(run())


@pytest.fixture
def source(request: pytest.FixtureRequest) -> Path:
    found = request.config.getoption("--recorded")
    if found is None:
        pytest.skip("needs the folder of recorded data: --recorded DIR or MARKETDATA_RECORDED")
    return Path(found)


def test_a_real_book_of_binance(source: Path, tmp_path: Path) -> None:
    tape = captures.binance_recording(source, tmp_path / "recording")

    async def run() -> tuple[Any, list[Any], Any]:
        async with SimulatedExchange(tape=tape, frozen=True) as sim, wire(sim) as client:
            await client.ask("SUBSCRIBE", "btcusdt@depth@100ms", "btcusdt@bookTicker")
            first = await rest(sim, DEPTH, symbol="BTCUSDT", limit=1000)
            advancing = asyncio.ensure_future(sim.advance(200))
            read = []
            while not advancing.done() or len(read) < sim.sockets[0].sent - 1:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        read.append(await client.next())
            later = await rest(sim, DEPTH, symbol="BTCUSDT", limit=1000)
            return first, read, later

    first, frames, later = asyncio.run(run())
    quotes = {one["u"]: one for one in frames if "B" in one}
    events = [one for one in frames if one.get("e") == "depthUpdate"]
    compared = 0
    book = first
    for start in range(0, len(events), 20):
        some = events[start : start + 20]
        book = applied(book, some)
        # Where a quote has the number of a difference, the book's best rows are its own.
        quote = quotes.get(some[-1]["u"])
        if quote is not None and some[-1]["u"] > first["lastUpdateId"]:
            assert book["bids"][0] == [quote["b"], quote["B"]]
            assert book["asks"][0] == [quote["a"], quote["A"]]
            compared += 1
    assert compared > 10
    assert later["lastUpdateId"] == book["lastUpdateId"]
    assert later["bids"][:200] == book["bids"][:200]


def test_a_real_book_of_okx(source: Path, tmp_path: Path) -> None:
    tape = captures.cryptofeed_recording(source, "OKX", tmp_path / "recording")
    path, asked = ASKED["okx"]
    for late in (0.0, 5.0):
        found, code = played(tape, path, asked, late=late)
        assert code == 4000
        frames = [json.loads(text) for text in found]
        for index, frame in enumerate(frames):
            # It is from before updates were numbered.
            frame["data"][0].setdefault("seqId", index)
            frame["data"][0].setdefault("prevSeqId", index - 1)
            for side in ("bids", "asks"):
                for row in frame["data"][0][side]:
                    row[2] = "0"
                    row[3] = "0" if row[1] == "0" else "1"
        kept_okx(frames, strict=False)
        assert len(frames) > 30


def test_a_real_book_of_coinbase(source: Path, tmp_path: Path) -> None:
    tape = captures.cryptofeed_recording(source, "COINBASE", tmp_path / "recording")
    asked = {"type": "subscribe", "product_ids": ["SKL-USD"], "channels": ["level2_batch"]}
    whole, _ = played(tape, "/", asked)
    late, _ = played(tape, "/", asked, late=10)
    assert json.loads(whole[0])["type"] == json.loads(late[0])["type"] == "snapshot"
    assert len(whole) > len(late) > 100
    assert late[1:] == whole[-len(late) + 1 :]


def test_what_a_client_does_not_ask_for_by_number_is_waited_for_once() -> None:
    echoes, reel = Echoes(), Reel()

    def recorded(ms: int, asked: dict[str, Any], answer: dict[str, Any]) -> None:
        echoes.ask(1, json.dumps(asked))
        text = json.dumps(answer)
        reel.add(ms, ms, text, echoes.answers(1, text))

    recorded(1, {"id": 1, "sub": "book"}, {"id": 1, "status": "ok"})
    for ms in (2, 3):
        recorded(ms, {"id": ms, "type": "ping"}, {"id": ms, "type": "pong"})
    recorded(4, {"id": "4", "req": "book", "time": 4}, {"id": "4", "rep": "book"})

    session = RawSession(reel, echoes)
    assert session.receive('{"id": "a1", "sub": "book"}', 0) == []
    assert [one.body for one in session.frames(0, 1)] == ['{"id": "a1", "status": "ok"}']
    assert (session.frames(1, 2), session.owes) == ([], True)
    session.forget()
    assert (session.frames(2, 3), session.owes) == ([], False)
    assert (session.frames(3, 4), session.owes) == ([], True)
    [answer] = session.receive('{"id": "b2", "req": "book", "time": 9}', 4)
    assert (answer.body, session.owes) == ('{"id": "b2", "rep": "book"}', False)


def test_a_real_recording_of_bitstamp(source: Path, tmp_path: Path, fetch) -> None:
    tape = captures.cryptofeed_recording(source, "BITSTAMP", tmp_path / "recording")
    found, code = played(tape, "/", {"event": "bts:subscribe"})
    assert (len(found) > 300, code) == (True, 4000)
    with SimulatedExchange(tape=tape, frozen=True) as sim:
        assert fetch(sim, "/api/v2/order_book/ethusd").json["bids"][0] == [
            "3802.90",
            "0.60000000",
        ]


def test_the_real_connector_on_a_real_recording(source: Path, tmp_path: Path, stream) -> None:
    tape = captures.binance_recording(source, tmp_path / "recording")

    async def run() -> None:
        async with (
            SimulatedExchange(tape=tape, frozen=True) as sim,
            stream("binance", sim) as exchange,
        ):
            await exchange.watch_order_book("BTC/USDT")
            for _ in range(20):
                watching = asyncio.create_task(exchange.watch_order_book("BTC/USDT"))
                await asyncio.sleep(0)
                await sim.advance(1)
                await asyncio.wait_for(watching, 10)
            truth = await exchange.fetch_order_book("BTC/USDT", 100)
            book = exchange.orderbooks["BTC/USDT"]
            while book["nonce"] < truth["nonce"]:
                await asyncio.sleep(0.001)
            kept = [list(row) for row in book["bids"]]
            assert kept[:100] == [list(row) for row in truth["bids"]][:100]

    asyncio.run(run())
