"""Errors for refusals and failures of an exchange, and the number and time of retries."""

from __future__ import annotations

from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS

TICKER = {
    "binance": "*/ticker/24hr",
    "kraken": "*/Ticker",
    "coinbaseexchange": "/products/*/ticker",
    "okx": "*/market/ticker",
}


def fail(sim: SimulatedExchange, connect: Factory, exchange: str, **settings: Any) -> Any:
    """Ask for a ticker, of an exchange whose pairs are known, and give its error."""
    client = connect(sim, exchange, **settings)
    client.pairs()
    sim.forget()
    with pytest.raises(md.MarketDataError) as caught:
        client.ticker("BTC/USDT")
    assert caught.value.details["exchange"] == exchange
    assert str(caught.value).startswith(exchange)
    return caught.value


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("status", [500, 502, 503, 504, 520, 525])
def test_a_failing_exchange_is_unavailable_and_retried(
    sim: SimulatedExchange, connect: Factory, exchange: str, status: int
) -> None:
    sim.faults.add(exchange=exchange, path=TICKER[exchange], status=status, retry_after=0)
    error = fail(sim, connect, exchange, retries=2)

    assert (error.code, error.retryable) == ("EXCHANGE_UNAVAILABLE", True)
    # ccxt has a class of its own for some statuses of some exchanges.
    reason = error.details.pop("reason")
    assert reason in ("server_error", "timed_out", "maintenance", "failing")
    assert error.details == {"exchange": exchange, "httpStatus": status, "attempts": 3}
    assert len(sim.requests) == 3


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("status", [429, 418])
def test_a_pause_requested_by_an_exchange_is_respected(
    sim: SimulatedExchange, connect: Factory, exchange: str, status: int
) -> None:
    # The pause is longer than the call may take, so that there is no point in waiting for it.
    sim.faults.add(exchange=exchange, path=TICKER[exchange], status=status, retry_after=3600)
    error = fail(sim, connect, exchange, retries=5)

    assert (error.code, error.retryable) == ("EXCHANGE_UNAVAILABLE", True)
    assert error.retry_after == 3600.0
    assert error.to_dict()["retryAfter"] == 3600.0
    assert error.details["attempts"] == len(sim.requests) == 1
    assert "fewer requests" in str(error)


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("status", [429, 418])
def test_after_the_pause_the_call_succeeds(
    sim: SimulatedExchange, connect: Factory, exchange: str, status: int
) -> None:
    client = connect(sim, exchange, retries=2)
    client.pairs()
    path = TICKER[exchange]
    sim.faults.add(exchange=exchange, path=path, status=status, retry_after=0, times=2)
    sim.forget()

    assert client.ticker("BTC/USDT").last is not None
    assert [request.status for request in sim.requests] == [status, status, 200]


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("²", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 99 Oct 9999 07:28:00 GMT", None),
    ],
)
def test_retry_after_in_all_its_forms(
    gateway: Gateway, connect: Factory, header: str, seconds: float | None
) -> None:
    client = connect(gateway)
    client.pairs()
    gateway.answer("*/24hr", {"code": -1003}, status=429, headers={"Retry-After": header})
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        client.ticker("BTC/USDT")

    assert caught.value.retry_after == seconds


