"""Every way in which a call can fail, seen from a client."""

import asyncio
import logging
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from mcp import Client, MCPError
from mcp_doors import ERAS, FedClient, ask, failure, finish
from mcp_types import INVALID_PARAMS

from marketdata import (
    AsyncClient,
    ExchangeUnavailableError,
    ForbiddenError,
    InternalError,
    InvalidParameterError,
    MarketDataError,
    QuotaExceededError,
    RateLimitExceededError,
    Ticker,
)
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app

NOW = datetime(2025, 6, 1, tzinfo=UTC)

Connect = Callable[[SimulatedExchange], AsyncClient]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "parameter"),
    [
        ("get_ticker", {}, "pair"),
        ("get_ticker", {"pair": None}, "pair"),
        ("watch_start", {"pair": "BTC/USDT"}, "kind"),
        ("get_candles", {"limit": 9_999, "start": "rubbish"}, "pair"),
        ("get_quote", {"zzz": "BTC/USDT"}, "pair"),
    ],
)
def test_a_missing_argument_is_named_before_a_wrong_one(
    era: str, tool: str, arguments: dict[str, Any], parameter: str
) -> None:
    error = failure(ask(FedClient(), tool, arguments, era))
    assert error["code"] == "MISSING_PARAMETER"
    assert error["retryable"] is False
    assert error["details"] == {"tool": tool, "parameter": parameter}
    assert f"'{parameter}'" in error["message"]


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"pair": "BTC/USDT", "windw": "4h"}, ["window"]),
        ({"pair": "BTC/USDT", "zzz": 1}, ["pair", "exchange", "window"]),
    ],
)
def test_an_unknown_argument_lists_the_known_ones(
    era: str, arguments: dict[str, Any], names: list[str]
) -> None:
    error = failure(ask(FedClient(), "get_ticker", arguments, era))
    assert error["code"] == "INVALID_PARAMETER"
    assert error["details"]["parameter"] == list(arguments)[1]
    assert all(name in error["message"] for name in names)


@pytest.mark.parametrize("name", ["strict", "refresh", "store"])
def test_settings_of_the_operator_are_no_arguments(name: str) -> None:
    client = FedClient()
    error = failure(ask(client, "get_candles", {"pair": "BTC/USDT", name: True}))
    assert error["code"] == "INVALID_PARAMETER"
    assert error["details"] == {"tool": "get_candles", "parameter": name}
    assert f"no argument '{name}'" in error["message"]
    assert not client.asked


@pytest.mark.parametrize(
    ("tool", "arguments", "parameter"),
    [
        ("get_candles", {"pair": "BTC/USDT", "limit": 0}, "limit"),
        ("get_candles", {"pair": "BTC/USDT", "limit": "many"}, "limit"),
        ("get_candles", {"pair": "BTC/USDT", "limit": True}, "limit"),
        ("get_candles", {"pair": "BTC/USDT", "start": [1]}, "start"),
        ("get_candles", {"pair": "BTC/USDT", "fill": "mean"}, "fill"),
        ("get_orderbook", {"pair": "BTC/USDT", "depth": -1}, "depth"),
        ("get_trades", {"pair": "BTC/USDT", "from_id": -1}, "from_id"),
        ("get_trades", {"pair": "BTC/USDT", "aggregate": "perhaps"}, "aggregate"),
        ("get_candles", {"pair": "BTC/USDT", "columns": ["colour"]}, "columns"),
        ("get_execution_cost", {"pair": "BTC/USDT", "side": "buy", "amount": 0}, "amount"),
        ("get_tickers", {"pairs": ["BTC/USDT"] * 51}, "pairs"),
        ("get_tickers", {"pairs": ["BTC/USDT", 5]}, "pairs"),
        ("list_pairs", {"offset": -1}, "offset"),
        ("get_ticker", {"pair": {"base": "BTC"}}, "pair"),
        ("get_ticker", {"pair": "BTC/USDT", "exchange": 5}, "exchange"),
    ],
)
def test_values_that_the_schema_forbids_are_refused(
    tool: str, arguments: dict[str, Any], parameter: str
) -> None:
    client = FedClient()
    error = failure(ask(client, tool, arguments))
    assert error["code"] == "INVALID_PARAMETER"
    assert error["details"] == {"tool": tool, "parameter": parameter}
    assert error["message"].startswith(f"{parameter} ")
    assert not re.search(r"should|valid|Input|greater than|less than", error["message"])
    assert not client.asked


