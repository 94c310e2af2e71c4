"""The tools of the operations: definition, arguments, answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

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
)
from marketdata.models import Record, absent_not_null
from marketdata.operations import OPERATIONS, Operation
from marketdata.pages import page
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content, Cut
from marketdata_mcp.catalogue.schemas import outward

if TYPE_CHECKING:
    from marketdata_mcp.served import Served

__all__ = ["TOOLS", "Tool", "server_tool"]


_NOTHING = Cut()


@dataclass(frozen=True)
class Adaptation:
    """The differences of a tool from its operation, because agents pay for what they read."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Annotation and default of arguments with narrower bounds, or that only the tool has."""
    hidden: Sequence[str] = ()
    """Arguments of the operation that agents do not have."""
    cut: Cut = _NOTHING
    """The fields that rows leave out."""
    alternatives: Sequence[str] = ()
    """Numbers of which exactly one is given: 0 for the other means not given."""


_MOST_TRADED = "quote_volume"
_RANKED = 20
"""The default number of tickers in a ranking."""

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
        cut=Cut(
            left_out=("derivedTimeframes", "streamTimeframes"),
            sparse=("derived", "needsKey", "tradesFrom"),
        ),
    ),
    "list_pairs": Adaptation(
        arguments=_PAGED,
        hidden=("refresh",),
        cut=Cut(("exchange", "receivedAt", "simulated")),
    ),
    "get_tickers": Adaptation(
        arguments={
            "pairs": (Annotated[PairNames, MaxLen(50)] | None, None),
            "limit": (Annotated[TickerLimit, Le(50)] | None, None),
        },
        cut=Cut(
            (
                *("exchange", "window", "source", "receivedAt", "simulated"),
                *("derived", "derivedFields"),
            )
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
        cut=Cut(("exchange", "pair", "receivedAt", "simulated")),
    ),
    "compare_exchanges": Adaptation(arguments=_SEVERAL),
    "get_consolidated_orderbook": Adaptation(
        arguments={"depth": (Annotated[Depth, Le(100)], 20), **_SEVERAL},
    ),
    "get_execution_cost": Adaptation(arguments=_SEVERAL, alternatives=("amount", "quote_amount")),
}


Run: TypeAlias = Callable[..., Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool: its definition, the check of its arguments, its answer."""

    name: str
    purpose: str
    """Its purpose, by which models choose it."""
    make_arguments: Callable[[], type[BaseModel]]
    """Makes the model of its arguments on first use; the next field makes the output schema."""
    make_output: Callable[[], Content]
    run: Run
    """Answers a call with the `Served` state and the arguments by name."""
    hidden: Sequence[str] = ()
    """See `Adaptation`; the same for `alternatives`."""
    alternatives: Sequence[str] = ()
    is_repeatable: bool = True
    """Whether a second call has no further effect."""

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments."""
        return self.make_arguments()

    def _with_said(self, schema: Content) -> Content:
        """Add notes about the arguments to an answer: reduced numbers, parsed times."""
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
            output_schema=self._with_said(self.make_output()),
            annotations=ToolAnnotations(
                read_only_hint=True,
                destructive_hint=False,
                idempotent_hint=self.is_repeatable,
                open_world_hint=True,
            ),
        )

    @cached_property
    def reader(self) -> Reader:
        """Parses its arguments, and describes them to clients."""
        schema = absent_not_null(self.arguments.model_json_schema())
        return Reader(self.name, self.arguments, schema, self.hidden, self.alternatives)

    def parse(self, given: Mapping[str, Any]) -> Content:
        """Parse arguments; raises like `Reader.read`."""
        return self.reader.read(given)[0]

    async def answer(self, served: Served, arguments: Content) -> Answer:
        """Answer a call with the arguments of `parse`."""
        return await self.run(served, **arguments)


# ---------------------------------------------------------------------------- operations


def _of_operation(name: str, operation: Operation) -> Tool:
    adaptation = ADAPTATIONS.get(name, Adaptation())
    return Tool(
        name=name,
        purpose=operation.purpose,
        make_arguments=partial(_arguments, name, operation, adaptation),
        make_output=partial(_output, operation, adaptation),
        run=partial(_answer, operation, adaptation),
        hidden=adaptation.hidden,
        alternatives=adaptation.alternatives,
    )


