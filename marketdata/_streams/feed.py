"""One live subject: its upstream subscription, its state, and who watches it."""

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
from marketdata._exchanges.sockets import RefusedError
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
from marketdata.models.records import stamped

if TYPE_CHECKING:
    from marketdata._streams.inbox import Inbox
    from marketdata._streams.upstream import Upstream

__all__ = ["Ended", "Feed", "Subject"]

Ended: TypeAlias = "Callable[[Feed[Any]], None]"
"""Hears that a feed has ended."""
R = TypeVar("R", bound=Record)

State = Literal["connecting", "live", "stale", "resyncing", "reconnecting", "ended", "failed"]

_LONGEST_PAUSE = 30.0
"""Seconds between two attempts to subscribe, at most."""
_LONGEST_PAUSE_UNREACHED = 1.0
"""The same where no socket could be opened."""
_GIVES_UP_AFTER = 300.0
"""Seconds without a word after which a stream that was there once is given up."""
_LEAST_PATIENCE = 5.0
_MOST_PATIENCE = 900.0
_FORGIVES_AFTER = 50
"""Frames after which half of the impatience is gone."""
_LOOSE = 20.0
"""How many times its usual pause a stream may be silent."""
_QUIET_KINDS = ("trades", "candles")
"""Kinds that say nothing for as long as nobody trades."""
_QUIET_PATIENCE = 60.0
_FIRST_WORD = 0.4
"""Seconds for the first word on a subscription; many say nothing before something happens."""
_LONGEST_PING = 15.0
"""Seconds within which a live socket has answered a ping."""
_ANOTHER_CLOCK = 3_600_000.0


class _AnewError(Exception):
    """A subscription is to be made again."""


class Subject(NamedTuple):
    """What can be watched of one exchange."""

    kind: StreamKind
    pair: str
    timeframe: str | None = None


