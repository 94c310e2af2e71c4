"""Limits answers to a size that agents can read, and says how to get the rest.

``next`` in an answer holds the arguments to change in the same call for the next page.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from pydantic.alias_generators import to_camel

from marketdata.arguments import instant
from marketdata.errors import DataUnavailableError, MarketDataError
from marketdata.models import Record, Ticker, Trade
from marketdata.operations import OPERATIONS

if TYPE_CHECKING:
    from marketdata.pages import Page

__all__ = [
    "CANDLE",
    "MAX_CHARACTERS",
    "MAX_STRETCHES",
    "Answer",
    "Content",
    "Cut",
    "candles",
    "compact",
    "fitted",
    "noted",
    "page",
    "ranking",
    "record",
    "tickers",
    "told",
    "trades",
]

MAX_CHARACTERS = 80_000
_NOTE = 400
"""Characters reserved for a note about limits."""
MAX_STRETCHES = 100
"""Maximum number of gaps, and of filled ranges, in an answer."""

Content: TypeAlias = dict[str, Any]


class Answer(NamedTuple):
    """The answer of a tool."""

    content: Content
    text: str
    """The answer as JSON."""
    picture: str | None = None
    """A PNG in base64, for hosts that show images."""


def compact(content: Content) -> str:
    """Return JSON without blanks; raises ValueError for NaN and infinities."""
    return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


_OPERATION = re.compile(r"`(\w+)`")
_TOOLS = {one.name: one.tool for one in OPERATIONS if one.tool is not None}


def told(error: MarketDataError) -> str:
    """Return an error as JSON of limited size that can be encoded.

    Names of the library's operations in its message become names of tools.
    """
    said = error.to_dict()
    said["message"] = _OPERATION.sub(lambda found: _TOOLS.get(found[1], found[1]), error.message)
    text = compact(said)
    if len(text) > MAX_CHARACTERS:
        text = compact({**said, "message": said["message"][:1000], "details": {}})
    # It can contain text of the caller that cannot be encoded.
    return text.encode("utf-8", "replace").decode()


def noted(answer: Answer, said: Content) -> Answer:
    """Return an answer with a note about its arguments; `fitted` reserves space for it."""
    if not said:
        return answer
    content = {**said, **answer.content}
    if notes := [one["note"] for one in (answer.content, said) if "note" in one]:
        content["note"] = " ".join(notes)
    return answer._replace(content=content, text=compact(content))


def record(answered: Record) -> Answer:
    """Return one record."""
    return fitted(lambda _: answered.to_dict(), 0)


class Cut(NamedTuple):
    """The fields that rows of a table leave out."""

    shared: Sequence[str] = ()
    """Fields that are written once if all rows have the same value."""
    left_out: Sequence[str] = ()
    """Fields that agents do not get, because they pay for what they read."""
    sparse: Sequence[str] = ()
    """Lists that are left out if they are empty."""


def table(
    name: str,
    records: Sequence[Record],
    cut: Cut,
    following: Callable[[int], Content | None],
    **more: int,
) -> Answer:
    """Return records as rows under a name, and the errors of others under ``errors``.

    `following` returns the arguments for the rows after the given number.
    """
    rows = [one.to_dict() for one in records]
    common = {
        field: rows[0][field]
        for field in cut.shared
        if rows and field in rows[0] and all(row.get(field) == rows[0][field] for row in rows)
    }
    gone = {*common, *cut.left_out}
    rows = [
        {
            field: value
            for field, value in row.items()
            if field not in gone and (value or field not in cut.sparse)
        }
        for row in rows
    ]

    errors = [
        {"pair": one.pair, "code": one.code, "message": one.message}
        for one in getattr(records, "errors", ())
    ]

    def build(count: int) -> Content:
        behind = following(count)
        rest: Content = {} if behind is None else {"next": behind}
        if errors:
            rest["errors"] = errors
        return {**common, "returned": count, **more, **rest, name: rows[:count]}

    return fitted(build, len(rows))


def page(
    name: str,
    records: Sequence[Record],
    cut: Cut,
    *,
    limit: int,
    offset: int,
    total: int | None = None,
) -> Answer:
    """Return at most `limit` of the records, starting at `offset`.

    With `total`, the number of all records, ``records`` has only the requested ones.
    """
    if total is None:
        total, records = len(records), records[offset : offset + limit]

    def following(count: int) -> Content | None:
        return {"offset": offset + count} if offset + count < total else None

    return table(name, records, cut, following, total=total)


def tickers(answered: Sequence[Ticker], cut: Cut) -> Answer:
    """Return tickers; pairs that do not fit are in `next`."""

    def following(count: int) -> Content | None:
        left = [one.pair for one in answered[count:]]
        return {"pairs": left} if left else None

    return table("tickers", answered, cut, following)


def ranking(answered: Sequence[Ticker], cut: Cut, sort: str) -> Answer:
    """Return tickers of a ranking, with the fields that a ranking needs."""
    shown = {*_RANKED, to_camel(sort), *cut.shared}
    left_out = [name for name in Ticker.json_schema()["properties"] if name not in shown]
    return table("tickers", answered, Cut(cut.shared, left_out), lambda _: None)


_RANKED = ("timestamp", "pair", "last", "percentage", "quoteVolume")


def trades(answered: Sequence[Trade], cut: Cut, asked: Content) -> Answer:
    """Return trades; those from a time or an id have a `next`."""

    def following(count: int) -> Content | None:
        from_somewhere = asked["start"] is not None or asked["from_id"] is not None
        if not count or not (from_somewhere or count < len(answered)):
            return None
        last = answered[count - 1]
        if asked["from_id"] is not None and last.id is not None and last.id.isdecimal():
            return {"from_id": int(last.id) + 1}
        # Continue in the last trade's millisecond and not in the next: it can have more trades.
        time = instant(last.timestamp)
        return {"start": time + (time == instant(answered[0].timestamp))}

    return table("trades", answered, cut, following)


CANDLE = ("time", "open", "high", "low", "close", "volume", "trades")


def candles(page: Page, columns: Sequence[str] | None) -> Answer:
    """Return a page of candles; `next` starts at the first one that is left out.

    Rows have the named `columns`. The default is all but the number of trades, which few agents
    need.
    """
    answered, note = page.candles, page.note
    names = list(columns or CANDLE[:-1])
    places = [CANDLE.index(name) for name in names]

    def build(count: int) -> Content:
        content = answered[:count].to_dict()
        for name in ("start", "end"):  # written if the call has other forms of them
            content.pop(name, None)
        rows = [[row[one] for one in places] for row in content.pop("candles")]
        left_out = answered.columns.time[count] if count < len(answered) else None
        notes = [note.format(rows=count)] if note else []
        for name in ("missing", "filled"):
            stretches = [
                one.to_dict()
                for one in getattr(answered, name) or ()
                if left_out is None or instant(one.start) < left_out
            ]
            if len(stretches) > MAX_STRETCHES:
                notes.append(f"{name}: first {MAX_STRETCHES} of {len(stretches)}.")
            if name in content:
                content[name] = stretches[:MAX_STRETCHES]
        if notes:
            content["note"] = " ".join(notes)
        if left_out is not None:
            content["next"] = {"start": left_out, **page.following}
        return {**content, "columns": names, "candles": rows}

    return fitted(build, min(page.rows, len(answered)))


def fitted(build: Callable[[int], Content], count: int) -> Answer:
    """Return the answer with as many of `count` rows as the limit allows."""
    while True:
        content = build(count)
        text = compact(content)
        if len(text) <= MAX_CHARACTERS - _NOTE:
            return Answer(content, text)
        if count == 0:
            raise DataUnavailableError(
                f"The answer is longer than {MAX_CHARACTERS} characters and cannot be divided."
            )
        count = min(count - 1, count * (MAX_CHARACTERS - _NOTE) // len(text))
