"""The records of several exchanges asked at once: frozen, camelCase in JSON as all records.

An exchange that could not answer is a row with the code of its error and not an error of the call.
USD, USDT and USDC are different currencies; a call that was told to take them together
(``quotes``) says of each row and source which pair it is.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from marketdata.models.decimals import Number, difference, mean
from marketdata.models.records import Record, Side
from marketdata.number_form import Numbers

if TYPE_CHECKING:
    from marketdata._charts.chart import Chart

__all__ = [
    "Best",
    "BookSource",
    "Comparison",
    "ComparisonRow",
    "ConsolidatedLevel",
    "ConsolidatedOrderBook",
    "ExecutionCost",
    "ExecutionSplit",
]

ConsolidatedLevel: TypeAlias = tuple[Number, Number, tuple[tuple[str, Number], ...]]
"""Price, size of all sources, and the size of each by its name, in the order of the sources."""


class Best(Record, Numbers[Number]):
    """The best price of one side over several exchanges, and who has it."""

    exchange: str
    pair: str
    price: Number
    size: Number | None = None
    """In base currency; None where the exchange does not say."""


class ComparisonRow(Record, Numbers[Number]):
    """What one exchange says of a pair, or why it does not."""

    exchange: str
    pair: str
    """As the exchange lists it; as it was asked for where there is an error."""
    last: Number | None = None
    bid: Number | None = None
    bid_volume: Number | None = None
    ask: Number | None = None
    ask_volume: Number | None = None
    spread: Number | None = None
    """Ask minus bid; None where one is missing, as in ``spread_bps``."""
    spread_bps: Number | None = None
    """The same in basis points of the middle of both."""
    base_volume: Number | None = None
    """Of the last 24 hours."""
    fee: Number | None = None
    """The public taker fee as a fraction; None where the exchange publishes none."""
    timestamp: datetime | None = None
    """The exchange's time, or ours where it sent none; None where there is an error."""
    age: float | None = None
    """Seconds between its answer and the comparison, which waits for the slowest."""
    latency_ms: float | None = None
    """From the question to the answer, with waits for the request budget and retries."""
    derived: Literal[True] | None = None
    """Whether the exchange's ticker lacks any of it, so that it was made of other calls."""
    derived_fields: tuple[str, ...] | None = None
    """What of it, by the names in JSON; None unless ``derived``."""
    code: str | None = None
    """The code of the error that came instead; None where there is none."""
    message: str | None = None
    """What the error says, such as that there was no answer in time."""


class Comparison(Record, Numbers[Number]):
    """A pair on several exchanges, a row each, in the order in which they were asked for."""

    pair: str
    timestamp: datetime
    """The oldest of the exchanges' times; ours where none answered."""
    received_at: datetime
    """When the last answer was there, or its time was over."""
    simulated: Literal[True] | None = None
    best_bid: Best[Number] | None = None
    """The highest bid, of the first row that has it; None where nobody bids."""
    best_ask: Best[Number] | None = None
    spread: Number | None = None
    """Best ask minus best bid, below zero where the market is crossed."""
    spread_bps: Number | None = None
    crossed: bool | None = None
    """Whether somebody bids more than somebody asks; None where there is no bid or no ask."""
    crossed_after_fees: bool | None = None
    """Whether that is so after both takers' fees: the highest bid x (1 - fee) is above the lowest
    ask x (1 + fee). None where no exchange with a known fee has a bid, or none has an ask."""
    without_fees: tuple[str, ...] | None = None
    """Exchanges with prices whose fee is not known, which `crossed_after_fees` leaves out."""
    rows: tuple[ComparisonRow[Number], ...]

    def chart(self) -> Chart:
        """Draw each exchange's bid and ask on one scale of prices, interactively.

        Raises `DataUnavailableError` where the package was installed without the chart page.
        """
        from marketdata.models.charts import of_record

        return of_record(self, "on several exchanges")


class BookSource(Record, Numbers[Number]):
    """One book that a consolidated one is made of, or why it is missing."""

    name: str
    """What levels call it: the exchange, with the pair behind it where pairs are mixed."""
    exchange: str
    pair: str
    """As the exchange lists it; as it was asked for where there is an error."""
    timestamp: datetime | None = None
    """The exchange's time, or ours where it sent none; None where there is no book."""
    age: float | None = None
    """Seconds since it was last heard of, when the books were put together."""
    latency_ms: float | None = None
    """From the question to the answer; None of streams."""
    sequence: int | None = None
    """The exchange's number of the book's state."""
    fee: Number | None = None
    """The public taker fee as a fraction; None where the exchange publishes none."""
    stale: Literal[True] | None = None
    """Whether its stream is interrupted: its levels are left out until it is mended."""
    code: str | None = None
    """The code of the error that came instead of a book; None where there is none."""
    message: str | None = None
    """What the error says."""

    @property
    def is_missing(self) -> bool:
        """Whether none of the levels are its own."""
        return self.stale is True or self.code is not None or self.timestamp is None


