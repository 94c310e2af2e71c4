"""HTTP_PROXY and similar variables are used."""

from __future__ import annotations

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway


@pytest.fixture
def proxy(sim: SimulatedExchange) -> Gateway:
    """A real proxy on the loopback, which gets requests with absolute URLs."""
    with Gateway(sim.url) as started:
        yield started  # type: ignore[misc]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy"])
def test_requests_go_through_the_proxy(
    sim: SimulatedExchange,
    proxy: Gateway,
    connect: Factory,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    monkeypatch.setenv(name, proxy.url)
    client = connect(sim, endpoints={"binance": "http://binance.example"})

    assert client.ticker("BTC/USDT").pair == "BTC/USDT"
    assert [request.partition("?")[0] for request in proxy.requests] == [
        "GET http://binance.example/api/v3/exchangeInfo",
        "GET http://binance.example/api/v3/ticker/24hr",
    ]


def test_https_goes_through_a_tunnel_of_the_proxy(
    proxy: Gateway, connect: Factory, sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    client = connect(sim, endpoints={"kraken": "https://kraken.example"})
    with pytest.raises(md.ExchangeUnavailableError):
        client.ticker("BTC/USDT", exchange="kraken")

    # This proxy cannot make tunnels; that it was asked for one is what matters.
    assert proxy.requests[0].startswith("CONNECT kraken.example:443")


def test_hosts_in_no_proxy_are_requested_directly(
    sim: SimulatedExchange, proxy: Gateway, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")

    assert connect(sim).ticker("BTC/USDT").pair == "BTC/USDT"
    assert proxy.requests == []


def test_an_unreachable_proxy_is_an_unavailable_exchange(
    sim: SimulatedExchange, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    with pytest.raises(md.ExchangeUnavailableError):
        connect(sim).ticker("BTC/USDT")
    assert sim.requests == []


@pytest.mark.parametrize("wrong", ["not a url", "http://", "ftp://127.0.0.1", "http://a:b:c"])
def test_an_invalid_proxy_is_an_error_with_a_code(
    sim: SimulatedExchange, connect: Factory, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", wrong)
    with pytest.raises(md.MarketDataError):
        connect(sim, endpoints={"binance": "http://binance.invalid"}).ticker("BTC/USDT")


def test_user_and_password_of_a_proxy_are_not_shown(
    sim: SimulatedExchange, connect: Factory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://somebody:Pw3-canary@127.0.0.1:9")
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        connect(sim).ticker("BTC/USDT")
    assert "canary" not in repr(caught.value) + str(caught.value.to_dict())
