"""The examples of the notebook with `await`: several exchanges at once, on one event loop."""

import asyncio

import marketdata as md


async def main() -> None:
    async with md.AsyncClient() as client:
        on_binance, on_kraken = await asyncio.gather(
            client.ticker("BTC/USDT", exchange="binance"),
            client.ticker("BTC/USDT", exchange="kraken"),
        )
        print(f"binance {on_binance.last}, kraken {on_kraken.last}")

        book = await client.orderbook("BTC/USDT", depth=50, exchange="binance")
        print(f"spread {book.spread:.2f}, mid {book.mid:.2f}, imbalance {book.imbalance():+.2f}")
        bought = book.fill("buy", 0.5)
        print(f"0.5 BTC would cost {bought.cost:,.2f} USDT, {bought.average_price} each")

        day = await client.candles("BTC/USDT", "1h", start="-24h", exchange="binance")
        print(f"{len(day)} candles, {len(day.missing)} gaps, the last one is open: {day.forming}")

        try:
            await client.candles("BTC/USDT", "4h", exchange="coinbaseexchange")
        except md.TimeframeNotSupportedError as error:
            print(f"{error.code}: {', '.join(error.details['timeframes'])}")


if __name__ == "__main__":
    asyncio.run(main())
