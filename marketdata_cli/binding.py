"""Makes commands from the operations of the library.

Names, order, bounds, defaults and descriptions of a command's parameters come from the annotations
of the method. This module only decides how they are typed in a shell.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from annotated_types import Ge, Le

from marketdata.arguments import Described, Moment, second_names
from marketdata_cli.completion import values_of
from marketdata_cli.options import COMMON, CONTEXT, DEBUG, UNSEEN, Common, keyword

if TYPE_CHECKING:
    from marketdata.operations import Operation

_SHORT = {
    "exchange": "-e",
    "exchanges": "-e",
    "timeframe": "-t",
    "depth": "-d",
    "limit": "-n",
    "format": "-f",
    "output": "-o",
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation, read from its annotation."""

    name: str
    kind: Any
    """The type under the annotation."""
    text: str
    examples: tuple[str, ...]
    least: Any
    most: Any
    """Bounds; None if there are none."""
    default: Any
    """`inspect.Parameter.empty` if it is required."""
    named: bool
    """Whether it can be passed only by name."""

    @classmethod
    def of(cls, parameter: inspect.Parameter, hint: Any) -> Parameter:
        """Read a parameter of a method, given its evaluated annotation."""
        if typing.get_origin(hint) in (typing.Union, types.UnionType):
            hint = next(one for one in typing.get_args(hint) if one is not type(None))
        kind, *notes = typing.get_args(hint)
        described = next(note for note in notes if isinstance(note, Described))
        return cls(
            name=parameter.name,
            kind=kind,
            text=described.text,
            examples=described.examples,
            least=next((note.ge for note in notes if isinstance(note, Ge)), None),
            most=next((note.le for note in notes if isinstance(note, Le)), None),
            default=parameter.default,
            named=parameter.kind is parameter.KEYWORD_ONLY,
        )

    @property
    def typeable(self) -> bool:
        """Whether it can be typed on a command line; some parameters take only objects."""
        return self.kind is not Any and typing.get_origin(self.kind) is not Callable

    @property
    def many(self) -> bool:
        """Whether it accepts a sequence, possibly among other types."""
        return self._sequence is not None

    @property
    def choices(self) -> tuple[str, ...]:
        """The allowed values, also of each item of a sequence; empty if any value is allowed."""
        kind = self.kind if self._sequence is None else typing.get_args(self._sequence)[0]
        return typing.get_args(kind) if typing.get_origin(kind) is Literal else ()

    @property
    def _sequence(self) -> Any:
        several = typing.get_origin(self.kind) is types.UnionType
        kinds = typing.get_args(self.kind) if several else (self.kind,)
        return next((one for one in kinds if typing.get_origin(one) is Sequence), None)

    @property
    def required(self) -> bool:
        """Whether it is required."""
        return self.default is inspect.Parameter.empty

    @property
    def is_argument(self) -> bool:
        """Whether it is an argument and not an option."""
        return not self.named and (self.required or self.many)

    @property
    def help(self) -> str:
        """Its description with default and bounds."""
        facts = []
        if self.default is True:
            facts.append(f"default: {self._flag}")
        elif isinstance(self.default, tuple):
            facts.append(f"default: {','.join(self.default)}")
        elif self.default not in (inspect.Parameter.empty, None, False):
            facts.append(f"default: {self.default}")
        if self.least is not None and self.most is not None:
            facts.append(f"from {self.least} to {self.most:,}")
        return f"{self.text} [{', '.join(facts)}]" if facts else self.text

    @property
    def metavar(self) -> str:
        """The placeholder of its value in help."""
        if self.many:
            one = "|".join(self.choices) or self.name.upper().removesuffix("S")
            return one if self.is_argument else f"{one},..."
        if self.choices:
            return "|".join(self.choices)
        if self.kind == Moment:
            return "TIME"
        if self.kind == str | PurePath:
            return "FILE"
        return "N" if self.kind is int else self.name.upper()

    @property
    def _flag(self) -> str:
        return f"--{self.name.removesuffix('s' if self.many else '').replace('_', '-')}"

    def as_keyword(self) -> inspect.Parameter:
        """Return it as a parameter for typer."""
        if self.is_argument:
            argument = typer.Argument(metavar=self.metavar, help=self.help, show_default=False)
            kind = list[str] | None if self.many else str
            return keyword(self.name, Annotated[kind, argument], self.default)
        names = [self._flag]
        if self.many and not self.choices:
            names.append(f"{self._flag}s")
        if self.name in _SHORT:
            names.append(_SHORT[self.name])
        if self.kind is bool:
            if self.default:
                names = [f"{self._flag}/--no-{self._flag.removeprefix('--')}"]
            flag = typer.Option(*names, help=self.help, show_default=False)
            return keyword(self.name, Annotated[bool, flag], self.default)
        option = typer.Option(
            *names,
            metavar=self.metavar,
            help=self.help,
            show_default=False,
            autocompletion=values_of(self.name, self.choices or self.examples, self.many),
        )
        option_kind = list[str] | None if self.many else str | None
        default = inspect.Parameter.empty if self.required else None
        return keyword(self.name, Annotated[option_kind, option], default)

    def value(self, said: Any) -> Any:
        """Convert the typed text for the library; options split values at commas."""
        if not self.many or self.is_argument:
            return said
        return ",".join(said)


