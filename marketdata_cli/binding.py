"""Commands made from the operations of the library.

Names, order, bounds, defaults and texts of a command's parameters are those of the method, read
from its annotations; this module only chooses how they are typed in a shell.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer
from annotated_types import Ge, Le

from marketdata.arguments import Described, Moment
from marketdata_cli.completion import values_of
from marketdata_cli.options import COMMON, CONTEXT, DEBUG, UNSEEN, Common, keyword

if TYPE_CHECKING:
    from marketdata.operations import Operation

_SHORT = {"exchange": "-e", "timeframe": "-t", "depth": "-d", "limit": "-n"}


@dataclass(frozen=True)
class Parameter:
    """One parameter of an operation, as its annotation describes it."""

    name: str
    kind: Any
    """The type under the annotation."""
    text: str
    examples: tuple[str, ...]
    least: Any
    most: Any
    """Bounds, None where there is none."""
    default: Any
    """`inspect.Parameter.empty` where it must be given."""

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
        )

    @property
    def many(self) -> bool:
        """Whether it takes a sequence."""
        return typing.get_origin(self.kind) is Sequence

    @property
    def required(self) -> bool:
        """Whether it must be given."""
        return self.default is inspect.Parameter.empty

    @property
    def help(self) -> str:
        """Its text, with default and bounds."""
        facts = []
        if self.default not in (inspect.Parameter.empty, None, False):
            facts.append(f"default: {self.default}")
        if self.least is not None and self.most is not None:
            facts.append(f"from {self.least} to {self.most:,}")
        return f"{self.text} [{', '.join(facts)}]" if facts else self.text

    @property
    def metavar(self) -> str:
        """What stands for its value in help."""
        if self.many:
            return self.name.upper().removesuffix("S")
        if self.kind == Moment:
            return "TIME"
        return "N" if self.kind is int else self.name.upper()

    def as_keyword(self) -> inspect.Parameter:
        """Give it in typer's terms: positional where it must be given or takes several."""
        if self.required or self.many:
            argument = typer.Argument(metavar=self.metavar, help=self.help, show_default=False)
            kind = list[str] | None if self.many else str
            return keyword(self.name, Annotated[kind, argument], self.default)
        names = [f"--{self.name.replace('_', '-')}"]
        if self.name in _SHORT:
            names.append(_SHORT[self.name])
        if self.kind is bool:
            flag = typer.Option(*names, help=self.help, show_default=False)
            return keyword(self.name, Annotated[bool, flag], False)
        option = typer.Option(
            *names,
            metavar=self.metavar,
            help=self.help,
            show_default=False,
            autocompletion=values_of(self.name, self.examples),
        )
        return keyword(self.name, Annotated[str | None, option], None)


def parameters(operation: Operation) -> list[Parameter]:
    """Read the parameters of an operation."""
    method = inspect.unwrap(operation.method)
    annotations = {name: text for name, text in method.__annotations__.items() if name != "return"}
    # The annotation of the result names a record, and records would bring pydantic.
    without_result = types.SimpleNamespace(__annotations__=annotations)
    hints = typing.get_type_hints(without_result, method.__globals__, include_extras=True)
    return [
        Parameter.of(parameter, hints[parameter.name])
        for parameter in list(inspect.signature(method).parameters.values())[1:]
    ]


def shaped(
    function: Callable[..., Any], name: str, keywords: Iterable[inspect.Parameter]
) -> Callable[..., Any]:
    """Give a function under the name and with the signature that typer shall see."""

    def call(**said: Any) -> Any:
        for one in UNSEEN:
            said.pop(one.name, None)
        return function(**said)

    call.__name__ = name
    call.__doc__ = function.__doc__
    call.__signature__ = inspect.Signature(list(keywords))  # type: ignore[attr-defined]
    return call


def extended(function: Callable[..., Any], *more: inspect.Parameter) -> Callable[..., Any]:
    """Give a function of typer's usual kind with more parameters."""
    own = inspect.signature(function, eval_str=True).parameters.values()
    return shaped(function, function.__name__, [*own, *more])


def command(
    operation: Operation, ask: Callable[[Operation, dict[str, Any], Common], Any]
) -> Callable[..., Any]:
    """Make the function of an operation's command; it calls ``ask`` with what was typed."""

    def bound(context: typer.Context, **said: Any) -> Any:
        common = Common(**{one.name: said.pop(one.name) for one in COMMON})
        options = context.obj.then(common)
        given = {name: value for name, value in said.items() if value not in (None, False)}
        if options.exchange is not None:
            given.setdefault("exchange", options.exchange)
        return ask(operation, given, options)

    own = [parameter.as_keyword() for parameter in parameters(operation)]
    return shaped(bound, operation.name, [CONTEXT, *own, *COMMON, DEBUG])
