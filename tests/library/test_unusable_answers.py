"""Responses of any shape become a record or one of our errors, without any of their text."""

from __future__ import annotations

import copy
import json
import logging
import pickle
import random
import traceback
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import pytest

import marketdata as md
from marketdata.models import Record
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Answer, Gateway
from .markets import DIALECTS

CANARY = "Xq7-secret-of-the-exchange"

QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("ticker", {"pair": "BTC/USDT"}),
    ("ticker", {"pair": "BTC/USDT", "window": "4h"}),
    ("tickers", {"pairs": ["BTC/USDT", "ETH/USDT"]}),
    ("tickers", {}),
    ("quote", {"pair": "BTC/USDT"}),
    ("orderbook", {"pair": "BTC/USDT", "depth": 3}),
    ("candles", {"pair": "BTC/USDT", "limit": 5}),
    ("trades", {"pair": "BTC/USDT", "limit": 5}),
    ("trades", {"pair": "BTC/USDT", "limit": 5, "from_id": 5}),
]
MORE: list[tuple[str, dict[str, Any]]] = [
    ("ticker", {"pair": "BTC/USDT", "window": "day"}),
    ("quotes", {"pairs": ["BTC/USDT", "ETH/USDT"]}),
    ("candles", {"pair": "BTC/USDT", "start": "2024-05-01T08:00Z"}),
    ("trades", {"pair": "BTC/USDT", "limit": 5, "start": "2024-05-01T08:00Z"}),
    ("status", {}),
]


def told(error: BaseException) -> str:
    """All that a program or a person can see of an error."""
    parts = [str(error), repr(error), *traceback.format_exception(error)]
    if isinstance(error, md.MarketDataError):
        parts += [json.dumps(error.to_dict()), repr(error.details), error.message]
        # A cluster sends an error's context along, with its text and its traceback.
        assert error.__context__ is None
        copied = pickle.loads(pickle.dumps(error))
        parts += [repr(copied), repr(vars(copied))]
    return "\n".join(parts)


@pytest.fixture
def known(gateway: Gateway, connect: Factory, request: pytest.FixtureRequest) -> md.Client:
    """A client that has the list of pairs; later requests go through ``gateway``."""
    client = connect(gateway, timeout=20)
    parameters = request.node.callspec.params if hasattr(request.node, "callspec") else {}
    client.pairs(exchange=parameters.get("exchange"))
    return client


BODIES = [
    "null",
    "{}",
    "5",
    "true",
    '""',
    f'"{CANARY}"',
    "[null]",
    "[[]]",
    '[{"a": 1}]',
    '{"a": 1}',
    '{"error": [], "result": {}}',
    '{"error": [], "result": null}',
    '{"code": "0"}',
    '{"code": "0", "data": null}',
    '{"code": "0", "data": {}}',
    "[" * 50_000,
    "\x00\xff",
    "NaN",
    "",
    f"<html>{CANARY}</html>",
    f'{{"error": ["{CANARY}"], "msg": "{CANARY}", "code": "{CANARY}", "message": "{CANARY}"}}',
]


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_response_of_another_shape_is_an_error_with_a_code(
    gateway: Gateway, known: md.Client, exchange: str
) -> None:
    for body in BODIES:
        gateway.answer("*", body)
        for operation, given in QUESTIONS:
            with pytest.raises(md.MarketDataError) as caught:
                getattr(known, operation)(exchange=exchange, **given)
            assert caught.value.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE"), body
            assert caught.value.details["exchange"] == exchange
            assert CANARY not in told(caught.value)
        status = known.status(exchange=exchange)
        assert status.reachable is False, body
        assert status.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE")


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("body", ["null", "[]", "{}", "[[]]", '{"a": 1}', "5", "<html>"])
def test_a_list_of_pairs_of_another_shape_is_not_stored(
    gateway: Gateway, connect: Factory, exchange: str, body: str
) -> None:
    client = connect(gateway, exchange)
    gateway.answer("*", body)
    with pytest.raises(md.MarketDataError) as caught:
        client.pairs()
    assert caught.value.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE")

    gateway.change("*", lambda answer: answer)
    assert "BTC/USDT" in {pair.pair for pair in client.pairs()}


@pytest.mark.parametrize(
    ("exchange", "body"),
    [("binance", []), ("coinbaseexchange", []), ("okx", {"code": "0", "data": []})],
)
def test_a_response_with_an_empty_list_has_no_candles_or_trades(
    gateway: Gateway, known: md.Client, exchange: str, body: Any
) -> None:
    gateway.answer("*", body)
    candles = known.candles("BTC/USDT", "1h", limit=5, exchange=exchange)

    # The five before the open one, which nobody can miss yet.
    assert (len(candles), sum(hole.bars for hole in candles.missing)) == (0, 5)
    assert candles.missing[-1].end <= candles.timestamp
    assert known.trades("BTC/USDT", exchange=exchange) == []


@pytest.mark.parametrize("exchange", DIALECTS)
def test_the_exchanges_text_is_never_shown(
    gateway: Gateway, known: md.Client, exchange: str, caplog: pytest.LogCaptureFixture, capfd: Any
) -> None:
    caplog.set_level(logging.INFO)
    said = {
        "code": CANARY,
        "msg": CANARY,
        "message": CANARY,
        "error": [f"EGeneral:{CANARY}"],
        "data": [{"sCode": CANARY, "sMsg": CANARY}],
    }
    page = f"<html><body>{CANARY}: 10.1.2.3 apiKey={CANARY}</body></html>"
    for status in (200, 400, 401, 403, 404, 429, 451, 500):
        for body in (said, page):
            gateway.answer("*", body, status=status, headers={"X-Secret": CANARY})
            for operation, given in (QUESTIONS[0], QUESTIONS[5], QUESTIONS[6]):
                with pytest.raises(md.MarketDataError) as caught:
                    getattr(known, operation)(exchange=exchange, **given)
                assert CANARY not in told(caught.value), status
            assert CANARY not in known.status(exchange=exchange).to_json()
    assert CANARY not in caplog.text
    assert CANARY not in "".join(capfd.readouterr())