def parameters(operation: Operation) -> list[Parameter]:
    """Return the parameters of an operation that can be typed."""
    method = inspect.unwrap(operation.method)
    annotations = {name: text for name, text in method.__annotations__.items() if name != "return"}
    # The annotation of the result names a record, and records would import pydantic.
    without_result = types.SimpleNamespace(__annotations__=annotations)
    hints = typing.get_type_hints(without_result, method.__globals__, include_extras=True)
    found = (
        Parameter.of(parameter, hints[parameter.name])
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.name not in second_names(method)
    )
    return [one for one in found if one.typeable]


def shaped(
    function: Callable[..., Any], name: str, keywords: Iterable[inspect.Parameter]
) -> Callable[..., Any]:
    """Return a function with the name and the signature that typer needs."""

    def call(**said: Any) -> Any:
        for one in UNSEEN:
            said.pop(one.name, None)
        return function(**said)

    call.__name__ = name
    call.__doc__ = function.__doc__
    call.__signature__ = inspect.Signature(list(keywords))  # type: ignore[attr-defined]
    return call


def extended(function: Callable[..., Any], *more: inspect.Parameter) -> Callable[..., Any]:
    """Return a function for typer with additional parameters."""
    own = inspect.signature(function, eval_str=True).parameters.values()
    return shaped(function, function.__name__, [*own, *more])


def command(
    operation: Operation,
    ask: Callable[..., Any],
    *more: inspect.Parameter,
    without: Collection[str] = (),
) -> Callable[..., Any]:
    """Make the function of an operation's command.

    It calls ``ask`` with the operation, its typed parameters and the common options. The command's
    own parameters, ``more``, are passed by name. ``without`` names parameters of the operation that
    the command sets itself. Both can replace an option that all commands have.
    """
    own = {one.name: one for one in parameters(operation) if one.name not in without}
    special = {one.name: one for one in more}
    common = [special.pop(one.name, one) for one in COMMON if one.name not in own]

    def bound(context: typer.Context, **said: Any) -> Any:
        options = context.obj.then(Common(**{one.name: said.pop(one.name) for one in common}))
        further = {name: said.pop(name) for name in special}
        given = {
            name: own[name].value(value)
            for name, value in said.items()
            if value not in (None, [], own[name].default)
        }
        if options.exchange is not None:
            name = "exchanges" if "exchanges" in own else "exchange"
            several = name in own and own[name].many
            value = own[name].value([options.exchange]) if several else options.exchange
            given.setdefault(name, value)
        if options.format is not None and "format" in own:
            given.setdefault("format", options.format)
        return ask(operation, given, options, **further)

    typed = [parameter.as_keyword() for parameter in own.values()]
    return shaped(bound, operation.name, [CONTEXT, *typed, *special.values(), *common, DEBUG])
