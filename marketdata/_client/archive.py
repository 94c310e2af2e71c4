"""The stored candles of a client: download, list, verify, repair, export, remove."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from marketdata import arguments
from marketdata._client.progress import shown
from marketdata._client.session import Session
from marketdata._requests.tasks import all_of
from marketdata.arguments import (
    Destination,
    DryRun,
    End,
    ExchangeId,
    ExchangeIds,
    ExportFormat,
    ListDetail,
    Moment,
    OnlyExchanges,
    OnlyPairs,
    OnlyTimeframe,
    PairName,
    PairNames,
    ProgressCallback,
    Refresh,
    SameAsExchanges,
    Scheduler,
    Start,
    TimeframeName,
    checked,
)
from marketdata.errors import (
    DataUnavailableError,
    InvalidParameterError,
    MarketDataError,
    TimeframeNotSupportedError,
)

if TYPE_CHECKING:
    from marketdata._candles.store import SeriesName, Store
    from marketdata._candles.table import SeriesTable
    from marketdata._exchanges.exchange import Venue
    from marketdata.models.lists import Records
    from marketdata.models.stored import Damage, Downloaded, Plan, Progress, Series
    from marketdata.settings import Settings

T = TypeVar("T")

_AT_ONCE = 2
"""Series of one exchange that are downloaded at the same time; each sends many requests."""
_FOREVER = 1 << 62


class AsyncHistory:
    """The stored candles of an `AsyncClient`, as its ``history``; needs the extra ``history``.

    `AsyncClient.candles` and `download` store closed candles in MARKETDATA_STORE.
    """

    def __init__(self, session: Session) -> None:
        self._session = session

    # ------------------------------------------------------------------ filling

    @checked
    async def download(
        self,
        pairs: PairNames,
        timeframe: TimeframeName = "1m",
        *,
        start: Start,
        end: End | None = None,
        exchanges: ExchangeIds | None = None,
        exchange: SameAsExchanges | None = None,
        refresh: Refresh = False,
        progress: ProgressCallback | None = None,
        scheduler: Scheduler | None = None,
    ) -> Records[Downloaded]:
        """Download the closed candles of pairs that are not stored yet.

        The range goes from `start` to before `end` (by default now). If one series fails, its
        `error` says why and the others continue. Run the same download again to resume it. A
        notebook shows a progress bar unless `progress` is given.
        """
        from marketdata.models.lists import Records
        from marketdata.models.stored import Downloaded

        store = await self.store(writing=True)
        since, until = _range(start, end)
        if scheduler is not None:
            from marketdata._client import cluster

            cluster.check(scheduler)
        one_exchange = {name: asyncio.Semaphore(_AT_ONCE) for name in self._names(exchanges)}

        with shown(progress) as told:

            async def one(exchange: str, pair: str) -> Downloaded:
                async with one_exchange[exchange]:
                    job = Job(
                        self._session, store, exchange, pair, timeframe, since, until, refresh
                    )
                    return await job.run(told, scheduler)

            found = await all_of(one(name, pair) for name in one_exchange for pair in pairs)
        return Records(found, of=Downloaded)

    @checked
    async def plan(
        self,
        pairs: PairNames,
        timeframe: TimeframeName = "1m",
        *,
        start: Start,
        end: End | None = None,
        exchanges: ExchangeIds | None = None,
        exchange: SameAsExchanges | None = None,
        refresh: Refresh = False,
    ) -> Records[Plan]:
        """Estimate what `download` would do: how many requests, and how long they take."""
        from marketdata.models.lists import Records
        from marketdata.models.stored import Plan

        store = await self.store()
        since, until = _range(start, end)
        jobs = [
            Job(self._session, store, name, pair, timeframe, since, until, refresh)
            for name in self._names(exchanges)
            for pair in pairs
        ]
        return Records([await job.plan() for job in jobs], of=Plan)

    # ------------------------------------------------------------------ looking

    @checked
    async def list(
        self,
        pairs: OnlyPairs | None = None,
        timeframe: OnlyTimeframe | None = None,
        *,
        exchanges: OnlyExchanges | None = None,
        exchange: SameAsExchanges | None = None,
        detail: ListDetail = "series",
    ) -> Records[Series]:
        """List the stored series: range, candles, completeness and size.

        ``detail="day"`` adds the state of every day: whether it is complete or over, its gaps with
        their causes, and what was not requested yet. This reads all candles.
        """
        from marketdata._candles import inventory
        from marketdata.models.lists import Records
        from marketdata.models.stored import Series

        store = await self.store()
        names = await self._chosen(store, pairs, timeframe, exchanges)
        found: list[Series] = []
        for name in names:
            one = await asyncio.to_thread(inventory.describe, store, name)
            if one is not None and detail == "day":
                days = await asyncio.to_thread(inventory.days, store, name)
                one = one.model_copy(update={"days": days})
            found += [] if one is None else [one]
        return Records(found, of=Series)

    @checked
    async def verify(
        self,
        pairs: OnlyPairs | None = None,
        timeframe: OnlyTimeframe | None = None,
        *,
        exchanges: OnlyExchanges | None = None,
        exchange: SameAsExchanges | None = None,
    ) -> Records[Damage]:
        """Check all stored candles and report damage; an empty list if there is none."""
        from marketdata._candles import inventory
        from marketdata.models.lists import Records
        from marketdata.models.stored import Damage

        store = await self.store()
        names = await self._chosen(store, pairs, timeframe, exchanges)
        found = [await asyncio.to_thread(inventory.damage, store, name) for name in names]
        return Records((one for several in found for one in several), of=Damage)

    # ------------------------------------------------------------------ changing

    @checked
    async def repair(
        self,
        pairs: OnlyPairs | None = None,
        timeframe: OnlyTimeframe | None = None,
        *,
        exchanges: OnlyExchanges | None = None,
        exchange: SameAsExchanges | None = None,
    ) -> Records[Damage]:
        """Remove damaged parts from the store, and report them.

        Intact files are kept, even if the log of the table is lost. Removed candles are requested
        again when they are next needed.
        """
        from marketdata._candles import inventory
        from marketdata.models.lists import Records
        from marketdata.models.stored import Damage

        store = await self.store(writing=True)
        names = await self._chosen(store, pairs, timeframe, exchanges)
        found = [await asyncio.to_thread(inventory.repair, store, name) for name in names]
        return Records((one for several in found for one in several), of=Damage)

    @checked
    async def export(
        self,
        destination: Destination,
        pair: PairName,
        timeframe: TimeframeName = "1m",
        *,
        start: Start | None = None,
        end: End | None = None,
        format: ExportFormat | None = None,  # noqa: A002 - the word of the shell's option
        exchange: ExchangeId | None = None,
    ) -> Path:
        """Write stored candles to a file, all of them or a range, without a request.

        By default the ending of the file's name gives the format. Raises `DataUnavailableError` if
        the series is not stored.
        """
        from marketdata._candles import export
        from marketdata._candles.calendar import known

        path = Path(destination)
        kind = format or _format(path)
        since, until = _range(start, end)
        store = await self.store()
        exchanges = (exchange,) if exchange is not None else self._session.settings.exchange[:1]
        names = await self._chosen(store, (pair,), timeframe, exchanges)
        table = store.table(names[0]) if names else None
        if table is None or not await asyncio.to_thread(lambda: table.refresh() and table.files()):
            raise DataUnavailableError(
                f"No {timeframe} candles of {pair} on {exchanges[0]} are stored. `history list` "
                "lists what is stored, `history download` downloads more.",
                details={"exchange": exchanges[0], "pair": pair, "timeframe": timeframe},
            )
        upto = _FOREVER if until is None else until
        try:
            calendar = known(names[0].exchange, timeframe)
            await asyncio.to_thread(export.write, table, calendar, path, kind, since, upto)
        except OSError as error:
            raise InvalidParameterError(
                f"{path} cannot be written: {os.strerror(error.errno or 0)}.",
                details={"parameter": "destination"},
            ) from None
        return path

    @checked
    async def remove(
        self,
        pairs: PairNames,
        timeframe: OnlyTimeframe | None = None,
        *,
        exchanges: OnlyExchanges | None = None,
        exchange: SameAsExchanges | None = None,
        dry_run: DryRun = False,
    ) -> Records[Series]:
        """Delete stored series and return them; all timeframes of the pairs by default."""
        from marketdata._candles import inventory
        from marketdata.models.lists import Records
        from marketdata.models.stored import Series

        store = await self.store(writing=not dry_run)
        removed = []
        for name in await self._chosen(store, pairs, timeframe, exchanges):
            series = await asyncio.to_thread(inventory.describe, store, name)
            if not dry_run:
                await asyncio.to_thread(store.remove, name)
            removed.append(series)
        return Records((one for one in removed if one is not None), of=Series)

    # ------------------------------------------------------------------ choosing

    async def store(self, *, writing: bool = False) -> Store:
        """Open the store.

        Parameters:
            writing: Whether candles are to be written.

        Returns:
            The store.

        Raises:
            MarketDataError: There is no store, or it is read-only and ``writing`` is true.
        """
        store = await self._session.store()
        if isinstance(store, MarketDataError):
            raise store
        if writing and store.read_only is not None:
            raise store.read_only
        return store

    def _names(self, exchanges: Sequence[str] | None) -> Sequence[str]:
        return tuple(dict.fromkeys(exchanges or self._session.settings.exchange[:1]))

    async def _chosen(
        self,
        store: Store,
        pairs: Sequence[str] | None,
        timeframe: str | None,
        exchanges: Sequence[str] | None,
    ) -> Sequence[SeriesName]:
        """Choose stored series; pairs may lack the slash.

        A client of the simulator only sees simulated series.
        """
        names = await asyncio.to_thread(store.series, pairs, timeframe, exchanges)
        if self._session.settings.sim:
            return [name for name in names if name.simulated is not None]
        return names


@dataclass
class Job:
    """The download of one series; times are Unix milliseconds."""

    session: Session
    store: Store
    exchange: str
    pair: str
    timeframe: str
    start: int
    end: int | None
    refresh: bool = False

    async def run(
        self, progress: Callable[[Progress], object] | None, scheduler: Any | None
    ) -> Downloaded:
        """Download here or on the workers of a scheduler, and return the report."""
        from marketdata._candles import inventory
        from marketdata._candles.calendar import known
        from marketdata._candles.spans import moment
        from marketdata.models.stored import Downloaded

        began = time.monotonic()
        failure: MarketDataError | None = None
        name: SeriesName | None = None
        tables: list[SeriesTable] = []
        before = there = inventory.Stored()
        try:
            name, tables = await self._series()
            calendar = known(name.exchange, name.timeframe)
            before = await asyncio.to_thread(
                inventory.stored_of, tables, calendar, self.start, self.end
            )
            report = self._reporter(name, progress, 0 if self.refresh else before.places)
            if scheduler is None:
                await self.fetch(self.start, self.end, report)
            else:
                from marketdata._client import cluster

                parts = await asyncio.to_thread(
                    cluster.parts,
                    tables,
                    calendar,
                    self.start,
                    self.end,
                    refresh=self.refresh,
                )
                await cluster.fetch(
                    self._in_worker(),
                    parts,
                    scheduler,
                    report,
                    retries=self.session.settings.retries,
                )
                for table in tables:
                    await asyncio.to_thread(table.tidy, 2)
            if report is not None:
                report(None)
        except MarketDataError as error:
            failure = error
        if name is not None:
            with contextlib.suppress(MarketDataError):
                there = await asyncio.to_thread(
                    inventory.stored_of,
                    tables,
                    known(name.exchange, name.timeframe),
                    self.start,
                    self.end,
                )
        anew = self.refresh and failure is None
        return Downloaded(
            exchange=self.exchange,
            pair=self.pair if name is None else name.pair,
            timeframe=self.timeframe,
            simulated=True if name is not None and name.simulated else None,
            start=moment(self.start),
            end=None if self.end is None else moment(self.end),
            bars=there.candles,
            fetched=there.places if anew else max(0, there.places - before.places),
            holes=there.gaps,
            seconds=round(time.monotonic() - began, 3),
            error=None if failure is None else failure.to_dict(),
        )

    async def fetch(
        self, start: int, end: int | None, report: Callable[[int], None] | None = None
    ) -> None:
        """Download and store the missing parts of a range."""

        async def work(venue: Venue) -> None:
            from marketdata._candles.questions import native
            from marketdata._candles.series import Keep

            keep = Keep(self.store, refresh=self.refresh, progress=report)
            pair = await venue.listed.symbol(self.pair, halted=True)
            plays = await venue.listed.plays()
            series = await native(venue, pair, self.timeframe, keep, plays)
            await series.between(start, end)

        await self.session.ask(self.exchange, work)

    def _in_worker(self) -> Callable[[int, int | None], int]:
        """Return the function that a worker calls with a part of the range."""
        return functools.partial(
            _download_part,
            self.session.settings,
            self.exchange,
            self.pair,
            self.timeframe,
            self.refresh,
        )

    async def plan(self) -> Plan:
        """Return what the download would do; requests at most the list of pairs."""
        from marketdata._candles.calendar import known
        from marketdata._candles.inventory import covered_of
        from marketdata._candles.spans import Span, moment, without
        from marketdata.models.stored import Plan

        name, tables = await self._series()
        calendar = known(name.exchange, self.timeframe)
        now = round(time.time() * 1000)
        end = min(now if self.end is None else self.end, now)
        span = Span(calendar.ceil(self.start), calendar.ceil(max(end, self.start)))
        covered = [] if self.refresh else await asyncio.to_thread(covered_of, tables)
        left = without(span, covered)
        wanted = sum(calendar.count(*one) for one in left)

        async def work(venue: Venue) -> tuple[int, float]:
            page = max(1, venue.candles_per_request(self.timeframe) - 1)
            requests = sum(-(-calendar.count(*one) // page) for one in left)
            return requests, venue.seconds_for(requests)

        requests, seconds = await self.session.ask(self.exchange, work)
        return Plan(
            exchange=self.exchange,
            pair=name.pair,
            timeframe=self.timeframe,
            simulated=True if name.simulated else None,
            start=moment(span.start),
            end=moment(span.end),
            stored=calendar.count(*span) - wanted,
            wanted=wanted,
            requests=requests,
            seconds=round(seconds, 1),
        )

    async def _series(self) -> tuple[SeriesName, list[SeriesTable]]:
        """Return the series' name as its exchange writes it, and its table.

        It is followed by the table of the former pair, if a token was renamed.

        Raises `TimeframeNotSupportedError` for timeframes that the exchange lacks or that are not
        stored, and `DataUnavailableError` if it has no candles.
        """
        from marketdata._candles.store import SeriesName

        async def work(venue: Venue) -> tuple[SeriesName, str | None]:
            venue.check("candles", native=True)
            pair = await venue.listed.symbol(self.pair, halted=True)
            offered = [name for name in venue.timeframes if arguments.is_timeframe(name)]
            if self.timeframe not in offered:
                raise TimeframeNotSupportedError(
                    f"{venue.id} has no '{self.timeframe}' candles of its own; it has "
                    f"{', '.join(offered)}. `candles` resamples others from those.",
                    details={
                        "exchange": venue.id,
                        "timeframes": offered,
                        "closest": arguments.nearest(self.timeframe, offered),
                    },
                )
            plays = await venue.listed.plays()
            named = SeriesName(venue.id, pair, self.timeframe, plays)
            return named, await venue.listed.predecessor(pair)

        name, former = await self.session.ask(self.exchange, work)
        names = [name] if former is None else [name, name._replace(pair=former)]
        return name, [self.store.table(one) for one in names]

    def _reporter(
        self, name: SeriesName, progress: Callable[[Progress], object] | None, done: int
    ) -> Callable[[int | None], None] | None:
        """Return a function that counts new candles and reports progress; None as count:
        finished."""
        if progress is None:
            return None
        from marketdata._candles.calendar import known
        from marketdata.models.stored import Progress

        now = round(time.time() * 1000)
        calendar = known(name.exchange, name.timeframe)
        total = calendar.count(self.start, min(self.end or now, now))

        def report(bars: int | None) -> None:
            nonlocal done
            done = total if bars is None else min(done + bars, total)
            progress(
                Progress(
                    exchange=name.exchange,
                    pair=name.pair,
                    timeframe=name.timeframe,
                    simulated=True if name.simulated else None,
                    done=done,
                    total=total,
                    finished=bars is None,
                )
            )

        report(0)
        return report


def _download_part(
    settings: Settings,
    exchange: str,
    pair: str,
    timeframe: str,
    refresh: bool,
    start: int,
    end: int | None,
) -> int:
    """Download the missing candles of a part in a worker; return its number of places."""
    from marketdata._candles.calendar import known

    async def work() -> int:
        async with Session(settings) as session:
            store = await AsyncHistory(session).store()
            job = Job(session, store, exchange, pair, timeframe, start, end, refresh)
            await job.fetch(start, end)
        until = round(time.time() * 1000) if end is None else end
        return known(exchange, timeframe).count(start, until)

    return asyncio.run(work())


def _range(start: Moment | None, end: Moment | None) -> tuple[int, int | None]:
    """Return both ends in Unix milliseconds; raises `InvalidParameterError` for an empty range."""
    since = 0 if start is None else arguments.instant(start)
    until = None if end is None else arguments.instant(end)
    if until is not None and since >= until:
        raise InvalidParameterError("start must be before end.", details={"parameter": "start"})
    return since, until


def _format(path: Path) -> Any:
    kind = {".parquet": "parquet", ".csv": "csv", ".feather": "feather", ".arrow": "feather"}.get(
        path.suffix.lower()
    )
    if kind is None:
        raise InvalidParameterError(
            "Give the format as parquet, csv or feather, or use it as the file's ending.",
            details={"parameter": "format"},
        )
    return kind
