"""MARKETDATA_* variables and arguments of clients: their effects, and errors for invalid ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import marketdata as md
from marketdata._client.blocking import default_client
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import DIALECTS, NOW, minutes, record

VALID: list[tuple[str, str, Any]] = [
    ("EXCHANGE", "kraken", ("kraken",)),
    ("EXCHANGE", " Kraken , okx ,", ("kraken", "okx")),
    ("HOME", "somewhere", Path("somewhere")),
    ("ENDPOINTS", '{"okx": "http://127.0.0.1:9000/"}', {"okx": "http://127.0.0.1:9000"}),
    ("ENDPOINTS", "{}", {}),
    ("SIM", "1", True),
    ("SIM", "true", True),
    ("SIM", "0", False),
    ("SIM", "no", False),
    ("SIM_SEED", "42", 42),
    ("SIM_TAPE", "a.csv,b.csv.gz", (Path("a.csv"), Path("b.csv.gz"))),
    ("SIM_NOW", "2024-05-01T12:00:30Z", NOW),
    ("TIMEOUT", "2.5", 2.5),
    ("TIMEOUT", "3600", 3600.0),
    ("RETRIES", "0", 0),
    ("RETRIES", "20", 20),
]

INVALID: list[tuple[str, str]] = [
    ("EXCHANGE", ","),
    ("EXCHANGE", " "),
    ("ENDPOINTS", "http://127.0.0.1:9000"),
    ("ENDPOINTS", '["http://127.0.0.1:9000"]'),
    ("ENDPOINTS", '{"binance": 5}'),
    ("ENDPOINTS", '{"binance": "127.0.0.1:9000"}'),
    ("ENDPOINTS", '{"binance": "ftp://127.0.0.1"}'),
    ("ENDPOINTS", "[" * 100_000),
    ("SIM", "perhaps"),
    ("SIM_SEED", "x"),
    ("SIM_SEED", "1.5"),
    ("SIM_NOW", "yesterday"),
    ("TIMEOUT", "0"),
    ("TIMEOUT", "-1"),
    ("TIMEOUT", "soon"),
    ("TIMEOUT", "nan"),
    ("TIMEOUT", "inf"),
    ("TIMEOUT", "3601"),
    ("RETRIES", "-1"),
    ("RETRIES", "21"),
    ("RETRIES", "2.5"),
    ("RETRIES", "many"),
]


@pytest.mark.parametrize(("name", "text", "value"), VALID)
def test_a_variable_sets(monkeypatch: pytest.MonkeyPatch, name: str, text: str, value: Any) -> None:
    monkeypatch.setenv(f"MARKETDATA_{name}", text)

    assert getattr(md.Settings.from_environment(), name.lower()) == value
    assert getattr(md.Client().settings, name.lower()) == value
    assert getattr(md.AsyncClient().settings, name.lower()) == value


@pytest.mark.parametrize(("name", "text"), INVALID, ids=lambda text: text[:30])
def test_an_invalid_variable_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"MARKETDATA_{name}", text)
    for make in (md.Settings.from_environment, md.Client, lambda: md.ticker("BTC/USDT")):
        with pytest.raises(md.InvalidParameterError) as caught:
            make()
        assert caught.value.details == {"parameter": f"MARKETDATA_{name}"}
        assert str(caught.value).startswith(f"MARKETDATA_{name}: ")
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("exchange", 5),
        ("exchange", [5]),
        ("exchange", []),
        ("exchange", ""),
        ("exchange", {}),
        ("home", 5),
        ("endpoints", "binance"),
        ("endpoints", {"binance": None}),
        ("endpoints", {1: "http://127.0.0.1"}),
        ("sim", "perhaps"),
        ("timeout", 0),
        ("timeout", "soon"),
        ("timeout", float("nan")),
        ("retries", -1),
        ("retries", 1.5),
    ],
)
@pytest.mark.parametrize("kind", [md.Client, md.AsyncClient])
def test_an_invalid_argument_is_named(kind: Any, name: str, wrong: Any) -> None:
    with pytest.raises(md.InvalidParameterError) as caught:
        kind(**{name: wrong})
    assert caught.value.details == {"parameter": name}


def test_an_empty_variable_means_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, _, _ in VALID:
        monkeypatch.setenv(f"MARKETDATA_{name}", "")
    assert md.Settings.from_environment() == md.Settings.from_environment({})


def test_arguments_win_over_variables(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, text, _ in VALID:
        monkeypatch.setenv(f"MARKETDATA_{name}", text)
    client = md.Client(
        ["okx"], sim=False, timeout=7, retries=1, home=tmp_path, endpoints={"okx": "http://a"}
    )
    wanted = client.settings

    assert wanted.exchange == ("okx",)
    assert (wanted.sim, wanted.timeout, wanted.retries) == (False, 7.0, 1)
    assert (wanted.home, wanted.endpoints) == (tmp_path, {"okx": "http://a"})


def test_settings_can_be_passed_as_an_object(sim: SimulatedExchange) -> None:
    wanted = md.Settings(exchange=("okx",), endpoints=sim.endpoints)
    with md.Client(settings=wanted) as client:
        assert client.settings is wanted
        assert client.ticker("BTC/USDT").exchange == "okx"


def test_settings_are_immutable() -> None:
    with pytest.raises(ValueError, match="frozen"):
        md.Settings().timeout = 5.0  # type: ignore[misc]


def test_an_unknown_setting_is_an_error() -> None:
    with pytest.raises(ValueError, match="extra"):
        md.Settings(nonsense=1)  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        md.Client(nonsense=1)  # type: ignore[call-arg]


def test_functions_follow_the_environment(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(sim.endpoints))
    for exchange in ("kraken", "okx", "binance"):
        monkeypatch.setenv("MARKETDATA_EXCHANGE", exchange)
        assert md.ticker("BTC/USDT").exchange == exchange
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    sim.forget()
    assert md.ticker("BTC/USDT").simulated is True
    assert sim.requests == []


def test_functions_keep_their_client_as_long_as_nothing_changes(
    sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(sim.endpoints))
    first = default_client()
    monkeypatch.setenv("UNRELATED", "1")
    assert default_client() is first
    monkeypatch.setenv("MARKETDATA_RETRIES", "1")
    assert default_client() is not first


@pytest.mark.parametrize("exchange", DIALECTS)
def test_a_base_url_can_have_a_path(
    sim: SimulatedExchange, connect: Factory, exchange: str
) -> None:
    class Prefixed(Gateway):
        async def _pass(self, session: Any, request: Any) -> Any:
            assert request.path.startswith("/gateway/v1/")
            inner = request.clone(rel_url=request.path_qs.removeprefix("/gateway/v1"))
            return await super()._pass(session, inner)

    with Prefixed(sim.url) as gateway:
        base = {exchange: f"{gateway.url}/gateway/v1/"}
        client = connect(sim, exchange, endpoints=base)
        assert client.ticker("BTC/USDT").exchange == exchange
        assert len(client.candles("BTC/USDT", limit=3)) == 3
        assert len(gateway.requests) == 3
    assert len(sim.requests) == 3


def test_the_seed_and_the_clock_of_the_simulated_exchange(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    monkeypatch.setenv("MARKETDATA_SIM_NOW", "2024-05-01T12:00:30Z")
    prices = []
    for seed in ("1", "2", "1"):
        monkeypatch.setenv("MARKETDATA_SIM_SEED", seed)
        with md.Client() as client:
            bar = client.candles("BTC/USDT", "1d", start="2024-04-01", limit=1)[0]
            prices.append(bar.close)
            assert client.candles("BTC/USDT", limit=1).timestamp.year == 2024

    assert prices[0] == prices[2] != prices[1]


def test_a_tape_for_the_simulated_exchange(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = record(tmp_path, minutes("2024-01-01", "2024-01-01T02:00"), "okx_AAA_USDT-1m.csv")
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    monkeypatch.setenv("MARKETDATA_SIM_TAPE", str(path))
    with md.Client("okx") as client:
        assert [pair.pair for pair in client.pairs()] == ["AAA/USDT"]
        assert len(client.candles("AAA/USDT", "1m", start="2024-01-01")) == 120


@pytest.mark.parametrize("content", ["nonsense", "", "timestamp_ms,open\n1,2\n"])
def test_a_tape_that_cannot_be_played_is_an_error_with_a_code(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str
) -> None:
    path = tmp_path / "okx_AAA_USDT-1m.csv"
    path.write_text(content)
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    for tape in (path, tmp_path / "okx_BBB_USDT-1m.csv"):
        monkeypatch.setenv("MARKETDATA_SIM_TAPE", str(tape))
        with md.Client("okx") as client, pytest.raises(md.InvalidParameterError):
            client.pairs()


@pytest.mark.parametrize("exchange", ["bybit", "binanceus"])
def test_unsupported_operations_of_the_simulator_are_named(exchange: str) -> None:
    with md.Client(sim=True) as client, pytest.raises(md.ExchangeNotSupportedError) as caught:
        client.ticker("BTC/USDT", exchange=exchange)
    assert "simulator" in str(caught.value)


def test_a_home_can_begin_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MARKETDATA_HOME", "~/below")
    assert md.Settings.from_environment().folder() == tmp_path / "below"


def test_without_a_home_files_go_to_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("MARKETDATA_HOME")
    folder = md.Settings.from_environment().folder()
    assert folder.name == "marketdata"
    assert not folder.exists()
