"""Every operation on four exchanges, from cassettes: no network, no simulator, whole records.

A cassette (``cassettes/EXCHANGE/OPERATION.yaml``) holds what went over the wire when the real
connector was asked, under the exchange's own host names; the file of the same name in JSON, what
was asked and answered. ``--record-mode=rewrite`` records both anew: from the simulator, or with
``--live`` from the exchanges themselves, which each cassette says of itself.
"""

import asyncio
import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from vcr.cassette import Cassette
from vcr.errors import CannotOverwriteExistingCassetteException
from vcr.request import Request
from yarl import URL

from marketdata import AsyncClient, models
from marketdata.operations import OPERATIONS
from marketdata.settings import Settings
from marketdata.sim import SimulatedExchange

CASSETTES = Path(__file__).parent / "cassettes"
HOSTS = {
    "binance": "api.binance.com",
    "kraken": "api.kraken.com",
    "coinbaseexchange": "api.exchange.coinbase.com",
    "okx": "www.okx.com",
}
RECORDS = {
    one.name: getattr(models, one.record)
    for one in OPERATIONS
    if "exchange" in one.arguments.model_fields and one.name != "fees"
}
"""The operations that ask one exchange, but that which reads the list of `pairs`, and the records
that they answer with."""

NOW = datetime(2025, 6, 15, 12, 34, 56, 789_000, tzinfo=UTC)
"""Where the simulator's clock stands while it is recorded."""
SEED = 7
PAIRS = 4
"""How many it lists."""

HEADERS = {"content-type", "date", "x-marketdata-simulated"}
"""The only headers that are kept, of answers; those of requests are all left out."""
LARGE = 100_000
NATIVE = ("BTCUSDT", "BTC-USDT", "XBTUSDT", "ETHUSDT", "ETH-USDT")
"""The pairs asked for, as the exchanges write them."""


@pytest.fixture(scope="module")
def vcr_cassette_dir() -> str:
    return str(CASSETTES)


@pytest.fixture
def default_cassette_name(exchange: str, operation: str) -> str:
    return f"{exchange}/{operation}"


@pytest.fixture
def vcr_config(exchange: str) -> dict[str, Any]:
    def bare(request: Request) -> Request:
        url = URL(request.uri)
        if url.host == "127.0.0.1":
            request.uri = str(url.with_scheme("https").with_host(HOSTS[exchange]).with_port(None))
        request.headers = {}
        return request

    return {"before_record_request": bare, "before_record_response": _bare}


def _bare(response: dict[str, Any]) -> dict[str, Any]:
    """Keep of an answer what is read of it, and say where it comes from."""
    kept = {name: value for name, value in response["headers"].items() if name.lower() in HEADERS}
    simulated = "X-Marketdata-Simulated" in kept
    body = response["body"]["string"]
    return {
        "recorded_from": "simulator" if simulated else "live",
        "status": response["status"],
        "headers": kept,
        "body": {"string": _cut(body) if len(body) > LARGE else body},
    }


def _cut(body: bytes) -> bytes:
    """Leave only the pairs asked for in a list of all pairs, and the top of a whole book."""

    def about(one: Any) -> bool:
        return any(native in json.dumps(one) for native in NATIVE)

    def cut(part: Any) -> Any:
        match part:
            case [{}, *_]:
                # A list of trades names no pair: it is of the one asked for.
                return [one for one in part if about(one)] or part
            case dict() if len(part) > 50:
                return {name: one for name, one in part.items() if about([name, one])}
            case {"bids": list(bids), "asks": list(asks)}:
                return {**part, "bids": bids[:50], "asks": asks[:50]}
            case dict():
                return {name: cut(one) for name, one in part.items()}
        return part

    return json.dumps(cut(json.loads(body))).encode()


