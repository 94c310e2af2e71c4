"""A stand-in exchange that answers at once, so that only the client is measured.

The simulated exchange generates the responses, with 2,000 spot pairs; they are then served as
bytes. Contracts, which plain ccxt also loads, are made from the first spot pairs. ``python -m
benchmarks.stand_in [SECONDS [PAIRS]]`` prints its address and the word ready. SECONDS is the
duration of each response, PAIRS the number of pairs. ``GET /_requests`` returns the number of
requests since its last call.
"""

import asyncio
import json
import sys

import aiohttp
from aiohttp import web

from marketdata.sim import SimulatedExchange

PAIRS = 2_000
LINEAR, INVERSE = 560, 60


def contracts(spot: dict, count: int, *, margin: str | None) -> bytes:
    made = []
    for symbol in spot["symbols"][:count]:
        base, quote = symbol["baseAsset"], "USD" if margin is None else margin
        made.append(
            {
                **symbol,
                "symbol": f"{base}{quote}" if margin else f"{base}USD_PERP",
                "pair": f"{base}{quote}",
                "quoteAsset": quote,
                "marginAsset": margin or base,
                "contractType": "PERPETUAL",
                "contractStatus": "TRADING",
                "contractSize": 100,
                "deliveryDate": 4133404800000,
                "onboardDate": 1569398400000,
                "pricePrecision": 2,
                "quantityPrecision": 3,
            }
        )
    return json.dumps({**spot, "symbols": made}).encode()


async def _answers(pairs: int) -> dict[str, bytes]:
    async with (
        SimulatedExchange(pairs=pairs, frozen=True) as simulated,
        aiohttp.ClientSession(simulated.url) as session,
    ):

        async def read(path: str) -> bytes:
            async with session.get(path) as response:
                return await response.read()

        info = await read("/api/v3/exchangeInfo")
        spot = json.loads(info)
        return {
            "/api/v3/exchangeInfo": info,
            "/fapi/v1/exchangeInfo": contracts(spot, LINEAR, margin="USDT"),
            "/dapi/v1/exchangeInfo": contracts(spot, INVERSE, margin=None),
            "/api/v3/ticker/24hr": await read("/api/v3/ticker/24hr?symbol=BTCUSDT"),
        }


async def serve(seconds: float = 0.0, pairs: int = PAIRS) -> None:
    answers = await _answers(pairs)
    count = 0

    async def answer(request: web.Request) -> web.Response:
        nonlocal count
        if request.path == "/_requests":
            seen, count = count, 0
            return web.json_response(seen)
        count += 1
        if seconds:
            await asyncio.sleep(seconds)
        body = answers.get(request.path)
        if body is None:
            return web.Response(status=404)
        return web.Response(body=body, content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0]
    print(f"http://{host}:{port} ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(*map(float, sys.argv[1:2]), *map(int, sys.argv[2:3])))
