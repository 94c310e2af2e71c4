"""One tool for each operation that has a name for agents: definition, arguments, answer."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from annotated_types import Ge, Le, MaxLen
from mcp_types import Tool as Definition
from mcp_types import ToolAnnotations
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

import marketdata
from marketdata.arguments import (
    Depth,
    Described,
    EachExchange,
    PairNames,
    QuoteCodes,
    TradeLimit,
    bounded,
    check_names,
    check_size,
    locate,
    renamed,
    timeframe,
    window_length,
    with_named_exchange,
)
from marketdata.errors import (
    InvalidParameterError,
    InvalidRequestError,
    MarketDataError,
)
from marketdata.models import Record, absent_not_null
from marketdata.operations import OPERATIONS, Operation
from marketdata_mcp import answers
from marketdata_mcp.answers import Answer, Content
from marketdata_mcp.ask import Ask

if TYPE_CHECKING:
    from marketdata_mcp.ask import Caller
    from marketdata_mcp.served import Served

__all__ = ["TOOLS", "OperationTool", "ServerTool", "Tool", "outward"]


@dataclass(frozen=True)
class Adaptation:
    """How a tool differs from its operation, because an agent pays for what it reads."""

    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments with narrower bounds, or that only the tool has: annotation and default."""
    hidden: Sequence[str] = ()
    """Arguments of the operation that are not for agents."""
    note: str = ""
    """Put behind the operation's own description."""
    shared: Sequence[str] = ()
    """Fields that are said once for all rows where all rows have the same."""
    left_out: Sequence[str] = ()
    """Fields of rows that are not for agents."""
    sparse: Sequence[str] = ()
    """Lists in rows that are left out where they are empty."""


_SHOWN = 60
"""Characters of what a caller sent that an error repeats."""
LONGEST_NAME = 60
"""Characters of a name that can be meant for another: finding the nearest takes their square."""
_CURRENT = timedelta(days=1)
"""How far back data are current: what every ticker covers."""

_SEVERAL: Mapping[str, Any] = {
    "exchanges": (Annotated[EachExchange, MaxLen(20)] | None, None),
    "quotes": (Annotated[QuoteCodes, MaxLen(5)] | None, None),
}
_PAGED: Mapping[str, Any] = {
    "limit": (Annotated[int, Ge(1), Le(200), Described("Rows at most.")], 200),
    "offset": (Annotated[int, Ge(0), Described("Rows to leave out first.")], 0),
}

ADAPTATIONS: Mapping[str, Adaptation] = {
    "list_exchanges": Adaptation(
        arguments=_PAGED,
        note="Other bars are made of shorter ones.",
        left_out=("derivedTimeframes", "streamTimeframes"),
        sparse=("derived", "needsKey", "tradesFrom"),
    ),
    "list_pairs": Adaptation(
        arguments=_PAGED,
        hidden=("refresh",),
        shared=("exchange", "receivedAt", "simulated"),
    ),
    "get_tickers": Adaptation(
        arguments={"pairs": (Annotated[PairNames, MaxLen(50)], ...)},
        shared=(
            *("exchange", "window", "source", "receivedAt", "simulated"),
            *("derived", "derivedFields"),
        ),
    ),
    "get_orderbook": Adaptation(
        arguments={"depth": (Annotated[Depth, Le(100)], 20)},
        note="Levels are [price, size].",
    ),
    "get_candles": Adaptation(
        arguments={
            "timeframe": (
                Annotated[
                    str,
                    Described(
                        "Length of a bar, such as 1m, 4h, 1d. Default 1h, or what fits a long "
                        "range in 500 rows.",
                        parse=timeframe,
                        numbers_too=True,
                    ),
                ]
                | None,
                None,
            ),
            "limit": (
                Annotated[
                    int,
                    Ge(1),
                    Le(500),
                    Described("Rows at most. Default the newest 100, or 500 of a range."),
                ]
                | None,
                None,
            ),
            "fill": (
                Annotated[
                    Literal["zero", "previous"],
                    Described("Make up bars where nobody traded."),
                ]
                | None,
                None,
            ),
        },
        hidden=("strict", "refresh", "store"),
        note="Rows are [openTimeMs, open, high, low, close, volume, trades]; `forming`: the last "
        "bar is not over; `missing`: when there are none.",
    ),
    "get_trades": Adaptation(
        arguments={"limit": (Annotated[TradeLimit, Le(200)], 50)},
        shared=("exchange", "pair", "receivedAt", "simulated"),
    ),
    "compare_exchanges": Adaptation(
        arguments=_SEVERAL, note="A row with `code` is an exchange that failed."
    ),
    "get_consolidated_orderbook": Adaptation(
        arguments={"depth": (Annotated[Depth, Le(100)], 20), **_SEVERAL},
        note="Levels are [price, size, [[source, size], ...]]; `sources` with `code` failed.",
    ),
    "get_execution_cost": Adaptation(
        arguments=_SEVERAL, note="Give `amount` or `quote_amount`. Nothing is ordered."
    ),
}


