"""Every recorded spot answer, through the public operations, as a whole record."""

import asyncio
from datetime import UTC, datetime
from decimal import ROUND_DOWN, Decimal
from email.utils import format_datetime
from typing import Any

import calls
import expected
import invariants
import listings
import playback
from calls import Call
from inside.exchanges import loader
from recorded import Case, Recordings

from marketdata.errors import (
    DataUnavailableError,
    InvalidParameterError,
    TimeframeNotSupportedError,
)
from marketdata.models import Record
from marketdata.pages import shifted

NOT_OFFERED = (DataUnavailableError, InvalidParameterError, TimeframeNotSupportedError)
"""What a call ends with that asks for what is not offered, or whose answer holds nothing."""


def test_spot_case(
    spot_case: Case,
    recordings: Recordings,
    counted: Any,
    not_run: Any,
    other_ccxt: Any,
    tmp_path: Any,
    monkeypatch: Any,
) -> None:
    case = spot_case
    markets = listings.markets(recordings, case)
    if not case.symbols:
        markets += asyncio.run(_recorded_lists(recordings, case, markets))
    known = case.of is not None
    try:
        oracle = asyncio.run(playback.oracle(case, markets))
    except Exception as error:
        if known:
            raise
        not_run(case.exchange, case.method, f"ccxt itself ends with {type(error).__name__}")
    if reason := _other_than_asked(case, oracle.parsed, recordings):
        not_run(case.exchange, case.method, reason)
    if oracle.signed or calls.OPERATIONS[case.method] == "fees":
        for name, value in playback.KEYS.items():
            variable = f"MARKETDATA_{case.exchange.upper()}_{playback.VARIABLES[name]}"
            monkeypatch.setenv(variable, value)

    counted(case.exchange, calls.OPERATIONS[case.method])
    for call in calls.calls(case):
        parsed = call.part(oracle.parsed)
        if call.operation == "fees" and "pair" not in call.arguments:
            call.arguments["pair"] = next(pair for pair in parsed if ":" not in pair)
        # Why candles of a range are missing is looked for in what was not recorded; there the
        # exchange says the same again.
        in_range = call.operation == "candles" and "start" in call.arguments
        if in_range:
            # The candle is requested, too, in whose place a range begins; it was not recorded.
            start, timeframe = call.arguments["start"], call.arguments["timeframe"]
            call.arguments["start"] = shifted(start - 1, timeframe, 1)
        asked_more = len(oracle.asked.urls) > len(call.bodies)
        before = datetime.now(UTC)
        # An exchange that tells no time is asked whether there are later candles.
        date = format_datetime(before, usegmt=True) if call.operation == "candles" else None
        by_us = playback.Playback(
            *call.bodies, further=call.bodies[0] if in_range or asked_more else None, date=date
        )
        try:
            records = asyncio.run(_ask(call, case, markets, by_us, tmp_path, monkeypatch))
        except NOT_OFFERED as error:
            if by_us.urls and _holds_nothing(call.operation, parsed):
                continue
            if by_us.urls or known:
                raise
            not_run(case.exchange, case.method, f"{error.code} before any request")
        after = datetime.now(UTC)
        if not (in_range and records[0].missing):
            assert len(by_us.urls) <= max(len(oracle.asked.urls), len(call.bodies))
            assert by_us.urls
        assert set(by_us.paths) <= set(oracle.asked.paths)

        sent = [expected.datetimes(record.to_dict()) for record in records]
        wire = expected.digits_on_the_wire(list(call.bodies))
        for record, one in zip(records, sent, strict=True):
            invariants.check(record, depth=call.arguments.get("depth"), wire=wire)
            assert before <= one["receivedAt"] <= after
            for number in expected.direct_numbers(call.operation, one):
                assert expected.digits(number) in wire
        wanted = _expected(call, case, oracle.parsed, markets, sent)
        if date is not None:
            assert sent[0]["timestamp"] == before.replace(microsecond=0)
        assert sent == wanted
        if case.parsed is not None:
            same = _same(call, case, markets, sent)
            assert same or not (known and case.of == loader.version())
            if not same:
                other_ccxt(case)