class ConsolidatedOrderBook(Record, Numbers[Number]):
    """One book of several exchanges' books, whose levels know who quotes them, best first.

    It may be crossed, which no single book is: nothing is matched.
    """

    pair: str
    timestamp: datetime
    """The oldest of the sources' times."""
    received_at: datetime
    """When the books were put together."""
    simulated: Literal[True] | None = None
    crossed: bool
    """Whether the best bid is above the best ask; False where a side is empty."""
    bids: tuple[tuple[Number, Number, tuple[tuple[str, Number], ...]], ...]
    """Price descending. Behind the last level of a source that gives fewer, its sizes are
    missing."""
    asks: tuple[tuple[Number, Number, tuple[tuple[str, Number], ...]], ...]
    """Price ascending; otherwise as bids."""
    sources: tuple[BookSource[Number], ...]
    """In the order in which they were asked for, with those that are missing."""

    @property
    def best_bid(self) -> tuple[Number, Number, tuple[tuple[str, Number], ...]] | None:
        """Highest bid; None on an empty side."""
        return self.bids[0] if self.bids else None

    @property
    def best_ask(self) -> tuple[Number, Number, tuple[tuple[str, Number], ...]] | None:
        """Lowest ask; None on an empty side."""
        return self.asks[0] if self.asks else None

    @property
    def spread(self) -> Number | None:
        """Best ask minus best bid, below zero where crossed; None where a side is empty."""
        both = self.bids and self.asks
        return difference(self.asks[0][0], self.bids[0][0]) if both else None

    @property
    def mid(self) -> Number | None:
        """Mean of best bid and best ask; None where a side is empty."""
        return mean(self.asks[0][0], self.bids[0][0]) if self.bids and self.asks else None

    def chart(self) -> Chart:
        """Draw the depth of both sides interactively, with each exchange's part in its colour.

        Raises `DataUnavailableError` where the package was installed without the chart page.
        """
        from marketdata.models.charts import of_record

        return of_record(self, "consolidated order book")


class ExecutionSplit(Record, Numbers[Number]):
    """The part of an order that one exchange would fill."""

    exchange: str
    pair: str
    amount: Number
    """In base currency."""
    cost: Number
    """In quote currency, without fees: the sum of price x amount."""
    average_price: Number
    worst_price: Number
    fee: Number | None = None
    """The public taker fee as a fraction; None where the exchange publishes none."""
    fees: Number | None = None
    """In quote currency: cost x fee; None where the fee is not known."""


class ExecutionCost(Record, Numbers[Number]):
    """What buying or selling at once would cost, spread over exchanges so that it costs least."""

    pair: str
    side: Side
    timestamp: datetime
    """The oldest of the books' times."""
    received_at: datetime
    """When the books were there."""
    simulated: Literal[True] | None = None
    amount: Number
    """Filled, in base currency."""
    cost: Number
    """In quote currency, without fees."""
    average_price: Number | None = None
    """Cost / amount; None where nothing could be filled, as in ``worst_price``."""
    worst_price: Number | None = None
    """The highest price paid, or the lowest got."""
    mid: Number | None = None
    """The middle of the best bid and the best ask of all books; None where there is no such."""
    slippage_bps: Number | None = None
    """How much worse than mid the average price is, in basis points of mid, without fees: buying
    (average - mid) / mid x 10,000, selling (mid - average) / mid x 10,000."""
    fees: Number | None = None
    """In quote currency; None where one of the exchanges in ``splits`` publishes none."""
    total: Number | None = None
    """Paid with fees, cost + fees, or got after them, cost - fees; None where fees is."""
    unfilled: Number | None = None
    """In base currency, of an ``amount``: more than the levels looked at have."""
    unfilled_quote: Number | None = None
    """In quote currency, of a ``quote_amount``."""
    without_fees: tuple[str, ...] | None = None
    """Exchanges in ``splits`` that publish no fee."""
    splits: tuple[ExecutionSplit[Number], ...]
    """In the order of ``sources``; only those that fill something."""
    sources: tuple[BookSource[Number], ...]
    """The books that were looked at, and those that are missing."""
