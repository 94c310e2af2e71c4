"""The formats of exchanges' order book channels: frames, sequence numbers and checksums.

A `Wire` parses the frames of one exchange's channel into `Update`. The table of quirks says which
exchange uses which format; ccxt keeps the books of all others.
"""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, NamedTuple

from marketdata._streams.sides import Change, Sides
from marketdata.models import Level


class Update(NamedTuple):
    """One frame of a book channel."""

    whole: bool
    """Whether it is a whole book; else it holds changes."""
    bids: Sequence[Change]
    asks: Sequence[Change]
    time: float | None
    """Unix milliseconds; None where the exchange sends none."""
    first: int | None = None
    """The number of its first change, or one more than the state before it."""
    last: int | None = None
    """The number of the state after it."""
    checksum: int | None = None


class Wire(ABC):
    """The book channel of one exchange, for one pair."""

    by_request: ClassVar[bool] = False
    """Whether the whole book is requested over REST; else it comes with the subscription."""
    is_checked: ClassVar[bool] = False
    """Whether updates carry a checksum."""
    depths: ClassVar[tuple[int, ...]] = ()
    """The depths that can be subscribed to, ascending; empty: there is only one."""

    def __init__(self, market: Mapping[str, Any], number: Callable[[Any], float] = float) -> None:
        """Prepare for a pair; ``number`` parses a price or a size."""
        self.market = market
        self.number = number

    @staticmethod
    def name(market: Mapping[str, Any]) -> str:
        """Return the exchange's id of a pair, as in its frames."""
        return str(market["id"])

    @staticmethod
    @abstractmethod
    def subject(frame: Any) -> str | None:
        """Return the id of the pair whose book a frame is about; None for other frames."""

    @abstractmethod
    def read(self, frame: Any) -> Update:
        """Parse a frame; raises KeyError, TypeError or ValueError if it is malformed."""

    def differs(self, _update: Update, _sides: Sides, /) -> bool:
        """Return whether the checksum of an update contradicts the book after it."""
        return False


class NumberedDiffs(Wire):
    """Binance: changes numbered without gaps; the book itself is requested over REST.

    https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams#how-to-manage-a-local-order-book-correctly
    """

    by_request = True

    @staticmethod
    def subject(frame: Any) -> str | None:
        if frame.get("e") == "depthUpdate":
            return frame["s"]  # type: ignore[no-any-return]
        data = frame.get("data")
        return NumberedDiffs.subject(data) if type(data) is dict else None

    def read(self, frame: Any) -> Update:
        data = frame if "U" in frame else frame["data"]
        return Update(False, data["b"], data["a"], data["E"], data["U"], data["u"])


class LinkedStates(Wire):
    """OKX: each update names the state before it and has a checksum of 25 levels.

    https://www.okx.com/docs-v5/en/#order-book-trading-market-data-ws-order-book-channel
    """

    is_checked = True

    def __init__(self, market: Mapping[str, Any], number: Callable[[Any], float] = float) -> None:
        super().__init__(market, number)
        self._texts: tuple[dict[float, str], dict[float, str]] = ({}, {})

    @staticmethod
    def subject(frame: Any) -> str | None:
        about = frame.get("arg")
        if type(about) is dict and about.get("channel") == "books" and "data" in frame:
            return about["instId"]  # type: ignore[no-any-return]
        return None

    def read(self, frame: Any) -> Update:
        [data] = frame["data"]
        whole = frame["action"] == "snapshot"
        before = data.get("prevSeqId")
        if whole:
            self._texts = ({}, {})
        bids = [(price, size) for price, size, *_ in data["bids"]]
        asks = [(price, size) for price, size, *_ in data["asks"]]
        number = self.number
        for texts, changes in zip(self._texts, (bids, asks), strict=True):
            for price, size in changes:
                if size == "0":
                    texts.pop(number(price), None)
                else:
                    texts[number(price)] = f"{price}:{size}"
        return Update(
            whole,
            bids,
            asks,
            float(data["ts"]),
            None if whole or before is None else before + 1,
            data.get("seqId"),
            data.get("checksum") or None,
        )

    def differs(self, update: Update, sides: Sides, /) -> bool:
        if update.checksum is None:
            return False
        parts: list[str] = []
        bids, asks = sides.bids.best(25), sides.asks.best(25)
        try:
            for at in range(25):
                if at < len(bids):
                    parts.append(self._texts[0][bids[at][0]])
                if at < len(asks):
                    parts.append(self._texts[1][asks[at][0]])
        except KeyError:
            return True
        found = zlib.crc32(":".join(parts).encode())
        return found != update.checksum & 0xFFFFFFFF


