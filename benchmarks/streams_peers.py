"""Order books with other libraries: ``python -m benchmarks.streams_peers <who> <what> ...``."""

import asyncio
import sys
from collections.abc import Mapping
from typing import Any

from benchmarks.streams_measure import Caller, Levels, Peer, measure


class Ccxt(Peer):
    """ccxt.pro as in its manual: wait for the next state in a loop."""

    async def open(self, base: str) -> None:
        import ccxt.pro

        self._api = ccxt.pro.binance({"options": {"fetchMarkets": {"types": ["spot"]}}})
        self._api.urls["api"] = _redirected(self._api.urls["api"], base)
        await self._api.load_markets()

    async def watch(self, callers: Mapping[str, Caller]) -> None:
        await asyncio.gather(*[self._watch(pair, caller) for pair, caller in callers.items()])

    async def _watch(self, pair: str, caller: Caller) -> None:
        from ccxt import BaseError

        while True:
            try:
                self._last = await self._api.watch_order_book(pair)
            except BaseError:
                caller.errors += 1
            else:
                caller.see(self._last["nonce"])

    def book(self) -> tuple[Levels, Levels]:
        return tuple([tuple(row[:2]) for row in self._last[side]] for side in ("bids", "asks"))

    async def close(self) -> None:
        await self._api.close()


def _redirected(urls: dict[str, Any], base: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for kind, url in urls.items():
        if isinstance(url, dict):
            made[kind] = _redirected(url, base)
            continue
        scheme, _, _, path = (*url.split("/", 3), "")[:4]
        here = base.replace("http", "ws") if scheme.startswith("ws") else base
        made[kind] = f"{here}/{path}"
    return made


class Bare(Peer):
    """aiohttp, orjson and two dicts, without checks, counters or sorting."""

    async def open(self, base: str) -> None:
        import aiohttp
        import orjson

        self._base, self._parse = base, orjson.loads
        self._session = aiohttp.ClientSession()
        await self._get("/api/v3/ping")

    async def _get(self, path: str) -> Any:
        async with self._session.get(self._base + path) as response:
            return self._parse(await response.read())

    async def watch(self, callers: Mapping[str, Caller]) -> None:
        parse = self._parse
        symbols = {pair.replace("/", ""): caller for pair, caller in callers.items()}
        async with self._session.ws_connect(f"{self._base}/ws") as socket:
            streams = [f"{one.lower()}@depth@100ms" for one in symbols]
            await socket.send_json({"method": "SUBSCRIBE", "params": streams, "id": 1})
            books = {}
            for symbol, caller in symbols.items():
                whole = await self._get(f"/api/v3/depth?symbol={symbol}&limit=1000")
                sides = [_levels(whole["bids"]), _levels(whole["asks"])]
                books[symbol] = (caller, whole["lastUpdateId"], sides)
                caller.see(whole["lastUpdateId"])
            self._book = sides
            async for message in socket:
                frame = parse(message.data)
                if "u" not in frame:
                    continue
                caller, since, sides = books[frame["s"]]
                if frame["u"] <= since:
                    continue
                for side, changes in zip(sides, (frame["b"], frame["a"]), strict=True):
                    for price, size in changes:
                        if amount := float(size):
                            side[float(price)] = amount
                        else:
                            side.pop(float(price), None)
                caller.see(frame["u"])

    def book(self) -> tuple[Levels, Levels]:
        bids, asks = self._book
        return sorted(bids.items(), reverse=True), sorted(asks.items())

    async def close(self) -> None:
        await self._session.close()


def _levels(rows: list[list[str]]) -> dict[float, float]:
    return {float(price): float(size) for price, size in rows}


WHO = {"ccxt": Ccxt, "bare": Bare}

if __name__ == "__main__":
    measure(WHO[sys.argv[1]](), *sys.argv[2:])
