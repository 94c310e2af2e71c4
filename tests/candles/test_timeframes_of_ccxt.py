"""For every timeframe that is offered, ccxt asks the exchange for candles of just that length.

Connectors are ccxt's own; their last step, the request itself, is read instead of made.
"""

from __future__ import annotations

import asyncio
import functools
import importlib
import json
import re
import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, TypeAlias
from urllib.parse import parse_qsl, urlsplit

import ccxt.async_support
import pytest
from inside.candles import HOUR, expected
from inside.exchanges import QUIRKS, quirk

import marketdata as md

PAIR, LIMIT = "BTC/USDT", 10
STARTS = (1_700_000_000_000, 1_735_600_000_000, 1_704_067_200_000)
"""In two years, since some exchanges are asked for the candles of a year. The last is a Monday and
the first of a month and of a year, at midnight."""

Length: TypeAlias = tuple[str, int]
"""A number of seconds, or of months."""

SECONDS = {"second": 1, "minute": 60, "hour": 3_600, "day": 86_400, "week": 7 * 86_400}
UNITS = {
    "s": "second",
    "m": "minute",
    "t": "minute",
    "h": "hour",
    "d": "day",
    "w": "week",
    "sec": "second",
    "min": "minute",
    "hr": "hour",
    "mon": "month",
    "y": "year",
    **{unit: unit for unit in (*SECONDS, "month", "year")},
    **{f"{unit}s": unit for unit in (*SECONDS, "month", "year")},
}
WORDS = {"one": 1, "two": 2, "five": 5, "six": 6, "fifteen": 15, "thirty": 30}


class Asked(Exception):  # noqa: N818
    """A request that was about to be made."""


def of_name(name: str) -> Length:
    """Return the length that a timeframe's name means."""
    count, unit = int(name[:-1]), name[-1]
    return _length(count, "month" if unit == "M" else UNITS[unit])


def of_text(text: str, unit_of_numbers: int) -> Length | None:
    """Return the requested length in a text; None if it has none."""
    text = text.removesuffix("utc")
    if text.isdigit():
        return ("seconds", int(text) * unit_of_numbers)
    found = re.fullmatch(r"(\d+)[ /]?([A-Za-z]+)", text)
    if found:
        # A capital M behind a number, or alone, is a month.
        unit = "month" if found[2] == "M" else UNITS.get(found[2].lower())
        return None if unit is None else _length(int(found[1]), unit)
    found = re.fullmatch(r"([A-Za-z]+)_?(\d+)", text)
    if found:
        # Before a number it is minutes.
        unit = UNITS.get(found[1].lower())
        return None if unit is None else _length(int(found[2]), unit)
    word, _, unit_word = text.lower().partition("_")
    if word in WORDS:
        return _length(WORDS[word], UNITS[unit_word])
    alone = "month" if text == "M" else UNITS.get(text.lower())
    return None if alone is None else _length(1, alone)


def _length(count: int, unit: str) -> Length:
    months = {"month": 1, "year": 12}.get(unit)
    return ("seconds", count * SECONDS[unit]) if months is None else ("months", count * months)


def texts(timeframe: str, requests: Mapping[str, tuple[dict[str, str], ...]]) -> set[str]:
    """Choose the parts of the requests for a timeframe that can contain its length.

    It is not in those for all timeframes, nor does it change with the start; a number and a unit
    in different places belong together.
    """
    early, later, *_ = requests[timeframe]
    said = {key: text for key, text in early.items() if later.get(key) == text}
    others = [other for parts in requests.values() for other in parts[: len(STARTS)]]
    said = {
        key: text
        for key, text in said.items()
        if not re.fullmatch(r"\d{12,}", text) and any(other.get(key) != text for other in others)
    }
    numbers = [text for text in said.values() if text.isdigit()]
    units = [text for text in said.values() if text.isalpha() and text.lower() in UNITS]
    if len(numbers) == 1 and len(units) == 1:
        return {f"{numbers[0]} {units[0]}"}
    return set(said.values())


def _parts(url: str, body: Any) -> dict[str, str]:
    """Return all parts of a request by position."""
    address = urlsplit(url)
    steps = enumerate(re.split("[/:]", address.path))
    parts = {f"path {at}": step for at, step in steps} | dict(parse_qsl(address.query))
    try:
        parts |= dict(_flat("", json.loads(body or "{}")))
    except ValueError:
        parts |= dict(parse_qsl(body))
    return parts


