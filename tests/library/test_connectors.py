"""What all exchanges in a process share, and what each does not keep."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import certifi
import pytest
from aiohttp import web
from ccxt.base.errors import DDoSProtection
from inside.exchanges import connector_class
from inside.recordings import Event
from inside.requests import Reply, current

from marketdata._exchanges.transport import Transport
from marketdata._requests.request import doing
from marketdata.sim import SimulatedExchange
from marketdata.sim.listening import Listener


def test_trusted_certificates_are_read_once_for_all(tmp_path: Path) -> None:
    own = tmp_path / "trusted.pem"
    shutil.copy(certifi.where(), own)
    usual = Transport("binance").trusted
    assert usual is Transport("binance", "https://exchange.example").trusted is not None
    assert (
        Transport("binance", cafile=str(own)).trusted
        is Transport("binance", cafile=str(own)).trusted
    )
    assert Transport("binance", cafile=str(own)).trusted is not usual


def test_unencrypted_endpoints_read_no_certificates() -> None:
    assert Transport("binance", "http://127.0.0.1:8080").trusted is None


def test_ccxt_reads_no_certificates_and_creates_no_session() -> None:
    async def opened() -> Any:
        api = connector_class("binance")({})
        api.open()
        found = api.ssl_context, api.tcp_connector, api.session is api.transport
        await api.close()
        return found

    assert asyncio.run(opened()) == (False, None, True)


def test_no_response_is_kept(sim: SimulatedExchange) -> None:
    async def ask() -> Any:
        api = connector_class("binance")({"session": Transport("binance", sim.url)})
        answer = await api.fetch("https://api.binance.com/api/v3/time")
        await api.close()
        await api.transport.close()
        assert answer
        return api.last_http_response

    assert asyncio.run(ask()) is None


def test_a_response_is_recorded_unchanged() -> None:
    body = '{"serverTime": 1502448925216}\r\n'

    async def answer(request: web.Request) -> web.Response:
        return web.Response(text=body, headers={"Retry-After": "7"}, status=429)

    async def ask() -> list[Event]:
        events: list[Event] = []
        application = web.Application()
        application.router.add_get("/api/v3/time", answer)
        listener = Listener(web.AppRunner(application))
        try:
            api = connector_class("binance")(
                {"session": Transport("binance", await listener.start())}
            )
            api.transport.recorder = events.append
            reply = Reply()
            with doing(current().noting(reply)), pytest.raises(DDoSProtection):
                await api.fetch_time()
            assert (reply.status, reply.retry_after, reply.asked, reply.requests) == (
                429,
                7.0,
                1,
                1,
            )
            await api.close()
            await api.transport.close()
        finally:
            await listener.stop()
        return events

    [event] = asyncio.run(ask())
    assert (event.text, event.status, event.exchange) == (body, 429, "binance")
    assert event.url == "https://api.binance.com/api/v3/time"


LONG = "10500517034273194594947"


@pytest.mark.parametrize("exact", [False, True])
def test_ids_of_more_than_64_bits_keep_their_digits(exact: bool) -> None:
    for name in ("bittrade", "htx"):
        api = connector_class(name, exact=exact)()
        sent = f'{{"id": {LONG}, "ts": 1502448925216, "price": 12.5, "amount": 0.5}}'
        made = api.parse_trade(api.on_json_response(sent))
        assert made["id"] == LONG
        assert float(made["price"]) == 12.5