async def _recorded_lists(
    recordings: Recordings, case: Case, markets: list[dict[str, Any]]
) -> list[dict[str, Any]]:
    """Return what ccxt makes of the exchange's recorded lists of pairs, besides what is known."""
    known = {market["symbol"] for market in markets}
    found = {}
    for one in recordings.cases:
        if (one.exchange, one.method) == (case.exchange, "fetchMarkets") and one is not case:
            oracle = await playback.oracle(one, [])
            found.update({market["symbol"]: market for market in oracle.parsed})
    return [market for symbol, market in found.items() if symbol not in known]


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
    """Return what the records must be, with the moment of receipt that they tell."""
    received_at = sent[0]["receivedAt"] if sent else None
    about: dict[str, Any] = {"exchange": case.exchange, "received_at": received_at}
    arguments = dict(call.arguments)
    parsed = call.part(oracle)
    served = {one["symbol"] for one in markets if playback.is_served(one)}
    match call.operation:
        case "ticker":
            window = arguments.get("window", "24h")
            wanted = expected.ticker(parsed, window=window, **about)
            step = next(one for one in markets if one["symbol"] == wanted["pair"])["precision"]
            for name in call.rounded:
                wanted[name] = _rounded_down(wanted[name], step["price"])
            return [wanted]
        case "tickers" | "quotes":
            names = arguments.get("pairs") or sorted(served & parsed.keys())
            if call.operation == "tickers":
                return [expected.ticker(parsed[pair], window="24h", **about) for pair in names]
            return [expected.quote_of_ticker(parsed[pair], pair=pair, **about) for pair in names]
        case "orderbook":
            return [expected.orderbook(parsed, **arguments, **about)]
        case "candles":
            counts = expected.counts(case.exchange, case.body)
            candles = expected.candles(parsed, counts=counts, **arguments, **about)
            return [candles | {"timestamp": sent[0]["timestamp"]}]
        case "trades":
            return expected.trades(parsed, pair=arguments["pair"], **about)
        case "fees":
            return [expected.fees(parsed, pair=arguments["pair"], **about)]
        case "pairs":
            full = playback.completed(case.exchange, parsed)
            return expected.pairs(full, step=playback.step_of(case.exchange), **about)
    raise LookupError(call.operation)


def _same(call: Call, case: Case, markets: Any, sent: list[dict[str, Any]]) -> bool:
    """Return whether the recorded result makes the same records; another ccxt's may lack fields."""
    try:
        return sent == _expected(call, case, case.parsed, markets, sent)
    except LookupError:
        return False


def _holds_nothing(operation: str, parsed: Any) -> bool:
    """Return whether there is nothing in ccxt's own result that a record could be made of."""
    match operation:
        case "orderbook":
            return not parsed["bids"] and not parsed["asks"]
        case "ticker":
            return all(parsed.get(name) is None for name in ("last", "close", "bid", "ask"))
    return not parsed


def _other_than_asked(case: Case, parsed: Any, recordings: Recordings) -> str | None:
    """Return where ccxt's own result is not of the pairs that were asked for; None where it is."""
    match case.method:
        case "fetchTicker" if parsed and parsed["symbol"] not in case.symbols:
            if recordings.listed(case.exchange) is None:
                return "no markets are recorded, and the answer names the pair in its own way"
        case "fetchTickers" | "fetchBidsAsks" if parsed and all(":" in one for one in parsed):
            return "answers about contracts alone"
        case "fetchOHLCV" if not parsed:
            return "ccxt itself finds no bar of the time that it asks for"
    return None


def _rounded_down(number: float, step: float) -> float:
    return float(Decimal(repr(number)).quantize(Decimal(repr(step)), ROUND_DOWN))


def test_quote_of_a_recorded_book(
    book_case: Case, recordings: Recordings, counted: Any, tmp_path: Any, monkeypatch: Any
) -> None:
    case = book_case
    counted(case.exchange, "quote")
    pair = case.input[0]
    markets = listings.markets(recordings, case)
    oracle = asyncio.run(playback.oracle(case, markets))
    by_us = playback.Playback(case.body)
    call = Call("quote", {"pair": pair}, (case.body,))
    [quote] = asyncio.run(_ask(call, case, markets, by_us, tmp_path, monkeypatch))
    invariants.check(quote)
    sent = expected.datetimes(quote.to_dict())
    about: dict[str, Any] = {"exchange": case.exchange, "received_at": sent["receivedAt"]}
    assert sent == expected.quote(oracle.parsed, pair=pair, **about)
    assert by_us.paths == oracle.asked.paths


def test_every_recorded_case_is_run_or_explained(recordings: Recordings) -> None:
    names = [case.name for case in recordings.cases]
    assert len(set(names)) == len(names)
    for case in recordings.cases:
        # What is left is about one or the other: a test is made of it.
        if calls.unable(case) is None and case.method not in calls.STATUS:
            assert case.contract or calls.calls(case)
