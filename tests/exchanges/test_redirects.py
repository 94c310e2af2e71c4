"""No request and no socket is redirected to another host, with or without a key."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from aiohttp import web
from inside.markets import Lists

import marketdata as md
from marketdata.sim.listening import Listener

from .asking import markets

STATUSES = (301, 302, 303, 307, 308)


async def _served(handler: object) -> tuple[Listener, str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    listener = Listener(web.AppRunner(app, shutdown_timeout=0.1))
    return listener, await listener.start()


@pytest.mark.parametrize("operation", ["ticker", "fees", "watch_trades"])
def test_a_redirect_to_another_host_is_not_followed(
    home: Path, monkeypatch: pytest.MonkeyPatch, operation: str
) -> None:
    monkeypatch.setenv("MARKETDATA_BINANCE_API_KEY", "key")
    monkeypatch.setenv("MARKETDATA_BINANCE_SECRET", "secret")
    elsewhere: list[str] = []
    asked: set[int] = set()

    async def other(request: web.Request) -> web.StreamResponse:
        elsewhere.append(request.path_qs)
        return web.json_response({})

    async def ask(status: int) -> None:
        away, there = await _served(other)

        async def exchange(request: web.Request) -> web.StreamResponse:
            asked.add(status)
            return web.Response(status=status, headers={"Location": f"{there}{request.path_qs}"})

        listener, endpoint = await _served(exchange)
        Lists(home).plant("binance", markets("binance"), endpoint=endpoint)
        async with md.AsyncClient(
            "binance", endpoints={"binance": endpoint}, home=home, retries=0, timeout=2
        ) as client:
            made = getattr(client, operation)("BTC/USDT")
            with pytest.raises(md.ExchangeUnavailableError):
                await (anext(made) if operation.startswith("watch") else made)
        await listener.stop()
        await away.stop()

    async def ask_all() -> None:
        # At once, since a stream is dialled again until its time is over.
        await asyncio.gather(*map(ask, STATUSES))

    asyncio.run(ask_all())
    assert asked == {*STATUSES}
    assert elsewhere == []


def test_a_redirect_at_the_same_host_is_followed(home: Path) -> None:
    async def exchange(request: web.Request) -> web.StreamResponse:
        if not request.path.startswith("/moved"):
            return web.Response(status=307, headers={"Location": f"/moved{request.path_qs}"})
        return web.json_response({"serverTime": 1_700_000_000_000})

    async def work() -> None:
        listener, endpoint = await _served(exchange)
        async with md.AsyncClient(
            "binance", endpoints={"binance": endpoint}, home=home, retries=0, timeout=5
        ) as client:
            assert (await client.status()).reachable
        await listener.stop()

    asyncio.run(work())
