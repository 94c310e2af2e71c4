"""What is made of a folder of recordings, whatever it holds; the ones here are invented."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import calls
import expected
import listings
import playback
import pytest
from recorded import Case, Recordings

TICKER = {"last": "100.5", "bid": "100", "ask": "101", "timestamp": "2024-05-01T12:00:00.000Z"}


def case(method: str, *given: Any, **more: Any) -> dict[str, Any]:
    return {"method": method, "input": list(given), "httpResponse": TICKER, **more}


def folder(root: Path, name: str, *cases: dict[str, Any], under: str = "response") -> Recordings:
    path = root / under / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    methods: dict[str, list[Any]] = {}
    for one in cases:
        methods.setdefault(one["method"], []).append(one)
    path.write_text(json.dumps({"exchange": name, "methods": methods}))
    return Recordings(root)


def only(recordings: Recordings) -> Case:
    [found] = recordings.cases
    return found


@pytest.mark.parametrize(
    ("name", "one", "reason"),
    [
        ("hitbtc", case("fetchTicker", "BTC/USDT"), None),
        ("hitbtc", case("fetchTicker", "BTC/USDT:USDT"), None),
        ("hitbtc", case("fetchBalance"), "no public operation"),
        ("hitbtc", case("fetchTicker", "BTC/USDT", disabled=True), "disabled by its recorder"),
        ("hitbtc", case("fetchTicker", "BTC/USDT", disabledPHP=True), None),
        ("unheardof", case("fetchTicker", "BTC/USDT"), "has no such exchange"),
        ("deribit", case("fetchTicker", "BTC/USD:BTC"), None),
        (
            "hitbtc",
            case("fetchTickers", {"type": "swap"}),
            "names no contract that could be refused",
        ),
        ("kucoinfutures", case("fetchTicker", "BTC/USDT:USDT"), "the exchange has no spot markets"),
    ],
)
def test_what_cannot_be_run_says_why(
    name: str, one: dict[str, Any], reason: str | None, tmp_path: Path
) -> None:
    found = calls.unable(only(folder(tmp_path, name, one)))
    assert found is None if reason is None else reason in str(found)


@pytest.mark.parametrize(
    ("one", "contract"),
    [
        (case("fetchTicker", "BTC/USDT"), False),
        (case("fetchTicker", "BTC/USDT:USDT"), True),
        (case("fetchTickers", ["ETH/USDT", "BTC/USDT:USDT"]), True),
        (case("fetchTickers", {"type": "swap"}), True),
        (case("fetchTickers", {"type": "spot"}), False),
        (case("fetchTickers", parsedResponse={"BTC/USDT:USDT": {}}), True),
        (case("fetchTickers", parsedResponse={"BTC/USDT:USDT": {}, "BTC/USDT": {}}), False),
    ],
)
def test_contracts_are_told_from_spot(one: dict[str, Any], contract: bool, tmp_path: Path) -> None:
    assert only(folder(tmp_path, "hitbtc", one)).contract is contract


@pytest.mark.parametrize("under", ["response", "ccxt-static/response"])
@pytest.mark.parametrize("body", [TICKER, json.dumps(TICKER)], ids=["object", "text"])
def test_a_pair_without_recorded_markets(under: str, body: Any, tmp_path: Path) -> None:
    one = {**case("fetchTicker", "ABC/XYZ"), "httpResponse": body}
    recordings = folder(tmp_path, "hitbtc", one, under=under)
    [market] = markets = listings.markets(recordings, only(recordings))
    assert (market["symbol"], market["id"], market["spot"]) == ("ABC/XYZ", "ABCXYZ", True)
    oracle = asyncio.run(playback.oracle(only(recordings), markets))
    assert (oracle.parsed["symbol"], oracle.parsed["last"]) == ("ABC/XYZ", 100.5)
    assert "100.5" in expected.digits_on_the_wire([body])


def test_a_native_id_is_what_the_answer_says(tmp_path: Path) -> None:
    one = {**case("fetchTicker", "ABC/XYZ"), "httpResponse": [{"market": "xyz-abc"}]}
    recordings = folder(tmp_path, "upbit", one)
    [market] = listings.markets(recordings, only(recordings))
    assert (market["id"], market["baseId"]) == ("xyz-abc", "abc")


def test_several_bodies_answer_one_request_each(tmp_path: Path) -> None:
    one = {"method": "fetchTicker", "input": ["ABC/XYZ"], "httpResponses": [TICKER, {}]}
    found = only(folder(tmp_path, "hitbtc", one))
    assert found.bodies == (TICKER, {})
    asked = playback.Playback(*found.bodies)
    assert [json.loads(asked(f"https://any/{number}")[0]) for number in (1, 2)] == [TICKER, {}]
    with pytest.raises(AssertionError, match="one request more than recorded"):
        asked("https://any/3")


def test_answers_with_their_urls_plain_or_packed(tmp_path: Path) -> None:
    told = {"exchange": "hitbtc", "cases": [{**case("fetchTicker", "ABC/XYZ"), "url": "/t?a=1"}]}
    (tmp_path / "rest").mkdir()
    (tmp_path / "rest/plain.json").write_text(json.dumps(told))
    first = only(Recordings(tmp_path))
    assert calls.recorded_query(first) == {"a": "1"}
    before = Recordings(tmp_path).digest
    (tmp_path / "rest/packed.json.gz").write_bytes(gzip.compress(json.dumps(told).encode()))
    assert len({one.name for one in Recordings(tmp_path).cases}) == 2
    assert Recordings(tmp_path).digest != before


def test_a_folder_of_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Recordings(tmp_path / "missing")
    with pytest.raises(FileNotFoundError):
        assert Recordings(tmp_path).cases


def test_bars_open_on_the_grid_that_they_stand_on() -> None:
    day = 86_400_000
    assert expected.openings([3 * day + 5], "1d", day, 5 * day) == [
        time * day + 5 for time in (1, 2, 3, 4)
    ]
    assert expected.openings([4 * day], "1w", 0, 20 * day) == [4 * day, 11 * day, 18 * day]
    assert expected.openings([31 * day], "1M", 0, 91 * day) == [0, 31 * day, 59 * day, 90 * day]
