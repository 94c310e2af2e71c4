"""API keys of exchanges come from the environment and are shown nowhere."""

from __future__ import annotations

import json
import logging
import pickle
import traceback
from typing import Any

import pytest

import marketdata as md
from marketdata._client.blocking import default_client
from marketdata.settings import Settings
from marketdata.sim import SimulatedExchange

from .conftest import Factory, Run
from .gateway import Gateway
from .markets import DIALECTS

KEY, SECRET, PASSWORD = "Kq7-canary-key", "c2VjcmV0LWNhbmFyeQ==", "Pw9-canary-word"
CANARIES = (KEY, SECRET, PASSWORD)


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for exchange in DIALECTS:
        for name, value in zip(("API_KEY", "SECRET", "PASSWORD"), CANARIES, strict=True):
            monkeypatch.setenv(f"MARKETDATA_{exchange.upper()}_{name}", value)


def clean(*texts: object) -> bool:
    return not any(canary in str(text) + repr(text) for text in texts for canary in CANARIES)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_keys_are_read_per_exchange(exchange: str) -> None:
    read = Settings.credentials(exchange)

    assert read.api_key is not None
    assert read.secret is not None
    assert read.password is not None
    assert read.api_key.get_secret_value() == KEY
    assert read.secret.get_secret_value() == SECRET
    assert read.password.get_secret_value() == PASSWORD
    assert Settings.credentials("bybit").api_key is None
    assert clean(read, read.model_dump(), read.model_dump_json(), read.model_dump(mode="json"))


def test_settings_and_clients_do_not_show_them(sim: SimulatedExchange, connect: Factory) -> None:
    client = connect(sim)
    client.ticker("BTC/USDT")

    assert clean(
        client,
        client.settings,
        client.settings.model_dump_json(),
        client._client,
        client._client._session,
        client._client.settings,
        default_client(),
        vars(client.settings),
    )


@pytest.mark.parametrize("exchange", DIALECTS)
def test_answers_do_not_show_them(client: md.Client, exchange: str) -> None:
    for operation, given in [
        ("pairs", {}),
        ("ticker", {"pair": "BTC/USDT"}),
        ("orderbook", {"pair": "BTC/USDT"}),
        ("candles", {"pair": "BTC/USDT", "limit": 2}),
        ("trades", {"pair": "BTC/USDT", "limit": 2}),
        ("status", {}),
    ]:
        answer = getattr(client, operation)(exchange=exchange, **given)
        for one in answer if isinstance(answer, list) else [answer]:
            assert clean(one, one.to_json())


@pytest.mark.parametrize("exchange", DIALECTS)
@pytest.mark.parametrize("status", [401, 403, 500])
def test_errors_and_logs_do_not_show_them(
    gateway: Gateway,
    connect: Factory,
    exchange: str,
    status: int,
    caplog: pytest.LogCaptureFixture,
    capfd: Any,
) -> None:
    caplog.set_level(logging.DEBUG)
    # An exchange may well repeat the key that it does not like.
    gateway.answer("*", {"msg": f"bad key {KEY}", "error": [KEY]}, status=status)
    with pytest.raises(md.MarketDataError) as caught:
        connect(gateway, exchange).ticker("BTC/USDT")
    error = caught.value

    assert clean(error, error.to_dict(), error.details, pickle.dumps(error))
    assert clean("".join(traceback.format_exception(error)))
    assert clean(*capfd.readouterr())
    ours = [one.getMessage() for one in caplog.records if one.name.startswith("marketdata")]
    assert clean(*ours)


@pytest.mark.parametrize("exchange", DIALECTS)
def test_public_requests_are_sent_without_them(
    gateway: Gateway, connect: Factory, exchange: str
) -> None:
    client = connect(gateway, exchange)
    client.ticker("BTC/USDT")
    client.candles("BTC/USDT", limit=1)
    client.orderbook("BTC/USDT")
    client.status()

    assert gateway.requests
    assert clean(*gateway.requests)
    assert SECRET not in json.dumps(gateway.headers)
    assert PASSWORD not in json.dumps(gateway.headers)
    assert KEY not in json.dumps(gateway.headers)


def test_old_trades_on_binance_work_with_and_without_a_key(
    gateway: Gateway, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect(gateway).trades("BTC/USDT", from_id=5, limit=1)
    assert gateway.headers[-1].get("X-MBX-APIKEY") == KEY
    assert clean(gateway.requests[-1])

    monkeypatch.delenv("MARKETDATA_BINANCE_API_KEY")
    connect(gateway).trades("BTC/USDT", from_id=5, limit=1)
    assert "X-MBX-APIKEY" not in gateway.headers[-1]


def test_a_traceback_with_locals_does_not_show_them(python: Run) -> None:
    program = """
        import traceback
        import marketdata as md

        try:
            md.ticker("NOPE/USDT")
        except md.MarketDataError as error:
            print(error.code)
            frames = traceback.TracebackException.from_exception(error, capture_locals=True)
            print("".join(frames.format()))
    """
    printed = python(program)
    assert printed.startswith("PAIR_NOT_SUPPORTED")
    # Locals of library code hold objects, whose repr must not hold keys.
    assert clean(printed)


def test_changed_keys_make_a_new_client_for_the_functions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = default_client()
    monkeypatch.setenv("MARKETDATA_BINANCE_API_KEY", "another")
    assert default_client() is not first
