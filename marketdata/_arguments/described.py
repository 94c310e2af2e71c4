"""What an annotation says of an argument: its words, and how it is brought to one form."""

from __future__ import annotations

import contextlib
import functools
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Literal

from marketdata._arguments.saying import Read
from marketdata._arguments.texts import fraction, listed, number, single, truth
from marketdata._arguments.words import choice, several_choices
from marketdata.errors import InvalidRequestError

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo


@dataclass(frozen=True)
class Described:
    """What one argument means, for help pages and schemas; `parse` brings it to its one form."""

    text: str
    examples: tuple[str, ...] = ()
    parse: Callable[[Any], Any] | None = None
    json_types: tuple[str, ...] = ()
    """JSON types instead of those that the annotation would give; `parse` then takes it all."""
    numbers_too: bool = False
    """Whether `parse` also takes numbers where the annotation is a text."""
    empty_is_wrong: bool = False
    """Whether what is empty is refused: elsewhere it is as if it were left out."""
    short: str = ""
    """The meaning in a few words for agents, who pay for each; else it is the whole text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        if self.json_types:
            return core_schema.with_info_plain_validator_function(self._parse)
        if source is int and self.parse is None:
            return handler(source)  # narrower bounds go around it: `check_names` reads it
        read = _reader(source)
        return core_schema.with_info_wrap_validator_function(
            functools.partial(self._take, read), handler(source)
        )

    def _take(
        self,
        read: Callable[[Any, str], Any] | None,
        value: Any,
        check: Callable[[Any], Any],
        info: ValidationInfo,
    ) -> Any:
        with _of_argument(info.field_name):
            # A check would make an ordinary text of one that has been read.
            is_number = self.numbers_too and isinstance(value, int | float | timedelta)
            if not is_number and not isinstance(value, Read):
                value = check(value if read is None else read(value, info.field_name or ""))
            return value if self.parse is None else self.parse(value)

    def _parse(self, value: Any, info: ValidationInfo) -> Any:
        if not (isinstance(value, str | int | float | date) or hasattr(value, "dtype")):
            from pydantic_core import PydanticCustomError

            raise PydanticCustomError("time_type", "Input should be a time")
        with _of_argument(info.field_name):
            return value if self.parse is None else self.parse(value)

    def __get_pydantic_json_schema__(
        self, core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        schema: dict[str, Any]
        if self.json_types:
            schema = {"type": list(self.json_types)}
        else:
            schema = handler.resolve_ref_schema(handler(core))
        schema["description"] = self.text
        if self.examples:
            schema["examples"] = list(self.examples)
        return schema


@contextlib.contextmanager
def _of_argument(name: str | None) -> Iterator[None]:
    """Have what is raised say which argument it is about."""
    try:
        yield
    except InvalidRequestError as error:
        error.details.setdefault("parameter", name)
        raise


def _reader(source: Any) -> Callable[[Any, str], Any] | None:
    """Return what brings a value to the type of an annotation; None where that is no plain one.

    It is called with the value and the name of the argument.
    """
    if source is float:
        return fraction
    if source in _READERS:
        read = _READERS[source]
        return lambda value, _: read(value)
    if typing.get_origin(source) is Literal:
        choices = typing.get_args(source)
        return lambda value, name: choice(value, choices, name)
    offered = kinds(source)
    if (several := next((one for one in offered if is_sequence(one)), None)) is not None:
        [element] = typing.get_args(several)
        if typing.get_origin(element) is Literal:
            return functools.partial(_each_choice, typing.get_args(element))
        return lambda value, _: listed(value)
    return (lambda value, _: single(value)) if str in offered and PurePath not in offered else None


def _each_choice(choices: Sequence[str], value: Any, name: str) -> Any:
    found = listed(value)
    return several_choices(found, choices, name) if isinstance(found, list) else found


_READERS: Mapping[Any, Callable[[Any], Any]] = {
    bool: truth,
    str: single,
}


def kinds(annotation: Any) -> tuple[Any, ...]:
    """Return the members of a union, or the one type that an annotation is."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def kinds_of(annotated: Any) -> tuple[Any, ...]:
    """Return the members of the union that an annotated type is of."""
    return kinds(typing.get_args(annotated)[0] if hasattr(annotated, "__metadata__") else annotated)


def is_sequence(kind: Any) -> bool:
    """Return whether a type is that of a sequence."""
    return typing.get_origin(kind) is Sequence


@dataclass(frozen=True)
class EveryDigit:
    """Keeps a number as it was given, by a Decimal or as text, where the argument is a float."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        return core_schema.with_info_wrap_validator_function(self._keep, handler(source))

    @staticmethod
    def _keep(value: Any, check: Callable[[Any], float], info: ValidationInfo) -> Any:
        from decimal import Decimal

        checked = check(value)
        if isinstance(value, str):
            return Decimal(number(value, info.field_name or ""))
        return Decimal(value) if isinstance(value, Decimal) else checked


@dataclass(frozen=True)
class AnyText:
    """Takes any text where the annotation lists some, for editors to offer."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(str)


@dataclass(frozen=True)
class OneOrSeveral:
    """Takes one where a sequence is wanted."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(next(one for one in kinds(source) if is_sequence(one)))


@dataclass(frozen=True)
class SameAs:
    """Marks a parameter that is another one by a second name; only one of them may be given."""

    name: str