class Tool(ABC):
    """What agents can call: its definition, the check of its arguments, its answer."""

    name: str
    hidden: Sequence[str] = ()
    """Arguments of the operation that are not for agents."""
    is_repeatable: bool = True
    """Whether nothing more comes of calling it twice."""

    @property
    @abstractmethod
    def description(self) -> str:
        """What it does."""

    @property
    @abstractmethod
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments."""

    @abstractmethod
    def output_schema(self) -> Content:
        """Give the schema of its answers."""

    @abstractmethod
    async def answer(self, served: Served, caller: Caller, arguments: Content) -> Answer:
        """Answer a caller, with arguments that `parse` gave."""

    @cached_property
    def definition(self) -> Definition:
        """What tools/list says."""
        return Definition(
            name=self.name,
            title=self.name.replace("_", " ").capitalize(),
            description=self.description,
            input_schema=_brief(absent_not_null(self.arguments.model_json_schema())),
            output_schema=self.output_schema(),
            annotations=ToolAnnotations(
                read_only_hint=True,
                destructive_hint=False,
                idempotent_hint=self.is_repeatable,
                open_world_hint=True,
            ),
        )

    def parse(self, given: Mapping[str, Any]) -> Content:
        """Check arguments; null is the same as not given, other names of arguments are taken.

        Raises `MissingParameterError` before `InvalidParameterError`.
        """
        return self.understood(given)[0]

    def understood(self, given: Mapping[str, Any]) -> tuple[Content, str]:
        """Check arguments as `parse` does, and say which bounds were used in place of numbers."""
        known = self.definition.input_schema["properties"]
        items = {name: one["maxItems"] for name, one in known.items() if "maxItems" in one}
        try:
            check_size(self.name, given, items)
            taken = {name: one for name, one in given.items() if one is not None}
            named = check_names(self.arguments, renamed(taken, known), self.name, self.hidden)
            most = {name: one["maximum"] for name, one in known.items() if "maximum" in one}
            named, note = bounded(named, most)
            checked = vars(self.arguments.model_validate(named, strict=True))
            return with_named_exchange(self.arguments, checked), note
        except ValidationError as error:
            raise self.located(self._invalid(error), given) from None
        except InvalidRequestError as error:
            raise self.located(error, given) from None

    def ask(self, arguments: Content) -> Ask:
        """Tell what access control has to know of a call, from arguments that `parse` gave."""
        return Ask(_named(arguments))

    def _invalid(self, error: ValidationError) -> MarketDataError:
        problem = error.errors(include_url=False, include_context=False)[0]
        name = str(problem["loc"][0])
        expected = self.definition.input_schema["properties"][name].get("type")
        said = problem["msg"].removeprefix("Input ")
        if isinstance(expected, list):  # pydantic tells of the first type only
            said = f"should be of type {' or '.join(expected)}"
        was = repr(problem["input"])[:_SHOWN]
        return InvalidParameterError(f"{name} {said}; was {was}.", details=self.at(name))

    def located(self, error: MarketDataError, given: Mapping[str, Any]) -> MarketDataError:
        """Have an error name this tool and its argument, and nothing of the library's."""
        locate(error, self.arguments.model_fields, given, tool=self.name)
        return error

    def at(self, argument: str) -> Content:
        """Give the details of an error about an argument."""
        return {"tool": self.name, "parameter": argument}