def test_failures_of_several_exchanges_show_no_text_either(
    gateway: Gateway, connect: Factory
) -> None:
    gateway.answer("*", {"msg": CANARY, "error": [CANARY]}, status=500)
    client = connect(gateway, DIALECTS)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        client.ticker("BTC/USDT")

    assert set(caught.value.details["exchanges"]) == set(DIALECTS)
    assert CANARY not in told(caught.value)


WEIRD: list[Any] = [
    None,
    [],
    {},
    "",
    CANARY,
    0,
    -1,
    1e308,
    10**30,
    float("nan"),
    float("inf"),
    True,
    "NaN",
    "Infinity",
    "-1",
    "1e400",
    [1],
    [None],
    [[]],
    {"a": 1},
    "\ud800",
]


@cache
def checker(kind: type[Record]) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(kind.json_schema())


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value)
    if isinstance(value, dict | list):
        for key, inner in list(items)[:12]:
            yield from places(inner, (*path, key))


def changed(value: Any, path: tuple[Any, ...], to: Any) -> Any:
    if not path:
        return to
    value = copy.deepcopy(value)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = to
    return value


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("seed", range(2))
def test_one_odd_value_anywhere_in_a_response(
    gateway: Gateway, known: md.Client, exchange: str, seed: int
) -> None:
    dice = random.Random(f"{exchange} {seed}")

    def spoil(answer: Answer) -> Answer:
        sent = answer.json
        place, value = dice.choice(list(places(sent))), dice.choice(WEIRD)
        done.append((place, value))
        answer.body = json.dumps(changed(sent, place, value)).encode()
        return answer

    gateway.change("*", spoil)
    for operation, given in [*QUESTIONS, *MORE] * 2:
        done: list[Any] = []
        try:
            answer = getattr(known, operation)(exchange=exchange, **given)
        except md.MarketDataError as error:
            answer = []
            codes = ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE", "PAIR_NOT_SUPPORTED")
            sound = error.code in codes and CANARY not in told(error)
            assert sound, (operation, done, error)  # noqa: PT017 - which value did it
        for record in answer if isinstance(answer, list) else [answer]:
            sent = record.to_dict()
            json.dumps(sent, allow_nan=False)
            checker(type(record)).validate(sent)
            assert type(record).model_validate_json(record.to_json()) == record, done


@pytest.mark.parametrize("exchange", DIALECTS)
def test_one_odd_value_in_a_list_of_pairs(
    gateway: Gateway, connect: Factory, exchange: str, tmp_path: Any
) -> None:
    dice = random.Random(exchange)

    def spoil(answer: Answer) -> Answer:
        sent = answer.json
        place, value = dice.choice(list(places(sent))), dice.choice(WEIRD)
        answer.body = json.dumps(changed(sent, place, value)).encode()
        return answer

    gateway.change("*", spoil)
    for index in range(8):
        client = connect(gateway, exchange, home=tmp_path / str(index))
        try:
            pairs = client.pairs()
        except md.MarketDataError as error:
            pairs = []
            assert error.code in ("DATA_UNAVAILABLE", "EXCHANGE_UNAVAILABLE")  # noqa: PT017
        for pair in pairs:
            json.dumps(pair.to_dict(), allow_nan=False)


def test_an_invalid_number_is_left_out_and_the_others_are_kept(
    gateway: Gateway, known: md.Client
) -> None:
    gateway.edit("*/24hr", lambda sent: sent.update(weightedAvgPrice="NaN", volume="Infinity"))
    ticker = known.ticker("BTC/USDT")

    assert (ticker.vwap, ticker.base_volume) == (None, None)
    assert ticker.last is not None
    assert {"vwap", "baseVolume"} & set(ticker.to_dict()) == set()


def test_a_response_without_one_field_keeps_the_others(gateway: Gateway, known: md.Client) -> None:
    gateway.edit("*/24hr", lambda sent: [sent.pop("highPrice"), sent][1])
    ticker = known.ticker("BTC/USDT")

    assert ticker.high is None
    assert "high" not in ticker.to_dict()
    assert ticker.low is not None


def test_an_unsorted_book_is_sorted(gateway: Gateway, known: md.Client) -> None:
    gateway.edit("*/depth", lambda sent: {**sent, "bids": sent["bids"][::-1]})
    bids = [price for price, _ in known.orderbook("BTC/USDT", 20).bids]
    assert bids == sorted(bids, reverse=True)


def test_repeated_and_unsorted_candles_are_returned_once_and_in_order(
    gateway: Gateway, known: md.Client, sim: SimulatedExchange
) -> None:
    right = known.candles("BTC/USDT", "1m", limit=20)
    gateway.edit("*/klines", lambda sent: [*sent[10:], *sent[:12], sent[0]])

    assert known.candles("BTC/USDT", "1m", limit=20).columns == right.columns
    start = right[0].open_time
    assert known.candles("BTC/USDT", "1m", start=start).columns == right.columns
