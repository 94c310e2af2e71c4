"""Resources for live data: their URIs, and their list."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import cast
from urllib.parse import quote, unquote

from mcp import MCPError
from mcp_types import INTERNAL_ERROR, INVALID_PARAMS, Resource, ResourceTemplate

from marketdata.arguments import pair, timeframe
from marketdata.errors import InvalidParameterError, InvalidRequestError, MarketDataError
from marketdata.exchange_names import exchange_id
from marketdata.live import BARS, LEVELS, TRADES, LiveWatch, Subject
from marketdata.models import StreamKind
from marketdata_mcp import answers

__all__ = ["JSON", "TEMPLATES", "Address", "listed", "refused"]

JSON = "application/json"
_SHOWN = 200
"""Maximum characters of a caller's text in an error."""
_URI = re.compile(
    r"market://(?P<exchange>[^/]+)/(?P<base>[^/-]+)-(?P<quote>[^/-]+)/"
    r"(?:(?P<kind>ticker|quote|orderbook|trades)|candles/(?P<timeframe>[^/]+))"
)
_ABOUT: dict[StreamKind, str] = {
    "ticker": "Last price, best bid and ask, and the last 24 hours.",
    "quote": "Best bid and ask with their sizes.",
    "orderbook": f"The best {LEVELS} levels a side, as [price, size].",
    "candles": f"The newest {BARS} bars, as [openTimeMs, open, high, low, close, volume, trades].",
    "trades": f"The newest {TRADES} trades, as [timeMs, price, amount, side, id].",
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


class Address(Subject):
    """The stream of a resource."""

    @classmethod
    def parse(cls, uri: str) -> Address:
        """Parse a URI; raises `InvalidParameterError` if it is not a resource's."""
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
        """The URI in its listed form."""
        # The dash separates the pair, and can be part of a currency's name.
        codes = [quote(code).replace("-", "%2D") for code in self.pair.split("/")]
        exchange, named = quote(self.exchange), "-".join(codes)
        path = self.kind if self.timeframe is None else f"{self.kind}/{self.timeframe}"
        return f"market://{exchange}/{named}/{path}"


def listed(lives: Iterable[LiveWatch]) -> list[Resource]:
    """Return the resources of watched streams, each once."""
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
    """Return an error of the protocol with the library's error in its data."""
    code = INVALID_PARAMS if isinstance(error, InvalidRequestError) else INTERNAL_ERROR
    said = json.loads(answers.told(error))
    if uri is not None:
        said["uri"] = uri[:_SHOWN].encode("utf-8", "replace").decode()
    return MCPError(code, said["message"], said)