def _flat(name: str, value: Any) -> Iterable[tuple[str, str]]:
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from _flat(f"{name}.{key}", inner)
    else:
        yield name, str(value)


async def _requests(exchange: str, timeframes: Iterable[str]) -> dict[str, Any]:
    """Return the requests to an exchange by timeframe: two of them, or why there is none."""
    of_ccxt = importlib.import_module(f"ccxt.async_support.{exchange}")
    api = getattr(of_ccxt, exchange)({"timeout_on_exit": 0})

    async def fetch(url: str, method: str = "GET", headers: Any = None, body: Any = None) -> None:
        raise Asked(url, body)

    async def throttle(cost: Any = None) -> None:
        pass

    async def asked(timeframe: str, start: int, limit: int = LIMIT) -> dict[str, str]:
        special = quirk(exchange)
        params = {"until": start + LIMIT * 60_000} if special.bars_until else {}
        params |= {} if special.bars_from is None else {special.bars_from: start}
        try:
            await api.fetch_ohlcv(PAIR, timeframe, start, limit, params)
        except Asked as request:
            return _parts(*request.args)
        raise AssertionError("nothing was asked")

    base, quote = PAIR.split("/")
    market = api.safe_market_structure(
        {
            "id": "7",
            "lowercaseId": "7",
            "numericId": 7,
            "symbol": PAIR,
            "active": True,
            "base": base,
            "quote": quote,
            "baseId": base,
            "quoteId": quote,
            "type": "spot",
            "spot": True,
            "stock": False,
            "info": {"id": 7, "symbol": "7"},
            **dict.fromkeys(("swap", "future", "option", "margin", "contract"), False),
            "precision": {"price": 0.01, "amount": 0.0001},
        }
    )
    api.fetch, api.throttle = fetch, throttle
    found = dict[str, Any]()
    try:
        api.set_markets([market])
        for timeframe in timeframes:
            try:
                size = _page_size(api, timeframe)
                whole = await asked(timeframe, STARTS[-1], size)
                found[timeframe] = (*[await asked(timeframe, one) for one in STARTS], whole)
            except Exception as error:  # noqa: BLE001 - a timeframe that cannot be asked for
                found[timeframe] = error
    finally:
        await api.close()
    return found


def _page_size(api: Any, timeframe: str) -> int:
    known = quirk(api.id).bars_per_request.get(timeframe)
    size = (api.features.get("spot") or {}).get("fetchOHLCV") or {}
    return known or size.get("limit") or 100


@functools.cache
def _all_requests() -> dict[str, dict[str, Any]]:
    """Return the requests to each exchange, for the offered timeframes and the others."""

    async def work() -> dict[str, dict[str, Any]]:
        with md.Client(sim=False) as client:
            exchanges = await asyncio.to_thread(client.exchanges)
        assert len(exchanges) > 80
        return {
            one.id: await _requests(one.id, [*one.timeframes, *quirk(one.id).misnamed_timeframes])
            for one in exchanges
            if one.timeframes
        }

    return asyncio.run(work())


def _wrong(exchange: str, timeframe: str) -> object:
    """Return the requested length if it differs from the timeframe's own; else None."""
    requests = _all_requests()[exchange]
    if isinstance(requests[timeframe], Exception):
        return requests[timeframe]
    made = {name: pair for name, pair in requests.items() if isinstance(pair, tuple)}
    # Numbers without a unit are seconds where a minute is asked for as 60, else minutes.
    minute = made.get("1m", made.get("1h", ()))
    in_seconds = {"60", "3600"} & texts("1m" if "1m" in made else "1h", made) if minute else set()
    unit = 1 if in_seconds and ("1m" in made or "3600" in in_seconds) else 60
    lengths = {of_text(text, unit) for text in texts(timeframe, made)} - {None}
    return None if lengths == {of_name(timeframe)} else (lengths, texts(timeframe, made))


def test_ccxt_requests_the_timeframe(isolated: Any) -> None:
    wrong = {
        (exchange, timeframe): found
        for exchange, requests in _all_requests().items()
        for timeframe in requests
        if timeframe not in quirk(exchange).misnamed_timeframes
        and (found := _wrong(exchange, timeframe)) is not None
    }
    assert wrong == {}
    assert sum(map(len, _all_requests().values())) > 700