def _arguments(name: str, operation: Operation, adaptation: Adaptation) -> type[BaseModel]:
    """Return the operation's parameters without the hidden and with the tool's own ones."""
    own = operation.arguments
    fields: dict[str, Any] = {
        name: (info.annotation, info)
        for name, info in own.model_fields.items()
        if name not in adaptation.hidden
    }
    fields.update(adaptation.arguments)
    model: type[BaseModel] = create_model(name, __config__=own.model_config, **fields)
    return model


async def _answer(
    operation: Operation, adaptation: Adaptation, served: Served, **arguments: Any
) -> Answer:
    """Call the operation, and limit the answer."""
    ask, cut = getattr(served.client, operation.name), adaptation.cut
    match operation.record, operation.many:
        case "Exchange" | "Pair", _:
            asked = {name: one for name, one in arguments.items() if name not in _PAGED}
            bounds = {name: arguments[name] for name in _PAGED}
            if asked.get("search") is not None and asked["exchange"] is None:
                del asked["exchange"]
                total, found = await served.client.page_of_pairs(**asked, **bounds)
                return answers.page("pairs", found, cut, **bounds, total=total)
            return answers.page(operation.name, await ask(**asked), cut, **bounds)
        case "Ticker", True:
            return await _tickers(ask, cut, arguments)
        case "Trade", _:
            return answers.trades(await ask(**arguments), cut, arguments)
        case "Candles", _:
            asked = {**arguments, "fill": arguments["fill"] or "none"}
            columns = asked.pop("columns")
            return answers.candles(await page(served.client, asked), columns)
        case _:
            return answers.record(await ask(**arguments))


def _output(operation: Operation, adaptation: Adaptation) -> Content:
    """Return the schema of the record, or of a list of records."""
    kind: type[Record] = getattr(marketdata, operation.record)
    schema: Content = outward(kind.json_schema())
    properties = schema["properties"]
    more = {"type": "object", "description": "Arguments to change for the next page."}
    if not operation.many:
        if operation.record == "Candles":
            properties["note"] = {"type": "string"}
            properties["next"] = more
            properties["columns"] = {"type": "array", "items": {"type": "string"}}
            # The length of a row is that of the call's `columns`.
            properties["candles"]["items"] = {
                "type": "array",
                "items": properties["candles"]["items"]["items"],
            }
        return schema
    shared = {name: properties[name] for name in adaptation.cut.shared}
    for name in adaptation.cut.left_out:
        del properties[name]
    row = {**schema, "required": [name for name in schema["required"] if name not in shared]}
    count = {"type": "integer"}
    paged = {"total": count} if "offset" in adaptation.arguments else {}
    failed = {}
    if "pairs" in adaptation.arguments:
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
            operation.name: {"type": "array", "items": row},
        },
        "required": ["returned", *paged, operation.name],
    }


async def _tickers(ask: Callable[..., Any], cut: Cut, asked: Content) -> Answer:
    if asked["pairs"] is not None:
        return answers.tickers(await ask(**asked), cut)
    # An agent cannot read all pairs of an exchange, so it gets a ranking of them.
    sort, limit = asked["sort"] or _MOST_TRADED, asked["limit"] or _RANKED
    found = await ask(**{**asked, "sort": sort, "limit": limit})
    return answers.ranking(found, cut, sort)


TOOLS: Mapping[str, Tool] = {
    one.tool: _of_operation(one.tool, one) for one in OPERATIONS if one.tool is not None
}

# ---------------------------------------------------------------------------- the server's own


def server_tool(record: type[Record], *, is_repeatable: bool = True) -> Callable[[Run], Tool]:
    """Make a tool of a function about the server's own state.

    The tool has the function's name, docstring and signature.
    """

    def output() -> Content:
        schema = record.json_schema()
        whole: Content = outward(schema, schema.pop("$defs", {}))
        return whole

    def made(run: Run) -> Tool:
        return Tool(
            name=run.__name__,
            purpose=" ".join((run.__doc__ or "").split()),
            make_arguments=partial(arguments_of, run),
            make_output=output,
            run=run,
            is_repeatable=is_repeatable,
        )

    return made
