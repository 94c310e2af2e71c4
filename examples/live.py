"""Live data: one iterator over two exchanges, an order book that recovers, a recording."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

import marketdata as md
from marketdata.sim import SimulatedExchange

EXCHANGES = ["binance", "kraken"]


async def main() -> None:
    async with SimulatedExchange(seed=7) as simulated:
        await watch(md.AsyncClient(endpoints=simulated.endpoints), simulated)
    with TemporaryDirectory() as folder:
        await record_and_replay(Path(folder) / "btc.recording")


async def watch(client: md.AsyncClient, simulated: SimulatedExchange) -> None:
    async with client:
        async with client.watch_quote("BTC/USDT", exchange=EXCHANGES) as quotes:
            best: dict[str, md.Quote] = {}
            async for quote in quotes:
                best[quote.exchange] = quote
                if len(best) == len(EXCHANGES):
                    break
        for name, quote in sorted(best.items()):
            print(f"{name}: {quote.bid} to {quote.ask}, {quote.age * 1000:.0f} ms old")

        # The connection is cut: the book is marked as stale, then continues from a new snapshot.
        async with client.watch_orderbook("BTC/USDT", depth=5, exchange="binance") as books:
            await anext(books)
            simulated.hang_up("binance")
            states: list[str] = []
            async for book in books:
                state = "stale" if book.is_stale else "fresh"
                states += [state] if [state] != states[-1:] else []
                if "stale" in states and state == "fresh":
                    break
            [stream] = books.streams
            print(" then ".join(states), f"after {stream.reconnects} reconnect")


async def record_and_replay(file: Path) -> None:
    async with md.AsyncClient("binance") as client:
        done = await client.record(["BTC/USDT"], file, what=["orderbook"], seconds=2)
        print(f"recorded {done.frames} frames in {done.size} bytes")
        async with (
            client.replay(file, speed=20) as played,
            played.watch_orderbook("BTC/USDT", delivery="every") as again,
        ):
            print(f"played {len([book async for book in again])} states of the book")


if __name__ == "__main__":
    asyncio.run(main())
