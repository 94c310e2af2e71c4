"""Machines whose loopback has IPv6 only, or both."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

listening = pytest.importorskip("marketdata_mcp.service.listening")


def _has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _has_ipv6(), reason="needs a loopback of IPv6")


@pytest.fixture
def without_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which no address of IPv4 can be listened on."""
    bind = socket.socket.bind

    def bound(self: socket.socket, address: Any) -> None:
        if self.family == socket.AF_INET:
            raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
        # There this name means the address of IPv6.
        bind(self, ("::1", *address[1:]) if address[0] == "localhost" else address)

    monkeypatch.setattr(socket.socket, "bind", bound)


@pytest.mark.usefixtures("without_ipv4")
def test_the_simulated_exchange_is_asked_and_watched_over_ipv6_alone(tmp_path: Any) -> None:
    with md.Client(sim=True, home=tmp_path) as client:
        assert client.ticker("BTC/USDT").pair == "BTC/USDT"
        with client.watch_quote("BTC/USDT") as watch:
            assert next(iter(watch)).pair == "BTC/USDT"


@pytest.mark.usefixtures("without_ipv4")
def test_a_server_on_localhost_listens_over_ipv6_alone() -> None:
    with listening.listen("localhost", 0) as listener:
        assert listener.getsockname()[0] == "::1"


@pytest.mark.usefixtures("without_ipv4")
def test_an_address_of_ipv4_is_not_taken_for_another() -> None:
    with pytest.raises(OSError, match="assign"):
        listening.listen("127.0.0.1", 0)


def test_a_simulated_exchange_by_name_is_where_it_says(tmp_path: Any) -> None:
    # Of two addresses of a name, each may have got another port.
    async def main() -> str:
        exchange = SimulatedExchange()
        await exchange.start("localhost")
        try:
            async with md.AsyncClient(endpoints=exchange.endpoints, home=tmp_path) as client:
                return (await client.ticker("BTC/USDT")).pair
        finally:
            await exchange.stop()

    assert asyncio.run(main()) == "BTC/USDT"


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="needs sockets for IPv4 and IPv6")
def test_all_addresses_are_those_of_both_kinds() -> None:
    with listening.listen("::", 0) as listener:
        port = listener.getsockname()[1]
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=30).close()
