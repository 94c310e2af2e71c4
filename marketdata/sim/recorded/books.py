"""Books that are kept from recorded frames, so that they can be told at any moment of them."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from marketdata.sim.dialects.kraken_session import DEPTHS, raw
from marketdata.sim.recorded.reels import Reel
from marketdata.sim.sockets.streams import compact

Rows = list[list[str]]

_KEPT_CHANGES = 1_000


class KeptBook(ABC):
    """One book, at the moment up to which its frames were applied.

    ``reel`` are its frames; ``snapshots`` are answers of the exchange that hold all of it, with
    the times at which they came. Numbers stay the texts that they were on the wire.
    """

    def __init__(self, reel: Reel, snapshots: Sequence[tuple[int, str]]) -> None:
        self.known = False
        self._reel = reel
        self._snapshots = snapshots
        self._bids: dict[str, str] = {}
        self._asks: dict[str, str] = {}
        self._applied = 0
        self._answered = 0

    def at(self, ms: int) -> bool:
        """Go on to ``ms`` and tell whether the book is known there."""
        due = self._reel.index(ms)
        if due < self._applied:
            self.forget()
            self._applied = self._answered = 0
        for shot in self._reel.shots[self._applied : due]:
            self._answers_until(shot.ms)
            self.apply(_load(shot.text))
        self._applied = due
        self._answers_until(ms)
        return self.known

    def answer(self, ms: int, query: Mapping[str, str]) -> str | None:  # noqa: ARG002
        """Return the body of a REST answer at ``ms``, if the exchange's books begin with one."""
        return None

    def opening(self, ms: int) -> Any:  # noqa: ARG002
        """Return the body of the frame that begins a subscription at ``ms``, if there is one."""
        return None

    def forget(self) -> None:
        """Know nothing, as before the first frame."""
        self.known, self._bids, self._asks = False, {}, {}

    @abstractmethod
    def apply(self, frame: Any) -> None:
        """Take in a frame."""

    def begin(self, answer: Any) -> None:  # noqa: B027 only Binance's books begin with an answer
        """Take in an answer that holds the whole book."""

    def reset(self, bids: Rows, asks: Rows) -> None:
        """Forget all rows but these."""
        self._bids = {row[0]: row[1] for row in bids}
        self._asks = {row[0]: row[1] for row in asks}
        self.known = True

    def change(self, bids: Rows, asks: Rows) -> None:
        """Put rows in the places of those with the same price, or remove them."""
        for side, rows in ((self._bids, bids), (self._asks, asks)):
            for row in rows:
                if float(row[1]):
                    side[row[0]] = row[1]
                else:
                    side.pop(row[0], None)

    def rows(self, side: dict[str, str], *, up: bool, limit: int | None = None) -> Rows:
        """Return the rows of a side, best first."""
        best = sorted(side, key=float, reverse=not up)[:limit]
        return [[price, side[price]] for price in best]

    def both(self, limit: int | None = None) -> tuple[Rows, Rows]:
        """Return bids and asks, best first."""
        return (
            self.rows(self._bids, up=False, limit=limit),
            self.rows(self._asks, up=True, limit=limit),
        )

    def _answers_until(self, ms: int) -> None:
        while self._answered < len(self._snapshots) and self._snapshots[self._answered][0] <= ms:
            self.begin(_load(self._snapshots[self._answered][1]))
            self._answered += 1


class BinanceBook(KeptBook):
    """Differences, applied to the answers of depth as Binance documents it."""

    def __init__(self, reel: Reel, snapshots: Sequence[tuple[int, str]]) -> None:
        super().__init__(reel, snapshots)
        self._last = 0
        self._changes: deque[Any] = deque(maxlen=_KEPT_CHANGES)

    def forget(self) -> None:
        """Know nothing, as before the first frame."""
        super().forget()
        self._changes.clear()

    def apply(self, frame: Any) -> None:
        """Apply a difference that follows on the one before."""
        self._changes.append(frame)
        if self.known and frame["u"] > self._last:
            if frame["U"] > self._last + 1:
                self.known = False
                return
            self.change(frame["b"], frame["a"])
            self._last = frame["u"]

    def begin(self, answer: Any) -> None:
        """Begin anew where the answer is newer, or nothing is known."""
        if self.known and answer["lastUpdateId"] <= self._last:
            return
        self.reset(answer["bids"], answer["asks"])
        self._last = answer["lastUpdateId"]
        changes = list(self._changes)
        self._changes.clear()
        for change in changes:
            self.apply(change)

    def answer(self, ms: int, query: Mapping[str, str]) -> str | None:
        """Answer depth."""
        if not self.at(ms):
            return None
        limit = query.get("limit", "100")
        bids, asks = self.both(int(limit) if limit.isdecimal() else 100)
        return compact({"lastUpdateId": self._last, "bids": bids, "asks": asks})