class CheckedLevels(Wire):
    """Kraken: as many levels as subscribed to, and a checksum of the best ten in each frame.

    https://docs.kraken.com/api/docs/guides/spot-ws-book-v2
    """

    is_checked = True
    depths = (10, 25, 100, 500, 1000)

    def __init__(self, market: Mapping[str, Any], number: Callable[[Any], float] = float) -> None:
        super().__init__(market, number)
        # ccxt's steps, or the exchange's own counts of decimals.
        info, precision = market["info"], market["precision"]
        self._price = int(info.get("pair_decimals") or _decimals(precision["price"]))
        self._size = int(info.get("lot_decimals") or _decimals(precision["amount"]))

    @staticmethod
    def name(market: Mapping[str, Any]) -> str:
        return str(market["symbol"])

    @staticmethod
    def subject(frame: Any) -> str | None:
        if frame.get("channel") == "book" and "data" in frame:
            return frame["data"][0]["symbol"]  # type: ignore[no-any-return]
        return None

    def read(self, frame: Any) -> Update:
        [data] = frame["data"]
        time = data.get("timestamp")
        return Update(
            frame["type"] == "snapshot",
            [(level["price"], level["qty"]) for level in data.get("bids", ())],
            [(level["price"], level["qty"]) for level in data.get("asks", ())],
            None if time is None else _milliseconds(time),
            checksum=data.get("checksum"),
        )

    def differs(self, update: Update, sides: Sides, /) -> bool:
        if update.checksum is None:
            return False
        text = self._said(sides.asks.best(10)) + self._said(sides.bids.best(10))
        return zlib.crc32(text.encode()) != update.checksum

    def _said(self, levels: Sequence[Level]) -> str:
        return "".join(
            f"{price:.{self._price}f}".replace(".", "").lstrip("0")
            + f"{size:.{self._size}f}".replace(".", "").lstrip("0")
            for price, size in levels
        )


class SidedChanges(Wire):
    """Coinbase Exchange: changes without numbers; only a crossed book reveals a lost one.

    https://docs.cdp.coinbase.com/exchange/websocket-feed/channels#level2-batch-channel
    """

    @staticmethod
    def subject(frame: Any) -> str | None:
        kind = frame.get("type")
        return frame["product_id"] if kind in ("l2update", "snapshot") else None

    def read(self, frame: Any) -> Update:
        time = frame.get("time")
        moment = None if time is None else _milliseconds(time)
        if frame["type"] == "snapshot":
            return Update(True, frame["bids"], frame["asks"], moment)
        bids: list[Change] = []
        asks: list[Change] = []
        for side, price, size in frame["changes"]:
            (bids if side == "buy" else asks).append((price, size))
        return Update(False, bids, asks, moment)


WIRES: Mapping[str, type[Wire]] = {
    "numbered": NumberedDiffs,
    "linked": LinkedStates,
    "checked": CheckedLevels,
    "sided": SidedChanges,
}


def _milliseconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp() * 1000


def _decimals(step: float) -> int:
    text = f"{step:.12f}".rstrip("0")
    return len(text.partition(".")[2])
