"""The description of an argument in its annotation: texts, and its parser."""

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
    """The meaning of an argument for help pages and schemas; `parse` converts it."""

    text: str
    examples: tuple[str, ...] = ()
    parse: Callable[[Any], Any] | None = None
    json_types: tuple[str, ...] = ()
    """JSON types instead of those of the annotation; `parse` then accepts all of them."""
    numbers_too: bool = False
    """Whether `parse` also accepts numbers although the annotation is a text."""
    empty_is_wrong: bool = False
    """Whether an empty value is refused; otherwise it means not given."""
    short: str = ""
    """The meaning in a few words for agents, who pay for each; the default is the whole text."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        if self.json_types:
            return core_schema.with_info_plain_validator_function(self._parse)
        if source is int and self.parse is None:
            return handler(source)  # narrower bounds wrap it, and `check_names` reads it
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
            # A check would convert an already parsed text to an ordinary one.
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
    """Add the argument to the raised error."""
    try:
        yield
    except InvalidRequestError as error:
        error.details.setdefault("parameter", name)
        raise


def _reader(source: Any) -> Callable[[Any, str], Any] | None:
    """Return a converter to the type of an annotation; None if the type is not a plain one.

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
    """Return the members of a union, or the single type of an annotation."""
    union = typing.get_origin(annotation) in (typing.Union, types.UnionType)
    return typing.get_args(annotation) if union else (annotation,)


def kinds_of(annotated: Any) -> tuple[Any, ...]:
    """Return the members of the union of an annotated type."""
    return kinds(typing.get_args(annotated)[0] if hasattr(annotated, "__metadata__") else annotated)


def is_sequence(kind: Any) -> bool:
    """Return whether a type is a sequence."""
    return typing.get_origin(kind) is Sequence


@dataclass(frozen=True)
class EveryDigit:
    """Keeps a number given as a Decimal or as text for a float argument."""

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
    """Accepts any text although the annotation lists some, which editors suggest."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(str)


@dataclass(frozen=True)
class OneOrSeveral:
    """Accepts a single value for a sequence."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(next(one for one in kinds(source) if is_sequence(one)))


@dataclass(frozen=True)
class SameAs:
    """Marks a parameter as a second name of another one; only one of them may be given."""

    name: str
