"""One stream: its subscription at the exchange, its state and its watchers."""

from __future__ import annotations

import asyncio
import random
import sys
import time
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

from marketdata._exchanges.error_mapping import translate
from marketdata._exchanges.lines import RefusedError
from marketdata._requests.log import logger
from marketdata._requests.reply import Reply
from marketdata._requests.request import Request, begin
from marketdata._requests.tasks import end
from marketdata.errors import (
    DataUnavailableError,
    ExchangeUnavailableError,
    MarketDataError,
    PairNotSupportedError,
)
from marketdata.models import Record, Stream, StreamKind
from marketdata.models.base import stamped

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

Ended: TypeAlias = "Callable[[Feed[Any]], None]"
"""Called when a feed has ended."""
R = TypeVar("R", bound=Record)

State = Literal["connecting", "live", "stale", "resyncing", "reconnecting", "ended", "failed"]

_LONGEST_PAUSE = 30.0
"""Longest pause in seconds between two attempts to subscribe."""
_LONGEST_PAUSE_UNREACHED = 1.0
"""The same if no socket could be opened."""
_GIVES_UP_AFTER = 300.0
"""Seconds without a frame after which a stream that was live is given up."""
_LEAST_PATIENCE = 5.0
_MOST_PATIENCE = 900.0
_FORGIVES_AFTER = 50
"""Frames after which the impatience is halved."""
_LOOSE = 20.0
"""A stream may be silent for this many times its usual pause."""
_QUIET_KINDS = ("trades", "candles")
"""Kinds that send nothing while nobody trades."""
_QUIET_PATIENCE = 60.0
_FIRST_WORD = 0.4
"""Seconds to wait for the first frame: many streams send nothing before a change."""
_LONGEST_PING = 15.0
"""Seconds within which a live socket answers a ping."""
_ANOTHER_CLOCK = 3_600_000.0


class _AnewError(Exception):
    """The subscription has to be made again."""


class Subject(NamedTuple):
    """What can be watched of one exchange."""

    kind: StreamKind
    pair: str
    timeframe: str | None = None


