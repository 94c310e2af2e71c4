"""One tool for each operation that has a name for agents: definition, arguments, answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Le, MaxLen, MinLen
from mcp_types import Tool as Definition
from mcp_types import ToolAnnotations
from pydantic import BaseModel, create_model

import marketdata
from marketdata.arguments import (
    BarLimit,
    Depth,
    Described,
    EachExchange,
    PairNames,
    QuoteCodes,
    Reader,
    TickerLimit,
    TimeframeName,
    TradeLimit,
    arguments_of,
    window_length,
)
from marketdata.models import Record, absent_not_null
from marketdata.operations import OPERATIONS, Operation
from marketdata.pages import lookback, page
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.ask import Ask
from marketdata_mcp.catalogue.schemas import outward, whole

if TYPE_CHECKING:
    from marketdata_mcp.served import Served

__all__ = ["TOOLS", "Tool", "server_tool"]


@dataclass(frozen=True)
class Adaptation:
    """How a tool differs from its operation, because an agent pays for what it reads."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments with narrower bounds, or that only the tool has: annotation and default."""
    hidden: Sequence[str] = ()
    """Arguments of the operation that are not for agents."""
    shared: Sequence[str] = ()
    """Fields that are said once for all rows where all rows have the same."""
    left_out: Sequence[str] = ()
    """Fields of rows that are not for agents."""
    sparse: Sequence[str] = ()
    """Lists in rows that are left out where they are empty."""
    alternatives: Sequence[str] = ()
    """Numbers of which one is given: 0 in the place of the other is as if left out."""


_CURRENT = timedelta(days=1)
"""How far back data are current: what every ticker covers."""

_MOST_TRADED = "quote_volume"
_RANKED = 20
"""Tickers of a ranking where the call does not say how many."""

_SEVERAL: Mapping[str, Any] = {
    "exchanges": (Annotated[EachExchange, MaxLen(20)] | None, None),
    "quotes": (Annotated[QuoteCodes, MaxLen(5)] | None, None),
}
_PAGED: Mapping[str, Any] = {
    "limit": (Annotated[int, Ge(1), Le(200), Described("Rows at most, e.g. 10.")], 200),
    "offset": (Annotated[int, Ge(0), Described("Rows to skip, e.g. 200.")], 0),
}

ADAPTATIONS: Mapping[str, Adaptation] = {
    "list_exchanges": Adaptation(
        arguments=_PAGED,
        left_out=("derivedTimeframes", "streamTimeframes"),
        sparse=("derived", "needsKey", "tradesFrom"),
    ),
    "list_pairs": Adaptation(
        arguments=_PAGED,
        hidden=("refresh",),
        shared=("exchange", "receivedAt", "simulated"),
    ),
    "get_tickers": Adaptation(
        arguments={
            "pairs": (Annotated[PairNames, MaxLen(50)] | None, None),
            "limit": (Annotated[TickerLimit, Le(50)] | None, None),
        },
        shared=(
            *("exchange", "window", "source", "receivedAt", "simulated"),
            *("derived", "derivedFields"),
        ),
    ),
    "get_orderbook": Adaptation(arguments={"depth": (Annotated[Depth, Le(100)], 20)}),
    "get_candles": Adaptation(
        arguments={
            "timeframe": (TimeframeName | None, None),
            "limit": (Annotated[BarLimit, Le(500)] | None, None),
            "fill": (
                Annotated[
                    Literal["zero", "previous"],
                    Described("Fill candles where nobody traded, e.g. previous."),
                ]
                | None,
                None,
            ),
            "columns": (
                Annotated[
                    Sequence[Literal["time", "open", "high", "low", "close", "volume", "trades"]],
                    MinLen(1),
                    MaxLen(7),
                    Described("E.g. time, close; else all but trades."),
                ]
                | None,
                None,
            ),
        },
        hidden=("strict", "refresh", "store"),
    ),
    "get_trades": Adaptation(
        arguments={"limit": (Annotated[TradeLimit, Le(200)], 50)},
        shared=("exchange", "pair", "receivedAt", "simulated"),
    ),
    "compare_exchanges": Adaptation(arguments=_SEVERAL),
    "get_consolidated_orderbook": Adaptation(
        arguments={"depth": (Annotated[Depth, Le(100)], 20), **_SEVERAL},
    ),
    "get_execution_cost": Adaptation(arguments=_SEVERAL, alternatives=("amount", "quote_amount")),
}