def _times(parts: Mapping[str, str]) -> set[int]:
    """List possible times in a request, in Unix milliseconds."""
    numbers = {int(text) for text in parts.values() if re.fullmatch(r"1[67]\d{8}(\d{3})?", text)}
    texts = {text for text in parts.values() if re.match(r"20\d\d-\d\d-\d\dT", text)}
    moments = {round(datetime.fromisoformat(text).timestamp() * 1000) for text in texts}
    return {number if number > 1 << 40 else number * 1000 for number in numbers} | moments


def test_no_candle_is_left_out_at_the_start_of_a_request(isolated: Any) -> None:
    """No request begins inside the first candle that is wanted, so that it would be left out."""
    start, late = STARTS[-1], dict[tuple[str, str], list[int]]()
    for exchange, requests in _all_requests().items():
        if quirk(exchange).bars_until:
            continue  # They are asked for by their end.
        for timeframe, made in requests.items():
            if isinstance(made, tuple):
                end = expected(timeframe).next(start)
                inside = [time for time in _times(made[2]) if start < time < end]
                late |= {(exchange, timeframe): inside} if inside else {}
    assert late == {}


def test_a_page_requests_as_many_candles_as_it_holds(isolated: Any) -> None:
    """Candles after a shorter range would seem to be missing."""
    start, now = STARTS[-1], round(time.time() * 1000)
    short = dict[tuple[str, str], list[int]]()
    for exchange, requests in _all_requests().items():
        special, api = quirk(exchange), getattr(ccxt.async_support, exchange)()
        for timeframe, made in requests.items():
            # Months are asked for as 30 days: see `Venue.candles_per_request`.
            is_asked = timeframe[-1] != "M" and timeframe not in special.misnamed_timeframes
            if isinstance(made, tuple) and is_asked and not special.bars_until:
                size, calendar = _page_size(api, timeframe), expected(timeframe)
                last = min(now - HOUR, calendar.shift(calendar.floor(start), size - 1))
                later = [at for at in _times(made[3]) if at > start]
                short |= {(exchange, timeframe): later} if later and max(later) < last else {}
    assert short == {}


def test_timeframes_with_times_changed_by_ccxt_are_not_offered(isolated: Any) -> None:
    api = ccxt.async_support.onetrading()
    monday = {"granularity": {"unit": "WEEKS", "period": "1"}, "time": "2024-01-01T00:00:00.000Z"}
    assert api.parse_ohlcv(monday)[0] < STARTS[-1]
    with md.Client(sim=False) as client:
        offered = {one.id: one for one in client.exchanges()}["onetrading"]
    assert not {"1w", "1M"} & set(offered.timeframes)
    assert {"1w", "1M"} <= set(offered.derived_timeframes)


@pytest.mark.parametrize("exchange", [name for name in QUIRKS if quirk(name).misnamed_timeframes])
def test_timeframes_that_ccxt_requests_wrongly_are_not_offered(
    isolated: Any, exchange: str
) -> None:
    """A line whose timeframe has its length by now is one too many."""
    for timeframe in quirk(exchange).misnamed_timeframes:
        assert _wrong(exchange, timeframe) is not None, timeframe
    with md.Client(sim=False) as client:
        offered = {one.id: one for one in client.exchanges()}[exchange]
    assert not set(offered.timeframes) & set(quirk(exchange).misnamed_timeframes)


def test_invalid_timeframes_are_not_offered(isolated: Any) -> None:
    with md.Client(sim=False) as client:
        offered = {one.id: one.timeframes for one in client.exchanges()}
    assert all(
        re.fullmatch(r"[1-9]\d{0,3}[smhdwMy]", name) for some in offered.values() for name in some
    )
    assert not {"15", "30"} & set(offered["backpack"])
    assert "1Y" not in offered["phemex"]


def test_months_of_28_days_are_resampled_from_days(isolated: Any) -> None:
    with md.Client(sim=False) as client:
        ndax = {one.id: one for one in client.exchanges()}["ndax"]
    assert "1M" not in ndax.timeframes
    assert "1M" in ndax.derived_timeframes
