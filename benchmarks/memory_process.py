"""A process that connects to all twenty exchanges and prints its size.

``python -m benchmarks.memory_process KIND ADDRESS FOLDER``. KIND is ``marketdata`` (with lists of
pairs from the disk, or else requested), ``ccxt`` or ``nothing``. Only the modules that the kind
needs are imported.
"""

import asyncio
import json
import os
import sys
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

PAIR = "BTC/USDT"


async def with_marketdata(names: list[str], base: str, folder: Path) -> dict[str, Any]:
    import marketdata as md
    from marketdata._exchanges import connector

    for name in names:
        # Only the lists of pairs come from the simulator; everything else is the exchange's own.
        connector.connector_class(name).fetch_markets = _fetch_markets
    endpoints = {name: f"{base}/{name}" for name in names}
    async with md.AsyncClient(names, endpoints=endpoints) as client:
        tickers = await asyncio.gather(*[client.ticker(PAIR, exchange=name) for name in names])
        assert [one.last for one in tickers] == [100.5] * len(names)
        return _state(base, folder)


async def _fetch_markets(self: Any, params: Any = None) -> Any:
    answer = await self.fetch("https://any/_list")
    if isinstance(answer, list):
        return answer
    return next(found for found in answer.values() if isinstance(found, list) and found)


async def with_ccxt(names: list[str], base: str, folder: Path) -> dict[str, Any]:
    import ccxt.async_support as ccxt

    def connected(name: str) -> Any:
        class Redirected(getattr(ccxt, name)):
            async def fetch(self, url: str, *more: Any, **named: Any) -> Any:
                asked = urlsplit(url)
                to = f"{base}/{name}{asked.path}?{asked.query}"
                return await super().fetch(to, *more, **named)

            fetch_markets = _fetch_markets

        # It need not request lists of currencies, as it would.
        api = Redirected({"cafile": str(folder / "trusted.pem")})
        api.id = name
        api.has["fetchCurrencies"] = False
        api.options["defaultType"] = "spot"
        return api

    apis = [connected(name) for name in names]
    try:
        tickers = await asyncio.gather(*[api.fetch_ticker(PAIR) for api in apis])
        assert [one["last"] for one in tickers] == [100.5] * len(names)
        assert all(len(api.markets) == 2_000 for api in apis)
        return _state(base, folder)
    finally:
        await asyncio.gather(*[api.close() for api in apis])


def _state(base: str, folder: Path) -> dict[str, Any]:
    """Return the current size of this process, and its state at the exchanges."""
    import ssl

    sizes = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, kibibytes, _ = line.split()
        sizes[name.rstrip(":").lower()] = int(kibibytes) / 1024
    peak = Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]
    context = ssl.create_default_context(cafile=folder / "trusted.pem")
    with urllib.request.urlopen(f"{base}/_state", context=context) as response:
        seen = json.load(response)
    return {"rss": sizes["rss"], "pss": sizes["pss"], "peak": int(peak) / 1024, **seen}


def main() -> None:
    kind, base, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
    names = json.loads(os.environ["EXCHANGES"])
    if kind == "nothing":
        told = _state(base, folder)
    else:
        call = with_marketdata if kind == "marketdata" else with_ccxt
        told = asyncio.run(call(names, base, folder))
    print(json.dumps(told))


if __name__ == "__main__":
    main()