def test_retry_after_can_be_a_date(gateway: Gateway, connect: Factory) -> None:
    client = connect(gateway)
    client.pairs()
    far = {"Retry-After": "Fri, 31 Dec 2199 23:59:59 GMT"}
    gateway.answer("*/24hr", {"code": -1003}, status=429, headers=far)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        client.ticker("BTC/USDT")

    assert caught.value.retry_after is not None
    assert caught.value.retry_after > 365 * 86_400


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("status", [451, 403])
def test_an_exchange_that_refuses_the_location_is_not_retried(
    sim: SimulatedExchange, connect: Factory, exchange: str, status: int
) -> None:
    sim.faults.add(exchange=exchange, path=TICKER[exchange], status=status)
    error = fail(sim, connect, exchange, retries=5)

    assert (error.code, error.retryable) == ("EXCHANGE_UNAVAILABLE", False)
    assert error.retry_after is None
    assert error.details == {
        "exchange": exchange,
        "httpStatus": status,
        "reason": "location_refused",
        "attempts": 1,
    }
    assert len(sim.requests) == 1
    assert "refuses requests from this location" in str(error)
    assert "another exchange" in str(error)
    assert "MARKETDATA_ENDPOINTS" in str(error)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_refusal_with_an_html_page_is_recognized(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    sim.faults.add(exchange=exchange, path=TICKER[exchange], status=403, body="html")
    assert fail(sim, connect, exchange).retryable is False
    sim.faults.clear()
    sim.faults.add(exchange=exchange, path=TICKER[exchange], status=502, body="html")
    assert fail(sim, connect, exchange).code == "EXCHANGE_UNAVAILABLE"


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("body", ["truncated", "malformed", "html", "empty"])
def test_an_unusable_response_is_requested_again(
    sim: SimulatedExchange, connect: Factory, exchange: str, body: str
) -> None:
    sim.faults.add(exchange=exchange, path=TICKER[exchange], body=body, retry_after=0)
    error = fail(sim, connect, exchange, retries=1)

    assert (error.code, error.retryable) == ("DATA_UNAVAILABLE", True)
    assert error.details == {"exchange": exchange, "httpStatus": 200, "attempts": 2}
    assert len(sim.requests) == 2


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("drop", ["request", "body"])
def test_a_dropped_connection_is_retried(
    sim: SimulatedExchange, connect: Factory, exchange: str, drop: str
) -> None:
    client = connect(sim, exchange, retries=1)
    client.pairs()
    # Twice, because aiohttp itself tries again once where the server closed an idle connection.
    times = 2 if drop == "request" else 1
    sim.faults.add(exchange=exchange, path=TICKER[exchange], drop=drop, times=times)

    assert client.ticker("BTC/USDT").last is not None


@pytest.mark.parametrize("drop", ["request", "body"])
def test_connections_that_always_drop_are_an_unavailable_exchange(
    sim: SimulatedExchange, connect: Factory, drop: str
) -> None:
    sim.faults.add(exchange="kraken", path=TICKER["kraken"], drop=drop)
    error = fail(sim, connect, "kraken", retries=0)

    assert (error.code, error.retryable) == ("EXCHANGE_UNAVAILABLE", True)
    assert error.details == {
        "exchange": "kraken",
        "reason": "connection_lost",
        "attempts": 1,
    }


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_hanging_exchange_times_out(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    sim.faults.add(exchange=exchange, path=TICKER[exchange], hang=True)
    client = connect(sim, exchange, timeout=30)
    client.pairs()
    hurried = connect(sim, exchange, timeout=0.2, retries=9)
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        hurried.ticker("BTC/USDT")

    assert caught.value.retryable is True
    assert "did not respond" in str(caught.value)


def test_an_endpoint_without_a_server_is_unavailable(connect: Factory) -> None:
    with SimulatedExchange() as sim:
        client = connect(sim)
        client.pairs()
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        client.ticker("BTC/USDT")

    assert caught.value.retryable is True
    assert "httpStatus" not in caught.value.details


def test_a_missing_host_is_unavailable(connect: Factory, sim: Any) -> None:
    client = connect(sim, endpoints={"binance": "http://does-not-exist.invalid"})
    with pytest.raises(md.ExchangeUnavailableError):
        client.ticker("BTC/USDT")


def test_no_retries_means_one_request(sim: SimulatedExchange, connect: Factory) -> None:
    sim.faults.add(exchange="binance", path=TICKER["binance"], status=503, retry_after=0)
    error = fail(sim, connect, "binance", retries=0)

    assert error.details["attempts"] == len(sim.requests) == 1


def test_permanent_errors_are_not_retried(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim, "okx", retries=5)
    client.pairs()
    sim.faults.add(exchange="okx", path="*", status=400, body="empty")
    for call in (lambda: client.ticker("NOPE/USDT"), lambda: client.candles("BTC/USDT", "30s")):
        sim.forget()
        with pytest.raises(md.InvalidRequestError):
            call()
        assert len(sim.requests) == 0


def test_only_the_failed_page_of_candles_is_retried(
    sim: SimulatedExchange, connect: Factory
) -> None:
    client = connect(sim, "okx", retries=1)
    client.pairs()
    sim.forget()
    sim.faults.add(exchange="okx", path="*candles", status=503, retry_after=0, after=1, times=1)
    candles = client.candles("BTC/USDT", "1h", limit=700)

    assert len(candles) == 700
    assert candles.missing == ()
    assert [request.status for request in sim.requests] == [200, 503, 200, 200]


def test_a_pair_suspended_after_the_list_was_received(gateway: Gateway, connect: Factory) -> None:
    client = connect(gateway, retries=3)
    client.pairs()
    gateway.answer("*/24hr", {"code": -1121, "msg": "Invalid symbol."}, status=400)
    gateway.requests.clear()
    with pytest.raises(md.PairNotSupportedError) as caught:
        client.ticker("BTC/USDT")

    assert caught.value.retryable is False
    assert len(gateway.requests) == 1


@pytest.mark.parametrize(
    ("code", "status", "ours", "retryable"),
    [
        (-1003, 429, "EXCHANGE_UNAVAILABLE", True),
        (-1015, 400, "EXCHANGE_UNAVAILABLE", True),
        (-1121, 400, "PAIR_NOT_SUPPORTED", False),
        (-1102, 400, "INVALID_PARAMETER", False),
        (-2015, 401, "EXCHANGE_UNAVAILABLE", False),
        (-1001, 500, "EXCHANGE_UNAVAILABLE", True),
    ],
)
def test_binances_error_codes(
    gateway: Gateway, connect: Factory, code: int, status: int, ours: str, retryable: bool
) -> None:
    client = connect(gateway)
    client.pairs()
    gateway.answer("*/24hr", {"code": code, "msg": "secret"}, status=status)
    with pytest.raises(md.MarketDataError) as caught:
        client.ticker("BTC/USDT")

    assert (caught.value.code, caught.value.retryable) == (ours, retryable)


@pytest.mark.parametrize(
    ("said", "ours", "retryable"),
    [
        ("EAPI:Rate limit exceeded", "EXCHANGE_UNAVAILABLE", True),
        ("EService:Unavailable", "EXCHANGE_UNAVAILABLE", True),
        ("EQuery:Unknown asset pair", "DATA_UNAVAILABLE", False),
        ("EGeneral:Permission denied", "EXCHANGE_UNAVAILABLE", False),
    ],
)
def test_krakens_errors_with_status_200(
    gateway: Gateway, connect: Factory, said: str, ours: str, retryable: bool
) -> None:
    client = connect(gateway, "kraken")
    client.pairs()
    gateway.answer("*/Ticker", {"error": [said]})
    with pytest.raises(md.MarketDataError) as caught:
        client.ticker("BTC/USDT")

    assert (caught.value.code, caught.value.retryable) == (ours, retryable)
