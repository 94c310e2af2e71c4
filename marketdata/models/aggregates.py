"""Records that combine several exchanges: frozen, camelCase in JSON as all records.

An exchange that failed is a row with its error code, not an error of the call. USD, USDT and USDC
are different currencies; if a call combines them (``quotes``), each row and source names its pair.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Literal, TypeAlias

from marketdata import _above
from marketdata.models import Record, Side
from marketdata.models.decimals import Number, difference, mean
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
    """The best price of one side over several exchanges, and its exchange."""

    exchange: str
    pair: str
    price: Number
    size: Number | None = None
    """In base currency; None if the exchange does not say."""


class ComparisonRow(Record, Numbers[Number]):
    """A pair on one exchange, or the error instead."""

    exchange: str
    pair: str
    """As the exchange lists it; as requested if there is an error."""
    last: Number | None = None
    bid: Number | None = None
    bid_volume: Number | None = None
    ask: Number | None = None
    ask_volume: Number | None = None
    spread: Number | None = None
    """Ask minus bid; None if one is missing, as for ``spread_bps``."""
    spread_bps: Number | None = None
    """Spread in basis points of the mid price."""
    base_volume: Number | None = None
    """Of the last 24 hours."""
    fee: Number | None = None
    """The public taker fee as a fraction; None if the exchange publishes none."""
    timestamp: datetime | None = None
    """The exchange's time, or ours if it sent none; None if there is an error."""
    age: float | None = None
    """Seconds from its response to the comparison, which waits for the slowest exchange."""
    latency_ms: float | None = None
    """Duration of the call, with retries and waits for the rate limit."""
    derived: Literal[True] | None = None
    """True if some fields come from other calls, because the ticker lacks them."""
    derived_fields: tuple[str, ...] | None = None
    """Which fields, by their JSON names; None unless ``derived``."""
    code: str | None = None
    """The code of the error; None if there is none."""
    message: str | None = None
    """The message of the error."""


class Comparison(Record, Numbers[Number]):
    """A pair on several exchanges: one row for each, in the requested order."""

    pair: str
    timestamp: datetime
    """The oldest of the exchanges' times; ours if none responded."""
    received_at: datetime
    """When the last exchange responded or timed out."""
    simulated: Literal[True] | None = None
    best_bid: Best[Number] | None = None
    """The highest bid, of the first row that has it; None if there are no bids."""
    best_ask: Best[Number] | None = None
    spread: Number | None = None
    """Best ask minus best bid; negative if the market is crossed."""
    spread_bps: Number | None = None
    crossed: bool | None = None
    """Whether the best bid is above the best ask; None without a bid or without an ask."""
    crossed_after_fees: bool | None = None
    """Whether it is crossed after taker fees: the highest bid x (1 - fee) is above the lowest ask x
    (1 + fee). None if no exchange with a known fee has a bid, or none has an ask."""
    without_fees: tuple[str, ...] | None = None
    """Exchanges with prices but an unknown fee; `crossed_after_fees` leaves them out."""
    rows: tuple[ComparisonRow[Number], ...]

    def chart(self) -> Chart:
        """Draw an interactive chart of the bid and ask of each exchange.

        Raises `DataUnavailableError` if the package was installed without the chart page.
        """
        return _above.charts().of_record(self, "on several exchanges")


class BookSource(Record, Numbers[Number]):
    """One order book of a consolidated one, or why it is missing."""

    name: str
    """Its name in the levels: the exchange, followed by the pair if pairs are mixed."""
    exchange: str
    pair: str
    """As the exchange lists it; as requested if there is an error."""
    timestamp: datetime | None = None
    """The exchange's time, or ours if it sent none; None without an order book."""
    age: float | None = None
    """Seconds from its last update to the merge of the order books."""
    latency_ms: float | None = None
    """Duration of the call; None for streams."""
    sequence: int | None = None
    """The exchange's sequence number of this state."""
    fee: Number | None = None
    """The public taker fee as a fraction; None if the exchange publishes none."""
    stale: Literal[True] | None = None
    """True if its stream is stale: its levels are left out until it is current again."""
    code: str | None = None
    """The code of the error; None if there is none."""
    message: str | None = None
    """The message of the error."""

    @property
    def is_missing(self) -> bool:
        """Whether it contributes no levels."""
        return self.stale is True or self.code is not None or self.timestamp is None


class ConsolidatedOrderBook(Record, Numbers[Number]):
    """One order book merged from several exchanges, best level first, with sources of each level.

    It may be crossed, because no orders are matched between exchanges.
    """

    pair: str
    timestamp: datetime
    """The oldest of the sources' times."""
    received_at: datetime
    """When the order books were merged."""
    simulated: Literal[True] | None = None
    crossed: bool
    """Whether the best bid is above the best ask; False if a side is empty."""
    bids: tuple[tuple[Number, Number, tuple[tuple[str, Number], ...]], ...]
    """Price descending. Below the last level that a source returned, its sizes are missing."""
    asks: tuple[tuple[Number, Number, tuple[tuple[str, Number], ...]], ...]
    """Price ascending; otherwise as ``bids``."""
    sources: tuple[BookSource[Number], ...]
    """All sources in the requested order, missing ones included."""

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
        """Best ask minus best bid, negative if crossed; None if a side is empty."""
        both = self.bids and self.asks
        return difference(self.asks[0][0], self.bids[0][0]) if both else None

    @property
    def mid(self) -> Number | None:
        """Mean of best bid and best ask; None if a side is empty."""
        return mean(self.asks[0][0], self.bids[0][0]) if self.bids and self.asks else None

    def chart(self) -> Chart:
        """Draw an interactive depth chart of both sides, with a colour for each exchange.

        Raises `DataUnavailableError` if the package was installed without the chart page.
        """
        return _above.charts().of_record(self, "consolidated order book")


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
    """The public taker fee as a fraction; None if the exchange publishes none."""
    fees: Number | None = None
    """In quote currency: cost x fee; None if the fee is unknown."""


class ExecutionCost(Record, Numbers[Number]):
    """The cost of a market order, with the cheapest split over exchanges."""

    pair: str
    side: Side
    timestamp: datetime
    """The oldest of the books' times."""
    received_at: datetime
    """When the order books were received."""
    simulated: Literal[True] | None = None
    amount: Number
    """Filled, in base currency."""
    cost: Number
    """In quote currency, without fees."""
    average_price: Number | None = None
    """Cost / amount; None if nothing could be filled, as for ``worst_price``."""
    worst_price: Number | None = None
    """The highest price paid, or the lowest received."""
    mid: Number | None = None
    """Mean of the best bid and best ask of all order books; None if a side is empty."""
    slippage_bps: Number | None = None
    """How much worse than mid the average price is, in basis points of mid, without fees: buying
    (average - mid) / mid x 10,000, selling (mid - average) / mid x 10,000."""
    fees: Number | None = None
    """In quote currency; None if an exchange in ``splits`` publishes no fee."""
    total: Number | None = None
    """Paid with fees (cost + fees), or received after fees (cost - fees); None without fees."""
    unfilled: Number | None = None
    """The part of an ``amount`` that exceeds the requested levels, in base currency."""
    unfilled_quote: Number | None = None
    """In quote currency, of a ``quote_amount``."""
    without_fees: tuple[str, ...] | None = None
    """Exchanges in ``splits`` that publish no fee."""
    splits: tuple[ExecutionSplit[Number], ...]
    """Exchanges that fill a part, in the order of ``sources``."""
    sources: tuple[BookSource[Number], ...]
    """The order books used, and those that are missing."""