class KrakenBook(KeptBook):
    """Snapshot and updates; rows beyond the depth of the snapshot fall off."""

    _depth = 10
    _newest: Any = None

    def apply(self, frame: Any) -> None:
        """Apply the entries of a frame."""
        for data in frame["data"]:
            bids, asks = (
                [[str(row["price"]), str(row["qty"])] for row in data[side]]
                for side in ("bids", "asks")
            )
            if frame["type"] == "snapshot":
                most = max(len(bids), len(asks))
                self._depth = next(depth for depth in DEPTHS if depth >= most)
                self.reset(bids, asks)
            elif self.known:
                self.change(bids, asks)
                self.reset(*self.both(self._depth))
            self._newest = data

    def opening(self, ms: int) -> Any:
        """Send the book with the newest checksum, which is its own."""
        if not self.at(ms):
            return None
        bids, asks = (
            [{"price": raw(price), "qty": raw(size)} for price, size in rows]
            for rows in self.both()
        )
        data = {**self._newest, "bids": bids, "asks": asks}
        return {"channel": "book", "type": "snapshot", "data": [data]}


class CoinbaseBook(KeptBook):
    """Snapshot and changes."""

    _product = ""

    def apply(self, frame: Any) -> None:
        """Apply a frame."""
        self._product = frame["product_id"]
        if frame["type"] == "snapshot":
            self.reset(frame["bids"], frame["asks"])
        else:
            for side, price, size in frame["changes"]:
                row = [[price, size]]
                self.change(row if side == "buy" else [], row if side == "sell" else [])

    def opening(self, ms: int) -> Any:
        """Send the whole book."""
        if not self.at(ms):
            return None
        bids, asks = self.both()
        return {"type": "snapshot", "product_id": self._product, "asks": asks, "bids": bids}


class OkxBook(KeptBook):
    """Snapshot and updates; the rest of a row is kept with its size."""

    _newest: Any = None
    _argument: Any = None

    def __init__(self, reel: Reel, snapshots: Sequence[tuple[int, str]]) -> None:
        super().__init__(reel, snapshots)
        self._tails: dict[str, list[str]] = {}

    def apply(self, frame: Any) -> None:
        """Apply the entries of a frame."""
        self._argument = frame["arg"]
        for data in frame["data"]:
            take = self.reset if frame["action"] == "snapshot" else self.change
            take(data["bids"], data["asks"])
            self._tails |= {row[0]: row[2:] for row in [*data["bids"], *data["asks"]]}
            self._newest = data

    def opening(self, ms: int) -> Any:
        """Send the book with the newest numbers and checksum, which are its own."""
        if not self.at(ms):
            return None
        bids, asks = ([[*r, *self._tails[r[0]]] for r in rows] for rows in self.both())
        data = {**self._newest, "asks": asks, "bids": bids}
        if "prevSeqId" in data:
            data["prevSeqId"] = -1
        return {"arg": self._argument, "action": "snapshot", "data": [data]}


BOOKS: dict[tuple[str, str], Callable[[Reel, Sequence[tuple[int, str]]], KeptBook]] = {
    ("binance", "depth"): BinanceBook,
    ("kraken", "book"): KrakenBook,
    ("coinbaseexchange", "level2"): CoinbaseBook,
    ("okx", "books"): OkxBook,
}


def _load(text: str) -> Any:
    return json.loads(text, parse_float=str)
