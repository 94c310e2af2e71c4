"""The lists of operations that the front ends bind, each to a command and to a tool."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from marketdata._client.archive import AsyncHistory
from marketdata._client.asynchronous import AsyncClient
from marketdata.arguments import arguments_of, parse_arguments

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "HISTORY",
    "OPERATIONS",
    "PLAN",
    "RECORD",
    "STREAMS",
    "Operation",
]


@dataclass(frozen=True)
class Operation:
    """One thing that can be requested.

    ``method`` is the method of `AsyncClient` or `AsyncHistory`: its signature, annotations and
    docstring are the only description of the operation for people.
    """

    method: Callable[..., Any]
    examples: tuple[str, ...]
    """Command lines, without the name of the program."""
    tool: str | None = None
    """The name for agents; None if another tool offers it to them already."""
    purpose: str = ""
    """The purpose of the tool: agents choose by it, and pay for each word."""
    short: str | None = None
    """The name in the shell, if that is shorter."""
    aliases: tuple[str, ...] = ()
    """Other names in the shell, which the help does not list."""

    @property
    def record(self) -> str:
        """The name in `marketdata` of the record that it returns; ``Path`` for `export`."""
        return self._returned[1]

    @property
    def many(self) -> bool:
        """Whether it returns several records at once."""
        return self._returned[0] == "Records"

    @property
    def _returned(self) -> tuple[str | None, str]:
        """The list or stream in the annotation of the result, and its record."""
        found = re.match(r"(?:(Records|AsyncWatch)\[)?(\w+)", self.method.__annotations__["return"])
        assert found is not None  # noqa: S101 - annotations of operations are names
        return found[1], found[2]

    @property
    def command(self) -> str:
        """The name in the shell."""
        return self.short or self.name

    @property
    def name(self) -> str:
        """The name in Python."""
        return self.method.__name__

    @property
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments; field order is the signature's."""
        return arguments_of(inspect.unwrap(self.method))

    def parse(self, given: dict[str, Any]) -> dict[str, Any]:
        """Check named arguments like the method itself; see `parse_arguments`."""
        return parse_arguments(inspect.unwrap(self.method), given)

    @property
    def summary(self) -> str:
        """The first sentence of the description."""
        return self.description.partition("\n\n")[0]

    @property
    def description(self) -> str:
        """The description of the operation, with each paragraph in one line."""
        paragraphs = (inspect.getdoc(inspect.unwrap(self.method)) or "").split("\n\n")
        return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        AsyncClient.exchanges,
        tool="list_exchanges",
        purpose=(
            "List the supported exchanges: which exchanges (venues) there are, their ids and what "
            "each can do: operations, timeframes, live streams, country."
        ),
        examples=("exchanges", "exchanges --format jsonl"),
    ),
    Operation(
        AsyncClient.pairs,
        tool="list_pairs",
        purpose=(
            "List or search the spot pairs (markets, symbols, coins) of an exchange by base or "
            "quote currency, or find where a coin is listed (which exchange lists it). Also rules: "
            "tick size, lot step, minimum order size, notional; halted pairs, too. No prices."
        ),
        examples=("pairs --base BTC", "pairs -e kraken --search doge", "pairs --search pepe"),
    ),
    Operation(
        AsyncClient.ticker,
        tool="get_ticker",
        purpose=(
            "Get the current price of one pair: the last (latest) price that it trades at, whether "
            "it is up or down, its daily (24-hour, today's or another window's) high, low, volume "
            "and percent change, gain. Several: get_tickers."
        ),
        examples=("ticker BTC/USDT", "ticker eth-btc -e kraken", "ticker BTC/USDT --window 4h"),
    ),
    Operation(
        AsyncClient.tickers,
        tool="get_tickers",
        purpose=(
            "Rank pairs of one exchange by percent change or volume: today's top gainers, biggest "
            "losers, movers (rose or fell most), most traded, highest volume. Or get the tickers "
            "(24-hour tickers, prices) of several pairs at once. One pair on several exchanges: "
            "compare_exchanges."
        ),
        examples=(
            "tickers BTC/USDT ETH/USDT",
            "tickers --sort percentage --quote USDT --min-quote-volume 1e6 -n 10",
        ),
    ),
    Operation(
        AsyncClient.average_price,
        tool="get_average_price",
        purpose=(
            "Get the average (mean) price of a pair of recent minutes or hours: VWAP, "
            "volume-weighted. `source`: the exchange's own, of trades or of candles."
        ),
        short="average",
        examples=("average BTC/USDT", "average ETH/USDT --window 1h -e kraken"),
    ),
    Operation(
        AsyncClient.quote,
        tool="get_quote",
        purpose=(
            "Get only the best bid and best ask (offer) of a pair with sizes: its spread and mid "
            "price, the top of the book (BBO). Deeper: get_orderbook."
        ),
        examples=("quote BTC/USDT",),
    ),
    Operation(
        AsyncClient.quotes,
        examples=("quotes BTC/USDT ETH/USDT",),
    ),
    Operation(
        AsyncClient.orderbook,
        tool="get_orderbook",
        purpose=(
            "Get the order book of a pair on one exchange: bids and asks level by level (level 2), "
            "how deep the book is, market depth, walls, liquidity. Levels are [price, size]. "
            "Merged: get_consolidated_orderbook."
        ),
        examples=("orderbook BTC/USDT --depth 5", "orderbook BTC/USDT -e okx --format csv"),
    ),
    Operation(
        AsyncClient.candles,
        tool="get_candles",
        purpose=(
            "Get price history (historical prices) as candles: OHLCV bars, klines, chart data, "
            "open high low close by minute, hour, day, week or month; the newest or a range of "
            "dates, for trends, indicators (moving average), backtests. `forming`: the last candle "
            "is not closed; `missing`: where there are none."
        ),
        examples=(
            "candles BTC/USDT -t 1h --limit 24",
            "candles BTC/USDT -t 1m --start 2024-01-01 --end 2024-01-02 -f csv",
            "candles BTC/USDT --open",
        ),
    ),
    Operation(
        AsyncClient.trades,
        tool="get_trades",
        purpose=(
            "Get individual trades (executions, fills, prints, tick-by-tick tape, time and sales) "
            "of a pair: the latest, recent or last trades, or those since a time or trade id."
        ),
        examples=("trades BTC/USDT --limit 10", "trades BTC/USDT --from-id 0"),
    ),
    Operation(
        AsyncClient.status,
        tool="get_status",
        purpose=(
            "Check the status of an exchange: up or down, online, reachable, outage or in "
            "maintenance, how fast it responds (latency, response time), its clock difference."
        ),
        examples=("status", "status -e kraken"),
    ),
    Operation(
        AsyncClient.fees,
        tool="get_fees",
        purpose=(
            "Get the trading fees of a pair on an exchange: maker and taker fee rates, commission, "
            "fee tiers. Of a certain order: get_execution_cost."
        ),
        examples=("fees BTC/USDT", "fees BTC/USDT -e kraken"),
    ),
    Operation(
        AsyncClient.compare,
        tool="compare_exchanges",
        purpose=(
            "Compare one pair across exchanges: where it is cheapest or dearest, best venue to buy "
            "or sell, price differences between exchanges, arbitrage, tightest spread, volume. A "
            "row with `code` failed."
        ),
        examples=(
            "compare BTC/USDT",
            "compare BTC/USDT --exchanges binance,kraken --quotes USD,USDC",
        ),
    ),
    Operation(
        AsyncClient.consolidated_orderbook,
        tool="get_consolidated_orderbook",
        purpose=(
            "Merge several exchanges into one consolidated (combined, aggregated, merged) order "
            "book, bids and asks by source. Levels are [price, size, [[source, size], ...]]; "
            "`sources` with `code` failed."
        ),
        short="consolidated",
        aliases=("book",),
        examples=(
            "consolidated BTC/USDT --depth 10",
            "consolidated BTC/USDT --exchanges binance,kraken,okx --format csv",
        ),
    ),
    Operation(
        AsyncClient.execution_cost,
        tool="get_execution_cost",
        purpose=(
            "Estimate the cost of a market order: what buying or selling an `amount` (or "
            "`quote_amount`) costs or brings, its slippage, price or market impact, fees, best "
            "split over exchanges. A simulation: nothing is ordered."
        ),
        short="cost",
        examples=(
            "cost BTC/USDT --side buy --amount 5",
            "cost BTC/USDT --side sell --quote-amount 500 --exchanges kraken,okx",
        ),
    ),
)

