"""Which exchange is used if none is named, and which errors try the next one."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

import marketdata as md
from marketdata._requests.avoided import LONGEST, Avoided
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .gateway import Answer, Gateway
from .markets import DIALECTS, minutes, record


def asked(sim: SimulatedExchange) -> list[str]:
    """The requested exchanges, each once, in order."""
    return list(dict.fromkeys(request.exchange for request in sim.requests))


@pytest.mark.parametrize("first", DIALECTS)
def test_the_first_default_is_used(sim: SimulatedExchange, connect: Factory, first: str) -> None:
    client = connect(sim, [first, *DIALECTS])

    assert client.ticker("BTC/USDT").exchange == first
    assert asked(sim) == [first]


def test_defaults_can_be_a_text_with_commas(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, " OKX , kraken,,")

    assert client.settings.exchange == ("okx", "kraken")
    assert client.ticker("BTC/USDT").exchange == "okx"


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 503},
        {"status": 451},
        {"status": 403},
        {"status": 429, "retry_after": 60},
        {"drop": "request"},
        {"hang": True},
    ],
    ids=str,
)
def test_an_unreachable_default_is_skipped(
    sim: SimulatedExchange, connect: Factory, fault: dict[str, Any]
) -> None:
    sim.faults.add(exchange="binance", **fault)
    client = connect(sim, ["binance", "kraken"], timeout=0.8 if "hang" in fault else 20)

    assert client.ticker("BTC/USDT").exchange == "kraken"
    assert asked(sim) == ["binance", "kraken"]


def test_every_operation_tries_the_next_default(sim: SimulatedExchange, connect: Factory) -> None:
    sim.faults.add(exchange="binance", status=451)
    for operation, given in [
        ("pairs", {}),
        ("tickers", {"pairs": ["BTC/USDT"]}),
        ("quote", {"pair": "BTC/USDT"}),
        ("quotes", {"pairs": ["BTC/USDT"]}),
        ("orderbook", {"pair": "BTC/USDT"}),
        ("candles", {"pair": "BTC/USDT", "limit": 1}),
        ("trades", {"pair": "BTC/USDT", "limit": 1}),
    ]:
        answer = getattr(connect(sim, ["binance", "okx"]), operation)(**given)
        record = answer[0] if isinstance(answer, list) else answer
        assert record.exchange == "okx", operation


@pytest.mark.parametrize(
    ("first", "operation", "given", "error"),
    [
        ("coinbaseexchange", "ticker", {"pair": "NOPE/USDT"}, md.PairNotSupportedError),
        (
            "coinbaseexchange",
            "candles",
            {"pair": "BTC/USDT", "timeframe": "30s"},
            md.TimeframeNotSupportedError,
        ),
        (
            "coinbaseexchange",
            "candles",
            {"pair": "BTC/USDT", "start": "2024-01-02", "end": "2024-01-01"},
            md.InvalidParameterError,
        ),
        # Refused before its list of pairs is requested.
        ("kraken", "trades", {"pair": "BTC/USDT", "from_id": 5}, md.DataUnavailableError),
    ],
)
def test_other_errors_do_not_try_the_next_default(
    sim: SimulatedExchange,
    connect: Factory,
    first: str,
    operation: str,
    given: Any,
    error: type[Exception],
) -> None:
    client = connect(sim, [first, "binance"])
    with pytest.raises(error):
        getattr(client, operation)(**given)

    assert asked(sim) == ([] if operation == "trades" else [first])


@pytest.mark.parametrize("body", [b"<html>Sorry</html>", b"", b"{}", b"[]", b"null"])
def test_an_unusable_response_tries_the_next_default(
    sim: SimulatedExchange, gateway: Gateway, connect: Factory, body: bytes
) -> None:
    """A page of a proxy with status 200 says as little as a refused connection."""
    gateway.change("*/24hr", lambda sent: Answer(body, 200, sent.headers, "text/html"))
    client = connect(gateway, ["binance", "kraken"])

    assert client.ticker("BTC/USDT").exchange == "kraken"
    assert asked(sim) == ["binance", "kraken"]
    sim.forget()
    assert client.ticker("BTC/USDT").exchange == "kraken"
    assert asked(sim) == ["kraken"]
    with pytest.raises(md.DataUnavailableError):
        client.ticker("BTC/USDT", exchange="binance")


def test_a_failed_exchange_is_tried_last_but_not_skipped(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, ["binance", "kraken"])
    sim.faults.add(exchange="binance", status=503)
    client.ticker("BTC/USDT")
    sim.faults.clear()
    sim.faults.add(exchange="kraken", status=451)
    sim.forget()

    assert client.ticker("BTC/USDT").exchange == "binance"
    assert asked(sim) == ["kraken", "binance"]
    # It has answered: it is no longer the one that failed.
    sim.faults.clear()
    sim.forget()
    assert client.ticker("BTC/USDT").exchange == "binance"
    assert asked(sim) == ["binance"]


def test_processes_share_what_they_know_about_failures(
    sim: SimulatedExchange, connect: Factory, python: Run, isolated: Path
) -> None:
    client = connect(sim, ["binance", "kraken"])
    sim.faults.add(exchange="binance", status=503)
    client.ticker("BTC/USDT")
    sim.forget()

    program = "import marketdata as md; print(md.ticker('BTC/USDT').exchange)"
    given = {"MARKETDATA_EXCHANGE": "binance,kraken", "MARKETDATA_HOME": str(isolated)}
    assert python(program, **given).strip() == "kraken"
    assert asked(sim) == ["kraken"]
    # An exchange at another address is another one.
    assert not Avoided(isolated / "failing").is_avoided("binance")


def test_a_failure_is_forgotten_in_time_even_with_a_wrong_clock(
    tmp_path: Path,
) -> None:
    for folder in (tmp_path / "made", None):
        known = Avoided(folder)
        assert not known.is_avoided("kraken")
        known.note("kraken", 30)
        assert known.is_avoided("kraken")
        assert not known.is_avoided("okx")
        known.note("kraken", -1)
        assert not known.is_avoided("kraken")
        known.note("kraken", 30)
        known.forget("kraken")
        assert not known.is_avoided("kraken")
    known = Avoided(tmp_path / "made")
    known.note("kraken", 30)
    [file] = (tmp_path / "made").iterdir()
    os.utime(file, (time.time() + 2 * LONGEST,) * 2)
    assert not known.is_avoided("kraken")
    (tmp_path / "file").touch()
    useless = Avoided(tmp_path / "file")
    useless.note("kraken", 30)
    assert useless.is_avoided("kraken"), "this process still knows"


@pytest.mark.parametrize("status", [451, 503])
def test_a_named_exchange_is_never_replaced(
    sim: SimulatedExchange, connect: Factory, status: int
) -> None:
    sim.faults.add(exchange="binance", status=status)
    with pytest.raises(md.ExchangeUnavailableError):
        connect(sim, ["binance", "kraken"]).ticker("BTC/USDT", exchange="binance")

    assert asked(sim) == ["binance"]


def test_a_failed_exchange_is_tried_last_for_a_while(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, ["binance", "kraken", "okx"])
    sim.faults.add(exchange="binance", status=503)
    client.ticker("BTC/USDT")
    sim.forget()

    assert client.ticker("ETH/USDT").exchange == "kraken"
    assert asked(sim) == ["kraken"]


def test_a_failed_exchange_can_still_be_named(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, ["binance", "kraken"])
    sim.faults.add(exchange="binance", status=503)
    client.ticker("BTC/USDT")
    sim.faults.clear()

    assert client.ticker("BTC/USDT", exchange="binance").exchange == "binance"


def test_after_its_pause_an_exchange_is_tried_again(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, ["binance", "kraken"])
    sim.faults.add(exchange="binance", status=429, retry_after=0, times=1)

    assert client.ticker("BTC/USDT").exchange == "kraken"
    assert client.ticker("BTC/USDT").exchange == "binance"


def test_if_all_have_failed_all_are_tried(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, ["binance", "kraken"])
    sim.faults.add(status=503)
    with pytest.raises(md.ExchangeUnavailableError):
        client.ticker("BTC/USDT")
    sim.faults.clear()
    sim.forget()

    assert client.ticker("BTC/USDT").exchange == "binance"


def test_if_none_can_be_reached_the_error_lists_each(
    sim: SimulatedExchange, connect: Factory
) -> None:
    sim.faults.add(exchange="binance", status=451)
    sim.faults.add(exchange="kraken", status=429, retry_after=90)
    sim.faults.add(exchange="okx", status=503)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        connect(sim, ["binance", "kraken", "okx"]).ticker("BTC/USDT")

    exchanges = caught.value.details["exchanges"]
    assert list(exchanges) == ["binance", "kraken", "okx"]
    assert [one["retryable"] for one in exchanges.values()] == [False, True, True]
    assert exchanges["kraken"]["retryAfter"] == 90.0
    assert exchanges["binance"]["details"]["httpStatus"] == 451
    assert {one["code"] for one in exchanges.values()} == {"EXCHANGE_UNAVAILABLE"}
    assert caught.value.retryable is True
    for name in exchanges:
        assert name in str(caught.value)


def test_if_all_refuse_permanently_the_error_is_not_retryable(
    sim: SimulatedExchange, connect: Factory
) -> None:
    sim.faults.add(status=451)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        connect(sim, ["binance", "kraken"]).ticker("BTC/USDT")

    assert caught.value.retryable is False


def test_with_one_default_its_own_error_is_raised(sim: SimulatedExchange, connect: Factory) -> None:
    sim.faults.add(exchange="kraken", status=503)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        connect(sim, ["kraken"]).ticker("BTC/USDT")

    assert caught.value.details["exchange"] == "kraken"
    assert "exchanges" not in caught.value.details


def test_hanging_exchanges_leave_time_for_the_others(
    sim: SimulatedExchange, connect: Factory
) -> None:
    for exchange in ("binance", "kraken", "okx"):
        sim.faults.add(exchange=exchange, hang=True)
    client = connect(sim, (*DIALECTS[:2], "okx", "coinbaseexchange"), timeout=1.2)

    assert client.ticker("BTC/USDT").exchange == "coinbaseexchange"


@pytest.mark.parametrize("name", ["binanec", "binanceusdm"])
def test_a_default_without_spot_markets_is_an_error_and_not_skipped(
    sim: SimulatedExchange, connect: Factory, name: str
) -> None:
    with pytest.raises(md.ExchangeNotSupportedError):
        connect(sim, [name, "kraken"]).ticker("BTC/USDT")
    assert sim.requests == []


def test_a_pair_is_searched_on_the_exchange_that_responds(tmp_path: Any, connect: Factory) -> None:
    # Only kraken lists it, and it is not the first default: no other exchange is searched.
    tapes = [
        record(tmp_path, minutes("2024-01-01", "2024-01-01T01:00"), f"{name}-1m.csv")
        for name in ("binance_BTC_USDT", "kraken_AAA_USDT")
    ]
    with SimulatedExchange(tape=tapes) as sim:
        client = connect(sim, ["binance", "kraken"])
        with pytest.raises(md.PairNotSupportedError) as caught:
            client.ticker("AAA/USDT")
        assert caught.value.details["exchange"] == "binance"
        assert client.ticker("AAA/USDT", exchange="kraken").exchange == "kraken"


def test_many_concurrent_callers_share_one_list_and_one_request(
    sim: SimulatedExchange,
) -> None:
    async def main() -> set[str]:
        async with md.AsyncClient("binance", endpoints=dict.fromkeys(DIALECTS, sim.url)) as client:
            tickers = await asyncio.gather(*[client.ticker("BTC/USDT") for _ in range(20)])
        return {ticker.exchange for ticker in tickers}

    assert asyncio.run(main()) == {"binance"}
    paths = [request.path.rpartition("/")[2] for request in sim.requests]
    assert (paths.count("exchangeInfo"), paths.count("24hr")) == (1, 1)