@dataclass(frozen=True, kw_only=True)
class Tool(ABC):
    """What agents can call: its definition, the check of its arguments, its answer."""

    name: str
    purpose: str
    """What it is for, by which models choose it."""
    hidden: Sequence[str] = ()
    """See `Adaptation`, as for `alternatives`."""
    alternatives: Sequence[str] = ()
    is_repeatable: bool = True
    """Whether nothing more comes of calling it twice."""

    @property
    @abstractmethod
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments."""

    @abstractmethod
    def output_schema(self) -> Content:
        """Return the schema of its answers."""

    @abstractmethod
    async def answer(self, served: Served, arguments: Content) -> Answer:
        """Answer a call, with arguments that `parse` gave."""

    def _with_said(self, schema: Content) -> Content:
        """Add what an answer says of the arguments: what a bound cut, how times were read."""
        properties = schema["properties"]
        for name in ("note", *({"start", "end"} & self.arguments.model_fields.keys())):
            properties.setdefault(name, {"type": "string"})
        return schema

    @cached_property
    def definition(self) -> Definition:
        """What tools/list says."""
        return Definition(
            name=self.name,
            title=self.name.replace("_", " ").capitalize(),
            description=self.purpose,
            input_schema=self.reader.schema(),
            output_schema=self._with_said(self.output_schema()),
            annotations=ToolAnnotations(
                read_only_hint=True,
                destructive_hint=False,
                idempotent_hint=self.is_repeatable,
                open_world_hint=True,
            ),
        )

    @cached_property
    def reader(self) -> Reader:
        """What reads its arguments, and tells clients of them."""
        schema = absent_not_null(self.arguments.model_json_schema())
        return Reader(self.name, self.arguments, schema, self.hidden, self.alternatives)

    def parse(self, given: Mapping[str, Any]) -> Content:
        """Check arguments; raises as `Reader.read`."""
        return self.reader.read(given)[0]

    @abstractmethod
    def ask(self, arguments: Content) -> Ask:
        """Tell what access control has to know of a call, from arguments that `parse` gave."""


@dataclass(frozen=True, kw_only=True)
class OperationTool(Tool):
    """An operation as agents see it."""

    operation: Operation
    adaptation: Adaptation

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The operation's, without what is hidden and with what only the tool has."""
        own = self.operation.arguments
        fields: dict[str, Any] = {
            name: (info.annotation, info)
            for name, info in own.model_fields.items()
            if name not in self.adaptation.hidden
        }
        fields.update(self.adaptation.arguments)
        model: type[BaseModel] = create_model(self.name, __config__=own.model_config, **fields)
        return model

    async def answer(self, served: Served, arguments: Content) -> Answer:
        """Ask with arguments that `parse` gave, and cut the answer to its bounds."""
        ask = getattr(served.client, self.operation.name)
        adaptation, shared = self.adaptation, self.adaptation.shared
        match self.operation.record, self.operation.many:
            case "Exchange" | "Pair", _:
                asked = {name: one for name, one in arguments.items() if name not in _PAGED}
                bounds = {name: arguments[name] for name in _PAGED}
                cut = answers.Cut(shared, adaptation.left_out, adaptation.sparse)
                if asked.get("search") is not None and asked["exchange"] is None:
                    del asked["exchange"]
                    total, found = await served.client.page_of_pairs(**asked, **bounds)
                    return answers.page("pairs", found, cut, **bounds, total=total)
                return answers.page(self.operation.name, await ask(**asked), cut, **bounds)
            case "Ticker", True:
                return await _tickers(ask, shared, arguments)
            case "Trade", _:
                return answers.trades(await ask(**arguments), shared, arguments)
            case "Candles", _:
                asked = {**arguments, "fill": arguments["fill"] or "none"}
                columns = asked.pop("columns")
                return answers.candles(await page(served.client, asked), columns)
            case _:
                return answers.record(await ask(**arguments))

    def ask(self, arguments: Content) -> Ask:
        """Tell what access control has to know of a call."""
        is_candles = self.operation.record == "Candles"
        return Ask(_named(arguments), (lookback if is_candles else _reach)(arguments))

    def output_schema(self) -> Content:
        """Return the record's schema, or that of a list of them."""
        kind: type[Record] = getattr(marketdata, self.operation.record)
        schema: Content = outward(kind.json_schema())
        properties = schema["properties"]
        more = {"type": "object", "description": "Arguments to change for what comes behind."}
        if not self.operation.many:
            if self.operation.record == "Candles":
                properties["note"] = {"type": "string"}
                properties["next"] = more
                properties["columns"] = {"type": "array", "items": {"type": "string"}}
                # As many as the call's `columns` has.
                properties["candles"]["items"] = {
                    "type": "array",
                    "items": properties["candles"]["items"]["items"],
                }
            return schema
        shared = {name: properties[name] for name in self.adaptation.shared}
        for name in self.adaptation.left_out:
            del properties[name]
        row = {**schema, "required": [name for name in schema["required"] if name not in shared]}
        count = {"type": "integer"}
        paged = {"total": count} if "offset" in self.adaptation.arguments else {}
        failed = {}
        if "pairs" in self.adaptation.arguments:
            text = {name: {"type": "string"} for name in ("pair", "code", "message")}
            row_of_error = {"type": "object", "properties": text, "required": list(text)}
            failed = {"errors": {"type": "array", "items": row_of_error}}
        return {
            "type": "object",
            "properties": {
                **shared,
                "returned": count,
                **paged,
                "next": more,
                **failed,
                self.operation.name: {"type": "array", "items": row},
            },
            "required": ["returned", *paged, self.operation.name],
        }