HISTORY: tuple[Operation, ...] = (
    Operation(
        AsyncHistory.download,
        examples=(
            "history download BTC/USDT ETH/USDT -t 1m --start -90d -e okx,bybit",
            "history download BTC/USDT --start -30d --dry-run",
        ),
    ),
    Operation(
        AsyncHistory.list, examples=("history list", "history list BTC/USDT -e kraken --format csv")
    ),
    Operation(AsyncHistory.verify, examples=("history verify", "history verify BTC/USDT -t 1m")),
    Operation(AsyncHistory.repair, examples=("history repair BTC/USDT",)),
    Operation(
        AsyncHistory.export,
        examples=(
            "history export btc.parquet BTC/USDT -t 1m --start 2024-01-01",
            "history export - BTC/USDT > btc.csv",
        ),
    ),
    Operation(
        AsyncHistory.remove,
        examples=(
            "history remove BTC/USDT -t 1m --dry-run",
            "history remove BTC/USDT -e okx --yes",
        ),
    ),
)
"""The operations on stored candles."""

PLAN = Operation(AsyncHistory.plan, examples=())
"""The estimate of a download."""

STREAMS: tuple[Operation, ...] = (
    Operation(
        AsyncClient.watch_ticker,
        examples=(
            "watch ticker BTC/USDT ETH/USDT -e binance,kraken",
            "watch ticker BTC/USDT --for 10s --format csv > ten-seconds.csv",
        ),
    ),
    Operation(
        AsyncClient.watch_quote,
        examples=("watch quote BTC/USDT -e binance,okx", "watch quote BTC/USDT | jq .bid"),
    ),
    Operation(
        AsyncClient.watch_orderbook,
        examples=(
            "watch orderbook BTC/USDT --depth 10",
            "watch orderbook BTC/USDT --delivery every --count 100 -f jsonl",
        ),
    ),
    Operation(
        AsyncClient.watch_trades,
        examples=("watch trades BTC/USDT ETH/USDT", "watch trades BTC/USDT --count 1"),
    ),
    Operation(
        AsyncClient.watch_candles,
        examples=("watch candles BTC/USDT -t 1m", "watch candles BTC/USDT --for 1h -f csv"),
    ),
)
"""The operations on live data; each returns a stream of records."""

RECORD = Operation(
    AsyncClient.record,
    examples=(
        "record BTC/USDT ETH/USDT -o btc-eth.rec -e binance,kraken --for 1h",
        "record BTC/USDT -o candles.rec --what candles,ticker -t 5m",
        "watch orderbook BTC/USDT --replay btc-eth.rec --speed 10",
    ),
)
"""The operation that records streams for a replay."""
