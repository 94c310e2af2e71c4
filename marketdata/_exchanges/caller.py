"""The calls to one exchange: shared, limited, retried, and stopped while it keeps failing."""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from marketdata._exchanges.error_mapping import CUT_OFF, MALFORMED, translate
from marketdata._exchanges.loader import ccxt_errors
from marketdata._exchanges.quirks import QUIRKS
from marketdata._requests.bulkhead import Bulkhead
from marketdata._requests.circuit_breaker import Breaker
from marketdata._requests.coalescing import Question, Sharing
from marketdata._requests.deadline import is_patient, ran_out, rest, seconds_left
from marketdata._requests.log import logger
from marketdata._requests.reply import Reply
from marketdata._requests.request import begin, current
from marketdata.errors import DataUnavailableError, InternalError, MarketDataError
from marketdata.models import Upstream

if TYPE_CHECKING:
    from marketdata.settings import Settings

T = TypeVar("T")

SIGNED = {
    "fetchTradingFee": "fetch_trading_fee",
    "fetchTradingFees": "fetch_trading_fees",
}
"""The only calls of ccxt that are made for an account, by their names in ccxt's ``has``. They only
read, and return neither balances nor orders."""

READS = frozenset(
    {
        *("fetch_markets", "fetch_status", "fetch_time"),
        *("fetch_ticker", "fetch_tickers", "fetch_bids_asks", "publicGetTickerTradingDay"),
        *("publicGetAvgPrice", "spotPublicGetAvgPrice"),
        *("fetch_order_book", "fetch_ohlcv", "fetch_trades"),
        *SIGNED.values(),
        *(one.keyless_call[0] for one in QUIRKS.values() if one.keyless_call is not None),
    }
)
"""All methods of ccxt that are ever called; none trades, moves or lists balances."""


def closed(name: str) -> DataUnavailableError:
    """Make the error of a call whose client was closed."""
    return DataUnavailableError(
        "The client was closed while the call was in flight.",
        retryable=True,
        details={"exchange": name},
    )


class Caller:
    """Calls ccxt's methods of one exchange; it belongs to one event loop."""

    def __init__(self, exchange: str, api: Any, settings: Settings) -> None:
        self._exchange = exchange
        self._api = api
        self._settings = settings
        self._questions = Sharing()
        self._bulkhead = Bulkhead(exchange, settings.max_calls)
        self._breaker = Breaker(exchange, settings.trip_after)
        self._requests = 0
        self.unreadable = 0
        """Number of unusable rows that were left out of responses."""

    def ask(
        self,
        make: Callable[[Any, Reply], T],
        method: str,
        args: tuple[Any, ...],
        params: dict[str, Any],
    ) -> Coroutine[Any, Any, T]:
        """Call a method of ccxt; return ``make`` of its result and the reply.

        Equal calls at the same time share one response, so ``make`` must not change it. A response
        that ``make`` cannot use is an error like any other. Temporary errors are retried within the
        time of the call and the number of retries in the settings, and not before the time that the
        exchange asks for.
        """
        if method not in READS:
            raise InternalError(
                f"{method} is not a call that this package makes. Please report it."
            )
        # Patient calls may wait longer than the timeout of others.
        key = f"{method}{args}{params or ''}{'patient' if current().patient else ''}"
        return self._questions.ask(key, partial(self._answer, method, args, params), make)

    async def close(self) -> None:
        """End the calls in flight with an error."""
        await self._questions.close(closed(self._exchange))

    @property
    def pause(self) -> float | None:
        """Seconds of a pause because it keeps failing; None without one."""
        return None if self._breaker.state == "closed" else self._breaker.wait

    def stats(self) -> Upstream:
        """Return the state of the calls."""
        state, budget = self._breaker.state, self._api.transport.budget
        return Upstream(
            exchange=self._exchange,
            breaker=state,
            retry_after=round(self._breaker.wait, 3) if state == "open" else None,
            under_way=self._bulkhead.under_way,
            waiting=self._bulkhead.waiting,
            requests=self._requests,
            shared=self._questions.shared,
            failures=self._breaker.failures,
            unreadable=self.unreadable,
            budget_used=None if budget is None or budget.used is None else round(budget.used, 4),
        )

    async def _answer(
        self, method: str, args: tuple[Any, ...], params: dict[str, Any], question: Question
    ) -> None:
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._attempt(question, method, args, params)
            except MarketDataError as error:
                pause = self._pause_after(error, attempt)
                if pause is None:
                    error.details["attempts"] = attempt
                    raise
                logger.debug(
                    "%s %s: %s, attempt %d; again in %.3f s",
                    *(self._exchange, method, error.code, attempt, pause),
                )
            await rest(pause)

    def _pause_after(self, error: MarketDataError, attempt: int) -> float | None:
        """Return the seconds before the next attempt; None: no further attempt."""
        pause, left = error.retry_after, seconds_left(self._settings.timeout)
        if pause is None:
            pause = min(8.0, 0.25 * 2**attempt) * random.uniform(0.5, 1.0)  # noqa: S311
        if error.retryable and self.pause is not None:
            # Only long downloads wait for an exchange that is paused.
            error.retry_after = pause = max(error.retry_after or 0.0, self.pause)
            left = 0.0
        may_pass = error.retryable and not self._api.transport.ended
        is_worth_it = attempt <= self._settings.retries and (pause < left or is_patient())
        return pause if may_pass and is_worth_it else None

    async def _attempt(
        self, question: Question, method: str, args: tuple[Any, ...], params: dict[str, Any]
    ) -> None:
        place = self._bulkhead.acquire()
        if place is None:
            self._breaker.check()
            place = await self._bulkhead.wait()
        now = datetime.now(UTC)
        reply = Reply(now, now)
        begin(current().noting(reply))
        try:
            turn = self._breaker.begin()
            try:
                answer = await getattr(self._api, method)(*args, params)
                if reply.requests == 0:
                    reply.received_at = datetime.now(UTC)
                try:
                    question.answer(answer, reply)
                finally:
                    del answer  # so that tools that log the locals of a traceback do not log it
                return self._breaker.answered(turn)
            except MarketDataError as error:
                # A valid response can mean that there are no data.
                self._breaker.answered(turn)
                failure = error
            except (*MALFORMED, ccxt_errors().BaseError) as error:
                if not self._api.transport.ended:
                    failure = translate(error, self._exchange, reply)
                    self._breaker.judge(turn, failure)
                else:
                    failure = closed(self._exchange)
            except CUT_OFF:
                self._breaker.end(turn)
                if not self._api.transport.ended:
                    raise
                failure = closed(self._exchange)
            except BaseException:
                if reply.asked > reply.requests and ran_out():
                    self._breaker.failed(turn)
                self._breaker.end(turn)
                raise
        finally:
            self._bulkhead.release(place)
            self._requests += reply.asked
        # ccxt's message contains text of the exchange, which must not be passed on. Raised here,
        # the error does not have it as its context, which pickling, for one, would include.
        raise failure
