"""What can be watched, as resources: their addresses, and what is read at them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import quote, unquote

from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, Resource, ResourceTemplate

from marketdata.arguments import pair, timeframe
from marketdata.errors import InvalidParameterError, InvalidRequestError, MarketDataError
from marketdata.exchange_names import exchange_id
from marketdata.live import Bars, LiveWatch, Row, Series, State, Tape, trade_row
from marketdata.models import OrderBook, Record, StreamKind, Trade
from marketdata_mcp import answers
from marketdata_mcp.ask import Ask

if TYPE_CHECKING:
    from marketdata import AsyncClient

__all__ = ["JSON", "TEMPLATES", "Address", "listed", "read", "refused"]

JSON = "application/json"
_DEPTH = 20
_BARS = 100
_TRADES = 50
_SHOWN = 200
"""Characters of what a caller sent that an error repeats."""
_URI = re.compile(
    r"market://(?P<exchange>[^/]+)/(?P<base>[^/-]+)-(?P<quote>[^/-]+)/"
    r"(?:(?P<kind>ticker|quote|orderbook|trades)|candles/(?P<timeframe>[^/]+))"
)
_ABOUT: dict[StreamKind, str] = {
    "ticker": "Last price, best bid and ask, and the last 24 hours.",
    "quote": "Best bid and ask with their sizes.",
    "orderbook": f"The best {_DEPTH} levels a side, as [price, size].",
    "candles": f"The newest {_BARS} bars, as [openTimeMs, open, high, low, close, volume, trades].",
    "trades": f"The newest {_TRADES} trades, as [timeMs, price, amount, side, id].",
}

TEMPLATES = [
    ResourceTemplate(
        uri_template=f"market://{{exchange}}/{{base}}-{{quote}}/{kind}"
        + ("/{timeframe}" if kind == "candles" else ""),
        name=kind,
        title=kind.capitalize(),
        description=about,
        mime_type=JSON,
    )
    for kind, about in _ABOUT.items()
]


class Address(NamedTuple):
    """What a resource is about."""

    kind: StreamKind
    exchange: str
    pair: str
    timeframe: str | None = None

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Read a URI; raises `InvalidParameterError` for one that is not of a resource."""
        found = _URI.fullmatch(uri)
        if found is None:
            raise InvalidParameterError(
                "A resource is market://EXCHANGE/BASE-QUOTE/ and ticker, quote, orderbook, trades "
                f"or candles/TIMEFRAME, as in market://binance/BTC-USDT/ticker; was {uri[:60]!r}."
            )
        parts = {name: unquote(text) for name, text in found.groupdict().items() if text}
        length = parts.get("timeframe")
        return cls(
            cast("StreamKind", parts.get("kind", "candles")),
            exchange_id(parts["exchange"]),
            pair(f"{parts['base']}/{parts['quote']}"),
            None if length is None else timeframe(length),
        )

    @property
    def uri(self) -> str:
        """The URI, in the form that is listed."""
        # The dash is what divides the pair, and may be part of a currency's name.
        codes = [quote(code).replace("-", "%2D") for code in self.pair.split("/")]
        exchange, named = quote(self.exchange), "-".join(codes)
        path = self.kind if self.timeframe is None else f"{self.kind}/{self.timeframe}"
        return f"market://{exchange}/{named}/{path}"

    @property
    def ask(self) -> Ask:
        """What access control has to know of reading it."""
        if self.kind != "candles":
            return Ask((self.exchange,))
        from marketdata_mcp import candles

        asked = {"timeframe": self.timeframe, "start": None, "end": None, "limit": _BARS}
        return Ask((self.exchange,), candles.lookback(asked))

    def find(self, live: LiveWatch) -> State | None:
        """Return the subject of a watch that it is about, where that holds as much as is read."""
        if (live.kind, live.timeframe) == (self.kind, self.timeframe) and (
            live.depth is None or live.depth >= _DEPTH
        ):
            for subject in live.subjects:
                if (subject.stream.exchange, subject.stream.pair) == (self.exchange, self.pair):
                    return subject
        return None


def listed(lives: Iterable[LiveWatch]) -> list[Resource]:
    """Return what is watched, each once."""
    found = dict.fromkeys(
        Address(live.kind, one.stream.exchange, one.stream.pair, live.timeframe)
        for live in lives
        for one in live.subjects
    )
    return [
        Resource(
            uri=address.uri,
            name=" ".join(part for part in address if part is not None),
            description=_ABOUT[address.kind],
            mime_type=JSON,
        )
        for address in found
    ]


def refused(error: MarketDataError, uri: str | None = None) -> MCPError:
    """Return an error as one of the protocol's, with the library's own in its data."""
    code = INVALID_PARAMS if isinstance(error, InvalidRequestError) else INTERNAL_ERROR
    said = json.loads(answers.told(error))
    if uri is not None:
        said["uri"] = uri[:_SHOWN].encode("utf-8", "replace").decode()
    return MCPError(code, said["message"], said)


async def read(client: AsyncClient, lives: Iterable[LiveWatch], address: Address) -> str:
    """Return the current state as JSON: what a running stream has, or what a call answers.

    Raises what the call raises.
    """
    for live in lives:
        subject = address.find(live)
        if subject is not None and subject.newest is not None:
            live.look()
            # Where the stream is interrupted, a call may still get through.
            if not subject.is_stale:
                return await _streamed(client, address, subject)
    answered = await _asked(client, address)
    if isinstance(answered, Record):
        return answers.record(answered)[1]
    return _trades(address, answered, [trade_row(one) for one in answered])


async def _asked(client: AsyncClient, address: Address) -> Record | list[Trade]:
    exchange = address.exchange
    match address.kind:
        case "ticker":
            return await client.ticker(address.pair, exchange=exchange)
        case "quote":
            return await client.quote(address.pair, exchange=exchange)
        case "orderbook":
            return await client.orderbook(address.pair, _DEPTH, exchange=exchange)
        case "candles":
            length = str(address.timeframe)
            return await client.candles(address.pair, length, limit=_BARS, exchange=exchange)
    return await client.trades(address.pair, limit=_TRADES, exchange=exchange)


async def _streamed(client: AsyncClient, address: Address, subject: State) -> str:
    newest: Any = subject.newest
    if isinstance(subject, Series) and subject.past_of != subject.stream.reconnects:
        # What was before the stream began, or while it was interrupted.
        subject.past = await _asked(client, address)
        subject.past_of = subject.stream.reconnects
    if isinstance(subject, Tape):
        came = [row for _, row in subject.kept][-_TRADES:]
        rows = [*map(trade_row, subject.past), *came]
        found = {_identity(row): row for row in rows}
        return _trades(address, [newest], sorted(found.values(), key=itemgetter(0))[-_TRADES:])
    if isinstance(subject, Bars):
        newest = subject.candles(_BARS)
    if isinstance(newest, OrderBook):
        best = {"bids": newest.bids[:_DEPTH], "asks": newest.asks[:_DEPTH]}
        newest = newest.model_copy(update=best)
    return answers.record(newest)[1]


def _identity(trade: Row) -> Any:
    return trade[4] if trade[4] is not None else tuple(trade)


def _trades(address: Address, trades: Sequence[Trade], rows: Sequence[Row]) -> str:
    is_simulated = any(one.simulated for one in trades)
    return answers.compact(
        {
            "exchange": address.exchange,
            "pair": address.pair,
            **({"simulated": True} if is_simulated else {}),
            "trades": rows,
        }
    )
