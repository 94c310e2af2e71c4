"""Every recorded spot answer, through the public operations, as a whole record."""

import asyncio
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from typing import Any

import calls
import expected
import invariants
import playback
import pytest
from calls import Call
from recorded import Case, Recordings

from marketdata import _ccxt
from marketdata.models import Record

KEYS = {"apiKey": "key", "secret": "secret", "password": "password"}
"""Of nobody; ccxt refuses to sign without."""
VARIABLES = {"apiKey": "API_KEY", "secret": "SECRET", "password": "PASSWORD"}


def test_spot_case(
    spot_case: Case, recordings: Recordings, counted: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    case = spot_case
    if case.name in calls.INEXPRESSIBLE:
        pytest.skip(calls.INEXPRESSIBLE[case.name])
    counted(case.exchange, calls.operation(case))
    markets = recordings.markets(case.exchange, case.extra)
    by_ccxt = playback.Playback(case.body)
    keys = KEYS if case.signed else {}
    for name, value in keys.items():
        monkeypatch.setenv(f"MARKETDATA_{case.exchange.upper()}_{VARIABLES[name]}", value)
    plain = playback.plain_ccxt(
        case.exchange, by_ccxt, markets, case.method, case.input, case.options, keys
    )
    oracles = [asyncio.run(plain)]
    if case.parsed is not None and _ccxt.version() == recordings.ccxt:
        oracles.append(case.parsed)

    for call in calls.calls(case):
        # Why bars of a range are missing is looked for in what was not recorded; there the
        # exchange says the same again.
        in_range = call.operation == "candles" and "start" in call.arguments
        by_us = playback.Playback(*call.bodies, further=case.body if in_range else None)
        before = datetime.now(UTC)
        records = asyncio.run(_ask(call, case, markets, by_us, tmp_path, monkeypatch))
        after = datetime.now(UTC)
        if not (in_range and records[0].missing):
            assert len(by_us.urls) == len(call.bodies)
        assert not by_us.strays
        assert by_us.paths[: len(call.bodies)] == by_ccxt.paths

        sent = [expected.datetimes(record.to_dict()) for record in records]
        wire = expected.digits_on_the_wire(list(call.bodies))
        for record, one in zip(records, sent, strict=True):
            invariants.check(record, depth=call.arguments.get("depth"))
            assert before <= one["receivedAt"] <= after
            for number in expected.direct_numbers(call.operation, one):
                assert expected.digits(number) in wire
        for oracle in oracles:
            assert sent == _expected(call, case, oracle, markets, sent)


async def _ask(
    call: Call, case: Case, markets: Any, by_us: Any, home: Any, monkeypatch: Any
) -> list[Record]:
    known = None if call.operation == "pairs" else markets
    async with playback.client(
        home, case.exchange, by_us, known, monkeypatch=monkeypatch, **call.options
    ) as client:
        answer = await getattr(client, call.operation)(**call.arguments)
    return answer if isinstance(answer, list) else [answer]


def _expected(
    call: Call, case: Case, oracle: Any, markets: Any, sent: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Give what the records must be, with the moment of receipt that they tell."""
    about: dict[str, Any] = {"exchange": case.exchange, "received_at": sent[0]["receivedAt"]}
    arguments = dict(call.arguments)
    parsed = call.part(oracle)
    match call.operation:
        case "ticker":
            window = arguments.get("window", "24h")
            wanted = expected.ticker(parsed, window=window, **about)
            step = next(one for one in markets if one["symbol"] == wanted["pair"])["precision"]
            for name in call.rounded:
                wanted[name] = _rounded_down(wanted[name], step["price"])
            return [wanted]
        case "tickers":
            names = arguments.get("pairs") or sorted(parsed)
            return [expected.ticker(parsed[pair], window="24h", **about) for pair in names]
        case "orderbook":
            return [expected.orderbook(parsed, **arguments, **about)]
        case "candles":
            counts = expected.counts(case.exchange, case.body)
            return [expected.candles(parsed, counts=counts, **arguments, **about)]
        case "trades":
            return expected.trades(parsed, pair=arguments["pair"], **about)
        case "pairs":
            full = playback.completed(case.exchange, parsed)
            return expected.pairs(full, ticks=playback.steps(case.exchange), **about)
    raise LookupError(call.operation)


def _rounded_down(number: float, step: float) -> float:
    return float(Decimal(repr(number)).quantize(Decimal(repr(step)), ROUND_DOWN))


def test_quote_of_a_recorded_book(
    book_case: Case, recordings: Recordings, counted: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    case = book_case
    counted(case.exchange, "quote")
    pair = case.input[0]
    markets = recordings.markets(case.exchange, case.extra)
    plain = playback.plain_ccxt(
        case.exchange, playback.Playback(case.body), markets, case.method, case.input
    )
    by_us = playback.Playback(case.body)
    call = Call("quote", {"pair": pair}, (case.body,))
    [quote] = asyncio.run(_ask(call, case, markets, by_us, tmp_path, monkeypatch))
    invariants.check(quote)
    sent = expected.datetimes(quote.to_dict())
    about: dict[str, Any] = {"exchange": case.exchange, "received_at": sent["receivedAt"]}
    assert sent == expected.quote(asyncio.run(plain), pair=pair, **about)
    assert len(by_us.urls) == 1
    assert not by_us.strays


def test_every_recorded_case_is_run_or_explained(recordings: Recordings) -> None:
    spot = {case.name: case for case in recordings.cases if not case.contract}
    assert set(calls.INEXPRESSIBLE) <= set(spot)
    for name, case in spot.items():
        assert name in calls.INEXPRESSIBLE or calls.calls(case)
    listed = {path.stem for path in (recordings.folder / "ccxt-static/markets").glob("*.json")}
    assert set(recordings.exchanges) == listed