class Feed(ABC, Generic[R]):
    """One subscription at the exchange, shared by all its watchers.

    It starts with the first watcher and ends with the last. `take` gets what arrives. `_run`
    recovers from every failure, and alone decides when to give up.
    """

    def __init__(self, upstream: Upstream, subject: Subject, ended: Ended) -> None:
        self.upstream = upstream
        self.subject = subject
        self._ended = ended
        self.timeframe = subject.timeframe
        self.market_id = str(upstream.api.market(subject.pair)["id"])
        self.state: State = "connecting"
        self.watches: set[Inbox] = set()
        self._resting: list[Inbox] = []
        """Watchers that have taken the newest state and wait for the next."""
        self._each: list[Inbox] = []
        """Watchers that get every record."""
        self.version = 0
        """The number of states so far."""
        self._was_there = False
        """Whether it was live once, perhaps without a word: nobody may have traded."""
        self.messages = self.updates = self.dropped = 0
        self.gaps = self.unfilled = self.resyncs = self.reconnects = 0
        self.heard: float | None = None
        """When the last frame was received, in Unix seconds; all other times are monotonic."""
        self.lag: float | None = None
        self._silent_since = 0.0
        """When the last frame came, or a check last found the stream live but quiet."""
        self._paused_since: float | None = None
        """When the last frame came; None if the stream was interrupted since."""
        self._usual_pause = 0.0
        self._impatience = 1.0
        """A factor that doubles with each silence: the stream may just be quiet."""
        self.fresh_for: float | None = None
        """Seconds within which the next state should come; None: only when something happens."""
        self._since = time.monotonic()
        """Since when the stream has been live, or has not been."""
        self._asked_at = time.monotonic()
        """When it last subscribed, or requested a whole state."""
        self._begun_at = 0.0
        """When it last requested its first state."""
        self._reply = Reply()
        """The requests of its last attempt to subscribe."""
        self._was_sent = False
        """Whether that attempt has sent the subscription."""
        self.waits_its_turn = False
        """Whether it waits for others to send a message or a request first."""
        self._failures = 0
        self._looking: asyncio.Task[None] | None = None
        self._trouble: asyncio.Future[Exception | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.error: MarketDataError | None = None
        self.look()

    # ------------------------------------------------------------------ for subclasses

    @abstractmethod
    async def subscribe(self, api: Any) -> None:
        """Have ccxt subscribe; data arrives at `take`, when this returns has no meaning."""

    @abstractmethod
    def take(self, result: Any, at: float) -> None:
        """Take ccxt's structure of a frame received at a Unix time in seconds."""

    @abstractmethod
    def record(self, watch: Inbox, /) -> R | None:
        """Return the newest state in the form the watcher wants; None before the first one."""

    def hand_out(self, watch: Inbox) -> None:
        """Put what is new into the inbox of a watcher that gets every record."""
        record = self.record(watch)
        if record is not None:
            watch.put(self, record)

    def marked(self, record: R | None) -> R | None:
        """Return a copy of a record with the freshness that the stream knows."""
        if record is None:
            return None
        update: dict[str, Any] = {"fresh_for": self.fresh_for}
        if self.heard is not None:
            update["received_at"] = datetime.fromtimestamp(self.heard, UTC)
        if self.interrupted:
            update["stale"] = True
        return self.received(record.model_copy(update=update))

    def received(self, record: R) -> R:
        """Return a record whose age is counted by the monotonic clock."""
        return stamped(record, self._silent_since)

    async def request(self) -> bool:
        """Request the first state over REST, if the stream sends none; return whether it came."""
        return False

    async def confirm(self) -> bool:
        """Return whether the newest state is still the same over REST."""
        return False

    async def complete(self) -> None:
        """Wait for requests in flight, at the end of a recording."""

    def lost_contact(self) -> None:
        """Note that a live stream was interrupted."""

    def begin_anew(self) -> None:
        """Drop the state that a lost socket makes useless."""

    def size(self) -> int:
        """Return the approximate size of the state in bytes."""
        return 0

    # ------------------------------------------------------------------ watchers

    def join(self, watch: Inbox) -> None:
        """Add a watcher; the first one starts the subscription."""
        self.watches.add(watch)
        if watch.every:
            self._each.append(watch)
        elif self.version:
            watch.changed(self)
        else:
            self._resting.append(watch)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    async def leave(self, watch: Inbox) -> None:
        """Remove a watcher; the last one ends the subscription."""
        self.watches.discard(watch)
        for those in (self._each, self._resting):
            if watch in those:
                those.remove(watch)
        if not self.watches:
            await self.stop()

    async def stop(self) -> None:
        """Unsubscribe and end all tasks."""
        self._ended(self)
        task, self._task = self._task, None
        # Otherwise the tasks would still subscribe in the next turns of the loop.
        await end(task, self._looking)
        await self.upstream.unsubscribe(self)

    def rest(self, watch: Inbox) -> None:
        """Note that a watcher has taken the newest state."""
        self._resting.append(watch)

    def news(self, at: float, exchange_time: float | None, updates: int = 1) -> None:
        """Tell the watchers about a new state; ``exchange_time`` is in Unix milliseconds."""
        self.version += 1
        self.updates += updates
        if exchange_time is not None:
            lag = at * 1000 - exchange_time
            # A recording or a simulation has another clock.
            self.lag = lag if abs(lag) < _ANOTHER_CLOCK else None
        if self.state != "live":
            self._is_live()
        if self._resting:
            resting, self._resting = self._resting, []
            for watch in resting:
                watch.changed(self)
        for watch in self._each:
            self.hand_out(watch)

    def note_frame(self, at: float) -> None:
        """Count a frame, and learn how often frames come."""
        self.messages += 1
        now = time.monotonic()
        if self._paused_since is not None:
            pause = now - self._paused_since
            usual = 0.99 * self._usual_pause
            if pause > usual and not self.upstream.slept_since(self._paused_since):
                usual = pause
            # The longest recent pause: it rises at once and falls slowly.
            self._usual_pause = usual
        if self.messages % _FORGIVES_AFTER == 0:
            self._impatience = max(1.0, self._impatience / 2)
        self.heard = at
        self._silent_since = self._paused_since = now

    @property
    def _silence(self) -> float:
        return self._waited_since(self._silent_since)

    def _waited_since(self, moment: float) -> float:
        """Return the seconds since a moment, or since our own process was last suspended."""
        return time.monotonic() - max(moment, self.upstream.stalled_at)

    def _is_live(self) -> None:
        self.state = "live"
        self._was_there = True
        self._failures = 0
        self._since = self._silent_since = time.monotonic()

    def has_its_turn(self) -> None:
        """Note that its turn has come."""
        self.waits_its_turn = False
        self._asked_at = time.monotonic()
        if not self._was_there:
            self._since = self._asked_at

    def wait_for_whole(self) -> None:
        """Note that changes are useless until a whole state comes."""
        if self.state == "live":
            self._since = time.monotonic()
        self.state = "resyncing"
        logger.debug("%s %s: a gap, waiting for the whole state", self.upstream.id, self.subject)
        self._asked_at = time.monotonic()

    def tell_again(self) -> None:
        """Send the last state again, with its new freshness, to watchers that wait."""
        if self.version:
            self.version += 1
            resting, self._resting = self._resting, []
            for watch in resting:
                watch.changed(self)

    # ------------------------------------------------------------------ freshness

    @property
    def patience(self) -> float:
        """Seconds of silence after which the stream counts as stale."""
        quiet = self.subject.kind in _QUIET_KINDS
        least = _QUIET_PATIENCE if quiet else _LEAST_PATIENCE
        return min(_MOST_PATIENCE, max(least, _LOOSE * self._usual_pause) * self._impatience)

    @property
    def interrupted(self) -> bool:
        """Whether the newest state may be out of date."""
        return self.state in ("stale", "resyncing", "reconnecting", "ended", "failed")

    def look(self) -> None:
        """Check whether the stream has been silent for too long; the watchdog calls it."""
        if self.subject.kind != "trades":
            self.fresh_for = round(self.patience, 3)
        if self.waits_its_turn and self.upstream.is_open(self):
            return
        if self.state in ("connecting", "reconnecting", "resyncing"):
            waited = self._waited_since(self._asked_at)
            if self.is_asking and waited > _FIRST_WORD and self.upstream.is_open(self):
                if self.subject.kind in _QUIET_KINDS:
                    self._is_live()  # the first frame comes with the first trade
                    return
                if self._looking is None and self._begun_at < self._asked_at:
                    self._begun_at = time.monotonic()
                    self._looking = asyncio.create_task(self._begin_elsewhere())
                if self._looking is not None:
                    return
            limit = self.upstream.timeout * (self._impatience if self._was_there else 1.0)
            if waited > limit:
                self._asked_at = time.monotonic()
                self._silent()
            return
        if self.state == "live" and self._silence > self.patience and self._looking is None:
            self._looking = asyncio.create_task(self._look_elsewhere())

    async def _begin_elsewhere(self) -> None:
        """Request the first state, as the stream sends nothing before a change."""
        try:
            if await self.request():
                self.resyncs += 1 if self.reconnects else 0
        except MarketDataError as error:
            self.error = error
        finally:
            self._looking = None

    async def _look_elsewhere(self) -> None:
        """Find out with a request whether the stream is silent because nothing has changed."""
        try:
            alive = await self.upstream.is_alive(self, max(self.patience, _LONGEST_PING))
            nothing_new = alive and await self.confirm()
        except MarketDataError as error:
            self.error, nothing_new = error, False
        finally:
            self._looking = None
        if self.state != "live" or self._silence <= self.patience:
            return  # a frame has come meanwhile
        if nothing_new:
            self._impatience = min(64.0, self._impatience * 2)
            self._silent_since = time.monotonic()
            self.heard = self.heard and time.time()
            self.tell_again()  # the same state, confirmed now
        else:
            self._is_stale()

    def _is_stale(self) -> None:
        self.state = "stale"
        self.tell_again()
        self._silent()

    def _silent(self) -> None:
        patience, self._impatience = self.patience, min(64.0, self._impatience * 2)
        if self.upstream.drop_silent(self, min(patience, self.upstream.timeout)):
            return  # all streams on that socket reconnect
        self.trouble(
            ExchangeUnavailableError(
                f"{self.upstream.id} sends nothing about {self.subject.pair}.",
                retryable=True,
                details={**self.details, "reason": "silent"},
            )
        )

    # ------------------------------------------------------------------ trouble

    @property
    def details(self) -> dict[str, Any]:
        """Exchange, pair and kind of stream, for the details of an error."""
        return {
            "exchange": self.upstream.id,
            "pair": self.subject.pair,
            "stream": self.subject.kind,
        }

    def joined(self, _line: Any, /) -> None:
        """Note which socket the stream uses."""
        self.waits_its_turn = True

    def asked(self) -> None:
        """Note that its subscription was sent; exchanges limit how fast they may follow."""
        self._was_sent = True
        self.has_its_turn()

    @property
    def is_asking(self) -> bool:
        """Whether the exchange has not answered the subscription yet."""
        return self.state in ("connecting", "reconnecting")

    def refused(self, error: Exception) -> None:
        """Note that the exchange refused the subscription, or that ccxt gave it up."""
        self.trouble(error)

    def lost(self, *, ended: bool) -> None:
        """Note that the socket was lost; ``ended``: because a recording is over."""
        self.trouble(None if ended else ConnectionError())

    def subscribe_anew(self) -> None:
        """Unsubscribe and subscribe again, with other parameters."""
        self.trouble(_AnewError())

    def trouble(self, error: Exception | None) -> None:
        """Have `_run` recover from an error; None is the end of a recording."""
        if self._trouble is not None and not self._trouble.done():
            self._trouble.set_result(error)

    async def _run(self) -> None:
        try:
            while True:
                error = await self._stay()
                if error is None:
                    await self.complete()
                    await self._finish(None)
                    return
                if isinstance(error, _AnewError):
                    await self.upstream.unsubscribe(self)
                    self.begin_anew()
                    continue
                ours = self._ours(error)
                if not self._may_pass(ours):
                    await self._finish(ours)
                    return
                self.error = ours
                await self._prepare_anew(error, ours)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - every error has to reach the watchers
            await self._finish(self._ours(error))

    async def _stay(self) -> Exception | None:
        """Subscribe, and return the error that ended the stream; None: a recording is over."""
        self._trouble = asyncio.get_running_loop().create_future()
        self._asked_at = time.monotonic()
        self._reply, self._was_sent = Reply(), False
        asked = asyncio.ensure_future(self._ask())
        asked.add_done_callback(self._asked)
        try:
            return await self._trouble
        finally:
            await end(asked)
            self.upstream.gives_up_its_turn(self)

    async def _ask(self) -> None:
        begin(Request(subscriber=weakref.ref(self), reply=self._reply))
        await self.subscribe(self.upstream.api)

    def _asked(self, asked: asyncio.Future[None]) -> None:
        if not asked.cancelled() and (error := asked.exception()) is not None:
            self.trouble(error if isinstance(error, Exception) else RuntimeError())

    def _ours(self, error: Exception) -> MarketDataError:
        if isinstance(error, MarketDataError):
            return error
        if isinstance(error, ConnectionError | OSError):
            return ExchangeUnavailableError(
                f"The stream of {self.upstream.id} was interrupted.",
                retryable=True,
                details={**self.details, "reason": "connection_lost"},
            )
        if isinstance(error, RefusedError):
            made = translate(error.said, self.upstream.id, Reply(asked=1, requests=1))
            if not self.version and not isinstance(made, ExchangeUnavailableError):
                made = PairNotSupportedError(
                    f"{self.upstream.id} refuses a stream of {self.subject.kind} of "
                    f"{self.subject.pair}; the pair may be halted.",
                )
        else:
            reply = self._reply
            if self._was_sent:  # then the error is about the exchange's answer
                reply.asked = reply.requests = max(reply.asked, 1)
            made = translate(error, self.upstream.id, reply, keeps_answers=False)
        made.details.update(self.details)
        return made

    def _may_pass(self, error: MarketDataError) -> bool:
        """Return whether to subscribe again."""
        waited = self._waited_since(self._since)
        if not self._was_there and not self.upstream.retries and "attempts" in error.details:
            return False  # the request for its first state has failed
        if isinstance(error, DataUnavailableError) and error.retryable:
            return self._failures < 5  # ccxt could not parse the answer, repeatedly
        # A host name that was found before is found again once this machine is online.
        is_offline = error.details.get("reason") == "name_not_resolved"
        if not error.retryable and not (is_offline and self._was_there):
            return False
        return waited < (_GIVES_UP_AFTER if self._was_there else self.upstream.timeout)

    async def _prepare_anew(self, error: Exception, ours: MarketDataError) -> None:
        was_live = self.state in ("live", "stale")
        self.state = "reconnecting" if self._was_there else "connecting"
        self._failures += 1
        self.reconnects += 1
        logger.debug("%s %s: subscribing anew after %s", self.upstream.id, self.subject, ours.code)
        if was_live:
            self._since = time.monotonic()
            self.lost_contact()
        self.tell_again()
        await self.upstream.unsubscribe(self)
        self._paused_since = None
        self.begin_anew()
        # If no socket could be opened, all streams of the exchange wait for one together.
        unreached = isinstance(error, OSError) and not self._was_sent
        longest = _LONGEST_PAUSE_UNREACHED if unreached else _LONGEST_PAUSE
        pause = min(longest, 0.05 * 2 ** min(self._failures, 10)) * random.uniform(0.5, 1.0)  # noqa: S311
        await asyncio.sleep(max(pause, ours.retry_after or 0.0))
        await self.upstream.turn_to_dial(self)

    async def _finish(self, error: MarketDataError | None) -> None:
        self.error = error or self.error
        self.state = "ended" if error is None else "failed"
        watches = list(self.watches)
        self._ended(self)
        await self.upstream.unsubscribe(self)
        for watch in watches:
            watch.finished(self, error)

    # ------------------------------------------------------------------ state and counts

    def stats(self) -> Stream:
        """Return the state and the counts of the stream."""
        waiting = sum(len(watch) for watch in self._each)
        return Stream(
            exchange=self.upstream.id,
            kind=self.subject.kind,
            pair=self.subject.pair,
            timeframe=self.timeframe,
            state=self.state,
            watchers=len(self.watches),
            messages=self.messages,
            updates=self.updates,
            dropped=self.dropped,
            gaps=self.gaps,
            unfilled=self.unfilled,
            resyncs=self.resyncs,
            reconnects=self.reconnects,
            unreadable=self.upstream.unreadable(self),
            last_message=None if self.heard is None else datetime.fromtimestamp(self.heard, UTC),
            lag_ms=None if self.lag is None else round(self.lag, 3),
            memory=self.size() + 500 * waiting + sys.getsizeof(self),
            error=None if self.error is None else self.error.code,
            simulated=self.upstream.simulated,
        )