@pytest.mark.parametrize(
    ("tool", "arguments", "code"),
    [
        ("get_ticker", {"pair": "nonsense pair here"}, "INVALID_PARAMETER"),
        ("get_ticker", {"pair": "BTC/USDT:USDT"}, "PAIR_NOT_SUPPORTED"),
        ("get_ticker", {"pair": "BTC/USDT", "window": "9y"}, "INVALID_PARAMETER"),
        ("get_candles", {"pair": "BTC/USDT", "start": "last week"}, "INVALID_PARAMETER"),
        ("get_candles", {"pair": "BTC/USDT", "start": 170_000}, "INVALID_PARAMETER"),
        ("get_candles", {"pair": "BTC/USDT", "timeframe": "fortnightly"}, "INVALID_PARAMETER"),
        ("get_candles", {"pair": "BTC/USDT", "timeframe": 60}, "INVALID_PARAMETER"),
    ],
)
def test_values_that_only_the_library_can_check_are_refused(
    tool: str, arguments: dict[str, Any], code: str
) -> None:
    assert failure(ask(FedClient(), tool, arguments))["code"] == code


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    ("tool", "arguments", "code", "detail"),
    [
        ("get_ticker", {"pair": "BTC/USTD"}, "PAIR_NOT_SUPPORTED", "closest"),
        (
            "get_ticker",
            {"pair": "BTC/USDT", "exchange": "krakn"},
            "EXCHANGE_NOT_SUPPORTED",
            "closest",
        ),
        (
            "get_candles",
            {"pair": "BTC/USDT", "exchange": "coinbaseexchange", "timeframe": "30s"},
            "TIMEFRAME_NOT_SUPPORTED",
            "timeframes",
        ),
    ],
)
def test_unsupported_pairs_and_operations_are_errors(
    simulator: SimulatedExchange,
    connect: Connect,
    era: str,
    tool: str,
    arguments: dict[str, Any],
    code: str,
    detail: str,
) -> None:
    error = failure(ask(connect(simulator), tool, arguments, era))
    assert error["code"] == code
    assert error["retryable"] is False
    assert error["details"][detail]


def test_an_unreachable_exchange_is_retryable(connect: Connect) -> None:
    with SimulatedExchange(faults=["binance:*:status=503"]) as broken:
        asked = {"pair": "BTC/USDT", "exchange": "binance"}
        error = failure(ask(connect(broken), "get_ticker", asked))
    assert error["code"] == "EXCHANGE_UNAVAILABLE"
    assert error["retryable"] is True


@pytest.mark.parametrize("era", ERAS)
@pytest.mark.parametrize(
    "raised",
    [
        RateLimitExceededError("Too often.", retry_after=2.5),
        ExchangeUnavailableError("Away.", details={"exchange": "kraken"}),
        QuotaExceededError("Used up.", details={"resetAt": "2025-06-08T00:00:00Z"}),
        ForbiddenError("Suspended."),
    ],
)
def test_errors_of_the_library_arrive_complete(era: str, raised: MarketDataError) -> None:
    assert failure(ask(FedClient(status=raised), "get_status", era=era)) == raised.to_dict()


@pytest.mark.parametrize("era", ERAS)
def test_a_bug_is_logged_and_not_shown_to_the_client(
    era: str, caplog: pytest.LogCaptureFixture
) -> None:
    result = ask(FedClient(status=RuntimeError("the secret is 42")), "get_status", era=era)
    error = failure(result)
    assert error["code"] == "INTERNAL_ERROR"
    assert error["retryable"] is False
    assert "42" not in result.model_dump_json()
    (logged,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert isinstance(logged.exc_info[1], RuntimeError)


def test_a_bug_found_by_the_library_is_logged_too(caplog: pytest.LogCaptureFixture) -> None:
    raised = InternalError("ccxt was called wrongly.")
    assert failure(ask(FedClient(status=raised), "get_status")) == raised.to_dict()
    (logged,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert logged.exc_info is not None
    assert logged.exc_info[1] is raised


@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_nan_is_never_sent(number: float) -> None:
    ticker = Ticker(
        exchange="binance",
        timestamp=NOW,
        received_at=NOW,
        pair="BTC/USDT",
        window="24h",
        source="ticker",
        last=number,
    )
    error = failure(ask(FedClient(ticker=ticker), "get_ticker", {"pair": "BTC/USDT"}))
    assert error["code"] == "INTERNAL_ERROR"


@pytest.mark.parametrize("era", ERAS)
def test_an_unknown_tool_is_a_protocol_error(era: str) -> None:
    async def work() -> MCPError:
        async with Client(app.Service(FedClient()).server(), mode=era) as client:
            with pytest.raises(MCPError) as caught:
                await client.call_tool("get_tikcer", {"pair": "BTC/USDT"})
            return caught.value

    error = finish(work()).error
    assert error.code == INVALID_PARAMS
    assert "get_ticker" in error.message


def test_a_long_argument_does_not_make_a_long_error() -> None:
    long = "B" * 200_000
    for arguments in (
        {"pair": f"BTC/USDT:{long}"},
        {"pair": long},
        {"pair": "BTC/USDT", long: 1},
        {"pair": "BTC/USDT", "window": long},
        {"pair": [long]},
    ):
        result = ask(FedClient(), "get_ticker", arguments)
        assert failure(result)["code"] in ("INVALID_PARAMETER", "PAIR_NOT_SUPPORTED")
        assert len(result.content[0].text) <= 80_000


def test_an_error_with_text_that_cannot_be_encoded_arrives() -> None:
    raised = InvalidParameterError("was '\ud800'", details={"value": "\udfff"})
    error = failure(ask(FedClient(status=raised), "get_status"))
    assert error["code"] == "INVALID_PARAMETER"
    assert error["details"] == {"value": "?"}


@pytest.mark.parametrize("era", ERAS)
def test_cancelling_a_call_cancels_its_requests(era: str) -> None:
    async def work() -> None:
        begun, ended = asyncio.Event(), asyncio.Event()

        async def hang() -> None:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                ended.set()

        client = FedClient(status=hang)
        async with Client(app.Service(client).server(), mode=era) as connected:
            call = asyncio.create_task(connected.call_tool("get_status", {}))
            await begun.wait()
            call.cancel()
            await asyncio.wait([call])
            await ended.wait()
            assert call.cancelled()

    finish(work())


def test_the_client_is_closed_with_the_server() -> None:
    client = FedClient(status=ForbiddenError("Suspended."))
    ask(client, "get_status")
    assert client.closed
