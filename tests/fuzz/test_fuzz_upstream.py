"""Whatever an exchange answers, callers get our words for it, and nothing of its own."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fuzz_exchange import CANARY, Poison, Poisoned
from fuzz_strategies import anything, encoded, mixed
from fuzz_world import World, cases, judge_call, judge_message
from hypothesis import given
from hypothesis import strategies as st
from mcp_loopback import VERSIONS, ask

pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")

PAIRS = {"kraken": "BTC/USD", "coinbaseexchange": "BTC/USD"}
TOOLS = {
    "get_ticker": {},
    "get_tickers": {},
    "get_quote": {},
    "get_orderbook": {"depth": 5},
    "get_candles": {"limit": 3, "timeframe": "1h"},
    "get_trades": {"limit": 5},
    "watch_start": {"kind": "orderbook"},
}


@pytest.fixture(scope="module")
def exchange() -> Poisoned:
    """What the server of this file asks."""
    return Poisoned()


@pytest.fixture(scope="module")
def world(exchange: Poisoned, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A server that has asked all exchanges for their pairs before they went wrong."""
    with World.begun(tmp_path_factory.mktemp("home"), exchange=exchange) as begun:
        for name in ("binance", "kraken", "coinbaseexchange", "okx"):
            asked = {"name": "list_pairs", "arguments": {"exchange": name}}
            assert begun.run("calls", _called(begun, asked, VERSIONS[0])) == "OK"
        yield begun


async def _called(world: World, params: dict[str, Any], version: str) -> str:
    sent = ask("tools/call", version, 1, **params)
    told = await world.sends(sent)
    assert told is not None
    world.judge(sent, told, CANARY, CANARY.lower(), CANARY.upper())
    judge_message(told.message, "tools/call", version)
    code = judge_call(told.message, params["name"])
    if (params["name"], code) == ("watch_start", "OK"):
        watch = told.message["result"]["structuredContent"]["watch"]
        await _called(world, {"name": "watch_stop", "arguments": {"watch": watch}}, version)
    return code


@contextlib.contextmanager
def _wrong(
    exchange: Poisoned,
    poison: Poison | None = None,
    change: Callable[[Any], bytes] | None = None,
) -> Iterator[None]:
    exchange.poison, exchange.change = poison, change
    try:
        yield
    finally:
        exchange.poison = exchange.change = None


_calls = st.builds(
    lambda tool, exchange: {
        "name": tool,
        "arguments": {
            "exchange": exchange,
            **TOOLS[tool],
            **(
                {"pairs": [PAIRS.get(exchange, "BTC/USDT")]}
                if tool == "get_tickers"
                else {"pair": PAIRS.get(exchange, "BTC/USDT")}
            ),
        },
    },
    st.sampled_from(list(TOOLS)),
    st.sampled_from(["binance", "kraken", "coinbaseexchange", "okx"]),
)
_bodies = mixed(
    st.sampled_from(
        [
            f"<html><title>{CANARY}</title><h1>{CANARY}</h1></html>".encode(),
            f"{CANARY}Error: {CANARY}".encode(),
            f'{{"code": "{CANARY}'.encode(),
            b"\xff\xfe" + CANARY.encode(),
            20_000 * CANARY.encode(),
            b"",
            b"null",
            b"0",
            b"[]",
            b"{}",
        ]
    ),
    st.sampled_from(
        [
            {"code": -1121, "msg": CANARY},
            {"code": -1003, "msg": f"{CANARY}; banned until 1999999999999"},
            {"code": "50001", "msg": CANARY, "data": []},
            {"code": "0", "msg": "", "data": CANARY},
            {"code": "0", "msg": CANARY, "data": [CANARY]},
            {"code": "0", "msg": "", "data": [{CANARY: CANARY}]},
            {"error": [CANARY]},
            {"error": [f"EQuery:Unknown asset pair {CANARY}", f"EService:{CANARY}"]},
            {"error": [], "result": CANARY},
            {"error": [], "result": {CANARY: CANARY}},
            {"error": [], "result": {"XXBTZUSD": [CANARY]}},
            {"error": [], "result": {"XXBTZUSD": {"a": [CANARY], "b": [CANARY], "c": CANARY}}},
            {"message": CANARY},
            {"symbol": CANARY, "lastPrice": CANARY, "bidPrice": CANARY, "closeTime": CANARY},
            {"bids": [[CANARY, CANARY]], "asks": CANARY, "lastUpdateId": CANARY},
            [CANARY],
            [[CANARY, CANARY, CANARY, CANARY, CANARY, CANARY]],
            [{CANARY: CANARY}],
            CANARY,
        ]
    ).map(encoded),
    anything.map(encoded),
)
_headers = st.fixed_dictionaries(
    {"Content-Type": st.sampled_from(["application/json", "text/html", "text/plain", CANARY])},
    optional={
        "Retry-After": st.sampled_from([CANARY, "0", "-1", "1e999", "nan"]),
        "X-MBX-USED-WEIGHT-1M": st.sampled_from([CANARY, "5", "-1", "9" * 400]),
        "Date": st.sampled_from([CANARY, "Thu, 01 Jan 1970 00:00:00 GMT"]),
        "Location": st.just(f"/{CANARY}/{CANARY}"),
        "Set-Cookie": st.just(f"{CANARY}={CANARY}"),
        "Content-Encoding": st.sampled_from(["gzip", "br", CANARY]),
    },
)
_statuses = st.sampled_from(
    [200, 200, 200, 204, 302, 400, 401, 403, 404, 409, 418, 429, 451, 500, 502, 503, 504, 520]
)
_poisons = st.builds(Poison, _statuses, _headers, _bodies)


@cases(0.06)
@given(params=_calls, poison=_poisons, version=st.sampled_from(VERSIONS))
def test_answers_that_are_none(
    world: World, exchange: Poisoned, params: dict[str, Any], poison: Poison, version: str
) -> None:
    with _wrong(exchange, poison):
        world.run("poisoned answers", _called(world, params, version))


@cases(0.04)
@given(
    params=_calls,
    places=st.lists(st.tuples(st.integers(0, 5_000), anything, st.booleans()), max_size=3),
    version=st.sampled_from(VERSIONS),
)
def test_answers_with_something_wrong_in_them(
    world: World,
    exchange: Poisoned,
    params: dict[str, Any],
    places: list[tuple[int, Any, bool]],
    version: str,
) -> None:
    def change(told: Any) -> bytes:
        for number, value, is_dropped in places:
            found = list(_places(told))
            if not found:
                return encoded(value)
            inside, key = found[number % len(found)]
            if is_dropped:
                del inside[key]
            else:
                inside[key] = value
        return encoded(told)

    with _wrong(exchange, change=change):
        world.run("changed answers", _called(world, params, version))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield all places inside a JSON value."""
    keys = (
        value if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    )
    for key in list(keys):
        yield value, key
        yield from _places(value[key])


def test_all_is_well_again(world: World) -> None:
    async def work() -> None:
        for name in ("kraken", "coinbaseexchange", "okx"):
            arguments = {"pair": PAIRS.get(name, "BTC/USDT"), "exchange": name}
            asked = {"name": "get_ticker", "arguments": arguments}
            assert await _called(world, asked, VERSIONS[0]) == "OK"

    world.run("calls", work())
