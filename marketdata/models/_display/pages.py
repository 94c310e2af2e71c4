"""Choose the page for a record or a list of records."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from marketdata.models._display import books, candles, cards, lists, several, stored, streams
from marketdata.models._display.elements import (
    ABSENT,
    FAINT,
    PLAIN,
    STRONG,
    WARNING,
    Column,
    Entry,
    Facts,
    Page,
    Table,
)
from marketdata.models._display.numbers import counted, digits, evened, moments
from marketdata.models.decimals import as_number
from marketdata.models.lists import Records

if TYPE_CHECKING:
    from marketdata.models import Record

_ONE: dict[str, Callable[[Any, datetime], Page]] = {
    "Ticker": cards.ticker,
    "AveragePrice": cards.average,
    "Quote": cards.quote,
    "Status": cards.status,
    "Fees": cards.fees,
    "OrderBook": books.orderbook,
    "Candles": candles.candles,
    "Comparison": several.comparison,
    "ConsolidatedOrderBook": several.consolidated,
    "ExecutionCost": several.execution,
    "Recorded": streams.recorded,
}

_MANY: dict[str, Callable[[Any, datetime], Page]] = {
    "Exchange": lists.exchanges,
    "Pair": lists.pairs,
    "Ticker": lists.tickers,
    "Quote": lists.quotes,
    "Trade": lists.trades,
    "Stream": streams.streams,
    "Series": stored.series,
    "Downloaded": stored.downloaded,
    "Plan": stored.plans,
    "Damage": stored.damage,
}


def page(answer: Any, now: datetime | None = None, columns: Sequence[str] | None = None) -> Page:
    """Show a record, or a list of records.

    ``columns`` are the fields to show of a list, in place of its usual columns.
    """
    now = now or datetime.now(UTC)
    if not isinstance(answer, Records):
        name = type(answer).__name__
        if name in _ONE:
            return _ONE[name](answer, now)
        return _MANY[name]([answer], now) if name in _MANY else _facts(answer)
    kinds: set[type[Any] | None] = {type(one) for one in answer} or {answer.of}
    name = getattr(kinds.pop(), "__name__", "") if len(kinds) == 1 else ""
    answer.check_fields(columns or ())
    usual = name in _MANY and columns is None
    shown = _MANY[name](answer, now) if usual else _rows(answer, columns)
    return [
        *shown,
        *[[(f"{one.pair}  {one.code}  {one.message}", WARNING)] for one in answer.errors],
    ]


def _facts(record: Record) -> Page:
    """Show a record that has no page of its own: the names and values of its known fields."""
    facts: list[Entry] = [
        (name.replace("_", " "), _text(getattr(record, name)), PLAIN)
        for name in type(record).model_fields
    ]
    return [[(type(record).__name__, STRONG)], Facts(facts)]


def _rows(records: Sequence[Record], chosen: Sequence[str] | None = None) -> Page:
    """Show records as rows of their fields: all of them, or the chosen ones."""
    names = chosen or dict.fromkeys(name for one in records for name in type(one).model_fields)
    columns = [
        _column(name.replace("_", " "), [getattr(one, name, None) for one in records])
        for name in names
    ]
    return [Table(columns), [(counted(len(records), "record"), FAINT)]]


def _column(title: str, values: list[Any]) -> Column:
    known = [value for value in values if value is not None]
    if known and all(isinstance(value, datetime) for value in known):
        written = iter(moments(known))
        cells = [ABSENT if value is None else next(written) for value in values]
        return Column(f"{title} (UTC)", cells, right=False)
    if known and all(isinstance(value, float | Decimal) for value in known):
        return Column(title, evened(values))
    return Column(title, [_text(value) for value in values], right=not _is_text(known))


def _is_text(known: list[Any]) -> bool:
    return any(not isinstance(value, int) or isinstance(value, bool) for value in known)


def _text(value: Any) -> str:
    match value:
        case None:
            return ABSENT
        case bool():
            return "yes" if value else "no"
        case int() | float():
            return digits(value)
        case Decimal():
            return digits(as_number(value))
        case datetime():
            return f"{moments([value])[0]} UTC"
        case [str(), *_]:
            return " ".join(value)
        case tuple() | list() | dict():
            return digits(len(value)) if value else ABSENT
    return str(value)