@dataclass(frozen=True, kw_only=True)
class ServerTool(Tool):
    """A tool about what the server itself holds: watches, what an account has used."""

    run: Callable[..., Awaitable[Answer]]
    record: type[Record]
    asks: Callable[[Content], Ask]

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model of the function's arguments."""
        return arguments_of(self.run)

    def output_schema(self) -> Content:
        """Return the record's schema."""
        return whole(self.record.json_schema())

    async def answer(self, served: Served, arguments: Content) -> Answer:
        """Call the function."""
        return await self.run(served, **arguments)

    def ask(self, arguments: Content) -> Ask:
        """Tell what access control has to know of a call."""
        return self.asks(arguments)


def _ask(arguments: Content) -> Ask:
    return Ask(_named(arguments))


def server_tool(
    record: type[Record], *, asks: Callable[[Content], Ask] = _ask, is_repeatable: bool = True
) -> Callable[[Callable[..., Awaitable[Answer]]], ServerTool]:
    """Make a tool of a function whose answers are of a record.

    Its name, docstring and signature are the tool's; what it takes first is what is `Served`.
    """

    def made(run: Callable[..., Awaitable[Answer]]) -> ServerTool:
        return ServerTool(
            name=run.__name__,
            purpose=" ".join((run.__doc__ or "").split()),
            is_repeatable=is_repeatable,
            run=run,
            record=record,
            asks=asks,
        )

    return made


async def _tickers(ask: Callable[..., Any], shared: Sequence[str], asked: Content) -> Answer:
    if asked["pairs"] is not None:
        return answers.tickers(await ask(**asked), shared)
    # All pairs of an exchange are more than anybody reads: it is asked for a ranking of them.
    sort, limit = asked["sort"] or _MOST_TRADED, asked["limit"] or _RANKED
    found = await ask(**{**asked, "sort": sort, "limit": limit})
    return answers.ranking(found, shared, sort)


def _reach(arguments: Content) -> timedelta:
    """Tell how far back trades and tickers reach, where that is further than a ticker's day."""
    reach = timedelta()
    if arguments.get("from_id") is not None:
        return timedelta.max  # nobody can tell when a trade of that number was
    if arguments.get("start") is not None:
        reach = datetime.now(UTC) - datetime.fromtimestamp(arguments["start"] / 1000, UTC)
    elif arguments.get("window") not in (None, "day"):
        reach = window_length(arguments["window"])
    return reach if reach > _CURRENT else timedelta()


def _named(arguments: Content) -> tuple[str, ...]:
    """Return the exchanges that a call names, in the one or the other argument that tools have."""
    one = arguments.get("exchange")
    return (one,) if one is not None else tuple(arguments.get("exchanges") or ())


def _tool(name: str, operation: Operation) -> Tool:
    adaptation = ADAPTATIONS.get(name, Adaptation())
    return OperationTool(
        name=name,
        purpose=operation.purpose,
        hidden=adaptation.hidden,
        alternatives=adaptation.alternatives,
        operation=operation,
        adaptation=adaptation,
    )


TOOLS: Mapping[str, Tool] = {
    one.tool: _tool(one.tool, one) for one in OPERATIONS if one.tool is not None
}