@pytest.fixture
def endpoints(
    record_mode: str, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Where requests go: to the simulator while it is recorded, else to the exchanges' hosts."""
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        monkeypatch.delenv(name)
    if record_mode == "none" or pytestconfig.getoption("live"):
        yield {}
    else:
        with SimulatedExchange(seed=SEED, pairs=PAIRS, now=NOW, frozen=True) as simulator:
            yield simulator.endpoints


@pytest.mark.vcr
@pytest.mark.block_network
@pytest.mark.parametrize("operation", RECORDS)
@pytest.mark.parametrize("exchange", HOSTS)
def test_operation(
    exchange: str,
    operation: str,
    vcr: Cassette,
    record_mode: str,
    endpoints: dict[str, str],
    pytestconfig: pytest.Config,
    tmp_path: Path,
) -> None:
    beside = CASSETTES / exchange / f"{operation}.json"
    recording = record_mode != "none"
    if recording:
        live = pytestconfig.getoption("live")
        arguments = _arguments(operation, datetime.now(UTC) if live else NOW, live=live)
    else:
        recorded = json.loads(beside.read_text())
        arguments = recorded["arguments"]

    async def ask() -> Any:
        settings = Settings(exchange=(exchange,), endpoints=endpoints, home=tmp_path, retries=0)
        async with AsyncClient(settings=settings) as client:
            return await getattr(client, operation)(**arguments)

    before = datetime.now(UTC)
    answer = asyncio.run(ask())
    after = datetime.now(UTC)
    records = answer if isinstance(answer, list) else [answer]
    kind = RECORDS[operation]
    validator = jsonschema.Draft202012Validator(kind.json_schema())
    for record in records:
        assert type(record) is kind
        validator.validate(record.to_dict())
        assert kind.model_validate_json(record.to_json()) == record
    assert all(getattr(record, "reachable", True) for record in records)
    settled = [_settled(record.to_dict(), before, after) for record in records]
    if recording:
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(_json({"arguments": arguments, "answer": settled}))
    else:
        assert vcr.all_played
        assert settled == recorded["answer"]


def _arguments(operation: str, now: datetime, *, live: bool) -> dict[str, Any]:
    """Return what to ask for; times are those of the recording and stay what they are."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    times = {"start": hour - timedelta(hours=4), "end": hour + timedelta(hours=1)}
    match operation:
        case "pairs":
            # Of a real exchange's list only the pairs asked for are kept.
            return {"base": "BTC", "quote": "USDT"} if live else {}
        case "status":
            return {}
        case "tickers" | "quotes":
            return {"pairs": ["BTC/USDT", "ETH/USDT"]}
        case "orderbook":
            return {"pair": "BTC/USDT", "depth": 5}
        case "trades":
            return {"pair": "BTC/USDT", "limit": 5}
        case "candles":
            texts = {name: f"{time:%Y-%m-%dT%H:%M:%SZ}" for name, time in times.items()}
            return {"pair": "BTC/USDT", "timeframe": "1h", **texts}
    return {"pair": "BTC/USDT"}


def _settled(sent: dict[str, Any], before: datetime, after: datetime) -> dict[str, Any]:
    """Check what our own clock put into an answer, and leave it out."""
    received = sent.pop("receivedAt")
    assert before <= datetime.fromisoformat(received) <= after
    if sent.get("timestamp") == received:
        sent["timestamp"] = "ours"
    if "latencyMs" in sent:
        latency = sent.pop("latencyMs")
        assert 0 <= latency <= (after - before).total_seconds() * 1000
        if "clockOffsetMs" in sent:
            server = datetime.fromisoformat(sent["serverTime"])
            offset = timedelta(milliseconds=sent.pop("clockOffsetMs"))
            assert before <= server - offset <= after
            # Half of the latency, and what a clock rounds.
            assert latency / 2 <= sent.pop("clockErrorMs") <= latency / 2 + 1_001
    return sent


def _json(value: dict[str, Any]) -> str:
    """Write an answer with one row, or one short value, on a line."""
    text = json.dumps(value, indent=1)
    row = re.compile(r"\[\s+((?:[^\[\]{}\"]+,\s+)+[^\[\]{}\"]+?)\s+\]")
    return row.sub(lambda found: "[" + re.sub(r"\s+", " ", found[1]) + "]", text) + "\n"


@pytest.mark.vcr(record_mode="none")
@pytest.mark.block_network
@pytest.mark.parametrize(("exchange", "operation"), [("binance", "orderbook")])
def test_replay_fails_on_a_request_that_was_not_recorded(
    exchange: str, operation: str, tmp_path: Path
) -> None:
    async def ask() -> None:
        settings = Settings(exchange=(exchange,), home=tmp_path)
        async with AsyncClient(settings=settings) as client:
            await client.orderbook("BTC/USDT", depth=6)

    with pytest.raises(CannotOverwriteExistingCassetteException, match="limit=6"):
        asyncio.run(ask())


def test_lists_of_all_pairs_and_whole_books_are_cut() -> None:
    others = [{"id": f"A{number}-USD"} for number in range(2000)]
    wanted = [{"id": "BTC-USDT"}, {"id": "ETH-USDT"}]
    rows = [[price, 1] for price in range(2000)]
    for whole, kept in (
        (wanted + others, wanted),
        ({"symbols": others + wanted, "zone": "UTC"}, {"symbols": wanted, "zone": "UTC"}),
        (
            {"error": [], "result": {one["id"]: one for one in others + wanted}},
            {"error": [], "result": {one["id"]: one for one in wanted}},
        ),
        (
            {"bids": rows, "asks": rows, "nonce": 7},
            {"bids": rows[:50], "asks": rows[:50], "nonce": 7},
        ),
    ):
        assert json.loads(_cut(json.dumps(whole).encode())) == kept


NAMES = [f"{exchange}/{operation}" for exchange in HOSTS for operation in RECORDS]


def test_each_operation_has_a_cassette_on_each_exchange() -> None:
    for suffix in ("yaml", "json"):
        found = CASSETTES.rglob(f"*.{suffix}")
        names = sorted(path.relative_to(CASSETTES).with_suffix("").as_posix() for path in found)
        assert names == sorted(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_cassette_says_where_it_is_from(name: str) -> None:
    path = CASSETTES / f"{name}.yaml"
    interactions = yaml.safe_load(path.read_text())["interactions"]
    [origin] = {interaction["response"]["recorded_from"] for interaction in interactions}
    answer = json.loads(path.with_suffix(".json").read_text())["answer"]
    assert answer
    assert origin in ("simulator", "live")
    assert {one.get("simulated", False) for one in answer} == {origin == "simulator"}


@pytest.mark.parametrize("name", NAMES)
def test_cassette_holds_no_secret_and_nothing_of_a_machine(name: str) -> None:
    path = CASSETTES / f"{name}.yaml"
    recorded = path.read_text()
    for text in (recorded, path.with_suffix(".json").read_text()):
        assert len(text) < 2 * LARGE
        assert not re.findall(r"127\.0\.0\.1|localhost|\[::1\]|https?://[^/\s]*:\d+", text)
        assert not re.findall(r"(?i)/(?:home|root|tmp|users|work)/", text)
        assert not re.findall(r"(?i)api-?_?key|signature|secret|passphrase|authoriz|cookie", text)
    for interaction in yaml.safe_load(recorded)["interactions"]:
        assert interaction["request"]["headers"] == {}
        assert URL(interaction["request"]["uri"]).host == HOSTS[path.parent.name]
        assert {name.lower() for name in interaction["response"]["headers"]} <= HEADERS