class Feed(ABC, Generic[R]):
    """One upstream subscription, shared by all who watch it.

    It begins with its first watcher and ends with its last. `take` gets what arrives; whatever
    goes wrong upstream is mended in `_run`, which alone decides that it cannot be.
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
        """Those who have taken the newest state, and wait for the next."""
        self._each: list[Inbox] = []
        """Those who get each."""
        self.version = 0
        """Counts the states."""
        self._was_there = False
        """Whether it was live once, perhaps without a word: nobody may have traded."""
        self.messages = self.updates = self.dropped = 0
        self.gaps = self.unfilled = self.resyncs = self.reconnects = 0
        self.heard: float | None = None
        """When the last frame was received, in Unix seconds; all other times are monotonic."""
        self.lag: float | None = None
        self._silent_since = 0.0
        """When the last frame came, or it was last found live with nothing to say."""
        self._paused_since: float | None = None
        """When the last frame came, unless the stream was interrupted since."""
        self._usual_pause = 0.0
        self._impatience = 1.0
        """Doubles with each silence: a stream may have nothing to say."""
        self.fresh_for: float | None = None
        """Seconds within which the next state is to come; None: it comes when it happens."""
        self._since = time.monotonic()
        """Since when there is no stream, or since when there is one."""
        self._asked_at = time.monotonic()
        """When it was last subscribed to, or a whole state asked for."""
        self._begun_at = 0.0
        """When it last began with a request."""
        self._reply = Reply()
        """What is told of the requests of its last attempt to subscribe."""
        self._was_sent = False
        """Whether that attempt got as far as to send the subscription."""
        self.waits_its_turn = False
        """Whether others come first with a message or a request that it needs."""
        self._failures = 0
        self._looking: asyncio.Task[None] | None = None
        self._trouble: asyncio.Future[Exception | None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.error: MarketDataError | None = None
        self.look()

    # ------------------------------------------------------------------ what a kind does

    @abstractmethod
    async def subscribe(self, api: Any) -> None:
        """Have ccxt subscribe; ends whenever it likes, what arrives comes by `take`."""

    @abstractmethod
    def take(self, result: Any, at: float) -> None:
        """Take what ccxt made of a frame received at a Unix time."""

    @abstractmethod
    def record(self, watch: Inbox, /) -> R | None:
        """Give the newest state as a watcher wants it; None where there is none yet."""

    def hand_out(self, watch: Inbox) -> None:
        """Give what is new to a watcher that gets each."""
        record = self.record(watch)
        if record is not None:
            watch.put(self, record)

    def marked(self, record: R | None) -> R | None:
        """Give a record with what the stream knows of its freshness."""
        if record is None:
            return None
        update: dict[str, Any] = {"fresh_for": self.fresh_for}
        if self.heard is not None:
            update["received_at"] = datetime.fromtimestamp(self.heard, UTC)
        if self.interrupted:
            update["stale"] = True
        return self.received(record.model_copy(update=update))

    def received(self, record: R) -> R:
        """Give a record that knows how old it is, whatever becomes of the time of day."""
        return stamped(record, self._silent_since)

    async def request(self) -> bool:
        """Get the state over REST, where the stream has none to begin with; tell whether it did."""
        return False

    async def confirm(self) -> bool:
        """Ask over REST whether the newest state still is the exchange's."""
        return False

    async def complete(self) -> None:
        """Wait for what is still being fetched, at the end of a recording."""

    def lost_contact(self) -> None:
        """Hear that the stream was live and is so no more."""

    def begin_anew(self) -> None:
        """Forget what a lost socket makes useless."""

    def size(self) -> int:
        """Give the bytes that the state takes, about."""
        return 0

    # ------------------------------------------------------------------ watchers

    def join(self, watch: Inbox) -> None:
        """Let somebody watch; the first one starts the subscription."""
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
        """Let somebody watch no more; the last one ends the subscription."""
        self.watches.discard(watch)
        for those in (self._each, self._resting):
            if watch in those:
                those.remove(watch)
        if not self.watches:
            await self.stop()

    async def stop(self) -> None:
        """End the subscription: it is taken back, and nothing of it is left."""
        self._ended(self)
        task, self._task = self._task, None
        # What it has begun would go on to subscribe for some turns of the loop.
        await end(task, self._looking)
        await self.upstream.unsubscribe(self)

    def rest(self, watch: Inbox) -> None:
        """Hear that a watcher has taken the newest state."""
        self._resting.append(watch)

    def news(self, at: float, exchange_time: float | None, updates: int = 1) -> None:
        """Tell the watchers of a new state; the exchange's time is in Unix milliseconds."""
        self.version += 1
        self.updates += updates
        if exchange_time is not None:
            lag = at * 1000 - exchange_time
            # A recording's clock, or a simulated one, is not ours.
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
        """Count a frame, and learn how often they come."""
        self.messages += 1
        now = time.monotonic()
        if self._paused_since is not None:
            pause = now - self._paused_since
            usual = 0.99 * self._usual_pause
            if pause > usual and not self.upstream.slept_since(self._paused_since):
                usual = pause
            # Falls slowly and rises at once: the longest pause of late.
            self._usual_pause = usual
        if self.messages % _FORGIVES_AFTER == 0:
            self._impatience = max(1.0, self._impatience / 2)
        self.heard = at
        self._silent_since = self._paused_since = now

    @property
    def _silence(self) -> float:
        return self._waited_since(self._silent_since)

    def _waited_since(self, moment: float) -> float:
        """Give the seconds since a moment, without those before our own process last slept."""
        return time.monotonic() - max(moment, self.upstream.stalled_at)

    def _is_live(self) -> None:
        self.state = "live"
        self._was_there = True
        self._failures = 0
        self._since = self._silent_since = time.monotonic()

    def has_its_turn(self) -> None:
        """Note that what it has waited for among others begins now."""
        self.waits_its_turn = False
        self._asked_at = time.monotonic()
        if not self._was_there:
            self._since = self._asked_at

    def wait_for_whole(self) -> None:
        """Note that a whole state has to come before anything is of use."""
        if self.state == "live":
            self._since = time.monotonic()
        self.state = "resyncing"
        logger.debug("%s %s: a gap, waiting for the whole state", self.upstream.id, self.subject)
        self._asked_at = time.monotonic()

    def tell_again(self) -> None:
        """Hand the last state out again, marked anew, to those who wait for the next."""
        if self.version:
            self.version += 1
            resting, self._resting = self._resting, []
            for watch in resting:
                watch.changed(self)

    # ------------------------------------------------------------------ freshness

    @property
    def patience(self) -> float:
        """Seconds of silence after which something must be wrong."""
        quiet = self.subject.kind in _QUIET_KINDS
        least = _QUIET_PATIENCE if quiet else _LEAST_PATIENCE
        return min(_MOST_PATIENCE, max(least, _LOOSE * self._usual_pause) * self._impatience)

    @property
    def interrupted(self) -> bool:
        """Whether the newest state may be an old one."""
        return self.state in ("stale", "resyncing", "reconnecting", "ended", "failed")

    def look(self) -> None:
        """Look whether it is silent for too long, as the watchdog does again and again."""
        if self.subject.kind != "trades":
            self.fresh_for = round(self.patience, 3)
        if self.waits_its_turn and self.upstream.is_open(self):
            return
        if self.state in ("connecting", "reconnecting", "resyncing"):
            waited = self._waited_since(self._asked_at)
            if self.is_asking and waited > _FIRST_WORD and self.upstream.is_open(self):
                if self.subject.kind in _QUIET_KINDS:
                    self._is_live()  # it will say something when somebody trades
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
        """Begin with a request where the stream says nothing before something happens."""
        try:
            if await self.request():
                self.resyncs += 1 if self.reconnects else 0
        except MarketDataError as error:
            self.error = error
        finally:
            self._looking = None

    async def _look_elsewhere(self) -> None:
        """Find out by a request whether a stream is silent because nothing has happened."""
        try:
            alive = await self.upstream.is_alive(self, max(self.patience, _LONGEST_PING))
            nothing_new = alive and await self.confirm()
        except MarketDataError as error:
            self.error, nothing_new = error, False
        finally:
            self._looking = None
        if self.state != "live" or self._silence <= self.patience:
            return  # it has spoken meanwhile
        if nothing_new:
            self._impatience = min(64.0, self._impatience * 2)
            self._silent_since = time.monotonic()
            self.heard = self.heard and time.time()
            self.tell_again()  # the same state, as of now
        else:
            self._is_stale()

    def _is_stale(self) -> None:
        self.state = "stale"
        self.tell_again()
        self._silent()

    def _silent(self) -> None:
        patience, self._impatience = self.patience, min(64.0, self._impatience * 2)
        if self.upstream.drop_silent(self, min(patience, self.upstream.timeout)):
            return  # which everybody on that socket hears of
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
        """What an error says of where it comes from."""
        return {
            "exchange": self.upstream.id,
            "pair": self.subject.pair,
            "stream": self.subject.kind,
        }

    def joined(self, _line: Any, /) -> None:
        """Hear which socket it will come from."""
        self.waits_its_turn = True

    def asked(self) -> None:
        """Hear that its subscription was sent; exchanges want some time between two."""
        self._was_sent = True
        self.has_its_turn()

    @property
    def is_asking(self) -> bool:
        """Whether the exchange has not answered its subscription yet."""
        return self.state in ("connecting", "reconnecting")

    def refused(self, error: Exception) -> None:
        """Hear that the exchange, or ccxt, turned the subscription down or gave it up."""
        self.trouble(error)

    def lost(self, *, ended: bool) -> None:
        """Hear that the socket is gone."""
        self.trouble(None if ended else ConnectionError())

    def subscribe_anew(self) -> None:
        """Take the subscription back and make it again: other parameters are wanted."""
        self.trouble(_AnewError())

    def trouble(self, error: Exception | None) -> None:
        """Have something mended, or the end of a recording noticed (None)."""
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
        except Exception as error:  # noqa: BLE001 - a watcher must hear of it, whatever it is
            await self._finish(self._ours(error))

    async def _stay(self) -> Exception | None:
        """Subscribe, and give what ended it; None is the end of a recording."""
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
                    f"{self.subject.pair}; it may not trade the pair now.",
                )
        else:
            reply = self._reply
            if self._was_sent:  # then it is about what the exchange has sent
                reply.asked = reply.requests = max(reply.asked, 1)
            made = translate(error, self.upstream.id, reply, keeps_answers=False)
        made.details.update(self.details)
        return made

    def _may_pass(self, error: MarketDataError) -> bool:
        """Tell whether it makes sense to go on."""
        waited = self._waited_since(self._since)
        if not self._was_there and not self.upstream.retries and "attempts" in error.details:
            return False  # the request for its first state has failed
        if isinstance(error, DataUnavailableError) and error.retryable:
            return self._failures < 5  # what ccxt cannot make sense of, again and again
        # The name of a host that was there before is found again when this machine is online again.
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
        # Where no socket was opened, that is what all subjects of the exchange wait for together.
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

    # ------------------------------------------------------------------ telling

    def stats(self) -> Stream:
        """Tell how it is doing."""
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
