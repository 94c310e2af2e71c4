"""The watches of all callers: each belongs to one, and ends when nobody reads it any more.

They outlive requests and sessions, because the newest protocol has no sessions to hold them.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from marketdata import AsyncClient
from marketdata.errors import InvalidParameterError
from marketdata.live import LiveWatch, Reading
from marketdata.models import StreamKind
from marketdata_mcp.live.places import check_place

__all__ = ["MAX_SUBJECTS", "Held", "Limits", "Watches"]

MAX_SUBJECTS = 50
"""Pairs that one watch can have."""
_SHOWN = 60
"""Characters of what a caller sent that an error repeats."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """How much live data a server holds, and for how long."""

    idle: float = 600.0
    """Seconds without a read after which a watch is stopped."""
    a_caller: int = 20
    """Watches of one caller."""
    in_all: int = 100
    """Watches of all callers."""
    trades: int = 5_000
    """Trades that a watch keeps for a slow reader, over all its pairs."""
    bars: int = 500
    """Bars a pair that a watch keeps."""
    first: float = 2.0
    """Seconds that the start of a watch waits for its first data."""
    subscriptions: int = 100
    """Resources that one caller can be subscribed to."""
    subscriptions_in_all: int = 500
    pause: float = 0.5
    """Seconds between two notifications that a resource was updated."""
    again: float = 30.0
    """Seconds until a stream that failed is tried again for those who are subscribed."""


class Held(Reading):
    """A watch and whose it is."""

    def __init__(self, name: str, owner: str, live: LiveWatch, idle: float) -> None:
        super().__init__(name, live, idle)
        self.owner = owner


class Watches:
    """All watches of one server."""

    def __init__(
        self,
        limits: Limits,
        changed: Callable[[], Awaitable[None]],
    ) -> None:
        """`changed` is called when other subjects than before are watched."""
        self._limits = limits
        self._changed = changed
        self._held: dict[str, Held] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._tidying: asyncio.Task[None] | None = None

    @property
    def lives(self) -> list[LiveWatch]:
        """All of them, whosever they are."""
        return [held.live for held in self._held.values()]

    def of(self, owner: str) -> list[Held]:
        """Return a caller's watches, oldest first."""
        mine = (held for held in self._held.values() if held.owner == owner)
        return [held for held in mine if held.live.subjects]

    def find(self, owner: str, name: str) -> Held:
        """Return a caller's watch; raises `InvalidParameterError` where there is none."""
        held = self._held.get(name)
        if held is None or held.owner != owner or not held.live.subjects:
            raise InvalidParameterError(
                f"There is no watch '{name[:_SHOWN]}'. A watch ends if it is not read for "
                f"{_spoken(self._limits.idle)} or if its stream fails: start it again with "
                "watch_start. watch_list lists the active ones.",
                details={"parameter": "watch"},
            )
        return held

    async def start(
        self,
        client: AsyncClient,
        owner: str,
        kind: StreamKind,
        pairs: Sequence[str],
        *,
        exchange: str | None,
        depth: int,
        timeframe: str,
    ) -> Held:
        """Begin to watch pairs of one exchange, and wait a moment for the first data.

        Raises the errors of a call for the same data, `QuotaExceededError` if the caller has too
        many watches, and `RateLimitExceededError` if all callers together have.
        """
        self._admit(owner)
        kept = self._limits.trades if kind == "trades" else self._limits.bars
        live = LiveWatch(
            client,
            kind,
            pairs,
            exchange=exchange,
            depth=depth,
            timeframe=timeframe,
            kept=kept,
        )
        name = f"{kind}-{secrets.token_hex(4)}"
        # It is counted at once, because other watches can be starting too.
        held = self._held[name] = Held(name, owner, live, self._limits.idle)
        try:
            await held.open(self._limits.first)
        except BaseException:
            self._drop(held)
            raise
        if self._tidying is None or self._tidying.done():
            self._tidying = asyncio.create_task(self._tidy())
        await self._changed()
        return held

    def _admit(self, owner: str) -> None:
        mine = sum(held.owner == owner for held in self._held.values())
        check_place(
            mine,
            self._limits.a_caller,
            f"You have {mine} watches, which is the maximum: end one with watch_stop, or watch "
            "several pairs with one.",
            len(self._held),
            self._limits.in_all,
            "The server has no free watch for you. Stop one, try again later, or use the get_ "
            "tools.",
        )

    async def read(
        self, owner: str, name: str, cursor: str | None, seconds: float | None
    ) -> tuple[Held, list[int], bool]:
        """Return a watch, where its reader is, and whether there is something new for it.

        Waits for news for at most ``seconds``. Raises the error that ended its stream, once.
        """
        held = self.find(owner, name)
        positions, is_new = await held.wait(cursor, seconds)
        if held.live.error is not None:
            self._drop(held)
            raise held.live.error
        self.find(owner, name)
        held.live.look()
        return held, positions, is_new

    async def stop(self, owner: str, name: str) -> None:
        """End a caller's watch."""
        await asyncio.shield(self._drop(self.find(owner, name)))
        await self._changed()

    def _drop(self, held: Held) -> asyncio.Task[None]:
        """End a watch in a task of its own, which is not cancelled with the request."""
        self._held.pop(held.name, None)
        closing = asyncio.create_task(held.live.close())
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)
        return closing

    async def _tidy(self) -> None:
        while self._held:
            # No watch expires before the one that is next now.
            await asyncio.sleep(max(0.01, min(held.left for held in self._held.values())))
            idle = [held for held in self._held.values() if held.left <= 0]
            for held in idle:
                _logger.info("%s stopped: it was not read", held.name)
                self._drop(held)
            if idle:
                await self._changed()

    async def close(self) -> None:
        """End all of them."""
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.wait([self._tidying])
        for held in list(self._held.values()):
            self._drop(held)
        if self._closing:
            await asyncio.wait(self._closing)


def _spoken(seconds: float) -> str:
    return f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"