@dataclass(frozen=True)
class OperationTool(Tool):
    """An operation as agents see it."""

    name: str
    operation: Operation
    adaptation: Adaptation

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", self.adaptation.hidden)

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

    @property
    def description(self) -> str:
        """The operation's first sentence, and what agents have to know besides."""
        return " ".join(filter(None, (self.operation.summary, self.adaptation.note)))

    async def answer(self, served: Served, _caller: Caller, arguments: Content) -> Answer:
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
                return answers.tickers(await ask(**arguments), shared)
            case "Trade", _:
                return answers.trades(await ask(**arguments), shared, arguments)
            case "Candles", _:
                # Listing the tools is to be fast, and needs nothing of what this imports.
                from marketdata_mcp import candles

                return await candles.ask(served.client, arguments)
            case _:
                return answers.record(await ask(**arguments))

    def ask(self, arguments: Content) -> Ask:
        """Tell what access control has to know of a call."""
        if self.operation.record == "Candles":
            from marketdata_mcp import candles

            return Ask(_named(arguments), candles.lookback(arguments))
        return Ask(_named(arguments), _reach(arguments))

    def output_schema(self) -> Content:
        """Give the record's schema, or that of a list of them."""
        kind: type[Record] = getattr(marketdata, self.operation.record)
        schema: Content = outward(kind.json_schema())
        properties = schema["properties"]
        more = {"type": "object", "description": "Arguments to change for what comes behind."}
        if not self.operation.many:
            if self.operation.record == "Candles":
                properties["note"] = {"type": "string"}
                properties["next"] = more
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


Run: TypeAlias = Callable[["Served", "Caller", Content], Awaitable[Answer]]


@dataclass(frozen=True)
class ServerTool(Tool):
    """A tool about what the server itself holds: watches, what an account has used."""

    name: str
    summary: str
    fields: Mapping[str, Any]
    """Arguments: annotation and default."""
    properties: Content
    """Of what it answers."""
    required: Sequence[str]
    run: Run
    is_repeatable: bool = True

    @property
    def description(self) -> str:
        """What it does."""
        return self.summary

    @cached_property
    def arguments(self) -> type[BaseModel]:
        """The model of its arguments."""
        config = ConfigDict(extra="forbid")
        model: type[BaseModel] = create_model(self.name, __config__=config, **dict(self.fields))
        return model

    def output_schema(self) -> Content:
        """Give the schema of its answers."""
        return {
            "type": "object",
            "properties": self.properties,
            "required": list(self.required),
        }

    async def answer(self, served: Served, caller: Caller, arguments: Content) -> Answer:
        """Do what it is for."""
        return await self.run(served, caller, arguments)


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
    """Give the exchanges that a call names, in the one or the other argument that tools have."""
    one = arguments.get("exchange")
    return (one,) if one is not None else tuple(arguments.get("exchanges") or ())


_BRIEF = {
    "exchange": "Exchange id.",
    "exchanges": "Exchange ids; all defaults otherwise.",
    "pair": "Such as BTC/USDT.",
    "pairs": "Such as BTC/USDT.",
    "quotes": "Quote currencies at par with the pair's own.",
    "start": "From this time on: ISO-8601, Unix ms or an age such as -7d.",
}
"""Shorter descriptions of arguments that many tools have; the instructions say the rest."""


def _brief(schema: Content) -> Content:
    """Leave out of arguments what is said already: an agent pays for each word of every tool."""
    for name, argument in schema["properties"].items():
        argument["description"] = _BRIEF.get(name, argument["description"])
        argument.pop("examples", None)
        if argument.get("default") is False:
            del argument["default"]
        if "items" in argument:
            argument["items"] = {"type": argument["items"]["type"]}
    return schema


def outward(schema: Any) -> Any:
    """Leave out what is not for clients: docstrings of Python, and that objects are closed.

    Clients keep schemas, and an answer may get further fields at any time.
    """
    match schema:
        case {"properties": dict(properties), **rest}:
            inner = {name: outward(one) for name, one in properties.items()}
            return {**outward(rest), "properties": inner}
        case dict():
            return {
                key: outward(value)
                for key, value in schema.items()
                if key not in ("additionalProperties", "description")
            }
        case list():
            return [outward(one) for one in schema]
    return schema


TOOLS: Mapping[str, Tool] = {
    operation.tool: OperationTool(
        operation.tool, operation, ADAPTATIONS.get(operation.tool, Adaptation())
    )
    for operation in OPERATIONS
    if operation.tool is not None
}
