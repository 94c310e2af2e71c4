"""Checks the arguments of a method by its annotations, before it runs."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable, Collection, Mapping
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from marketdata._arguments.coins import part
from marketdata._arguments.described import Described, SameAs, is_sequence, kinds, kinds_of
from marketdata._arguments.docstrings import documented, notes
from marketdata._arguments.names import likely, meant, unknown
from marketdata._arguments.pairs import Written
from marketdata._arguments.saying import was
from marketdata._arguments.texts import is_left_out, single, whole
from marketdata.errors import (
    InvalidParameterError,
    InvalidRequestError,
    MarketDataError,
    MissingParameterError,
)

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


def one_of(**given: T) -> T | None:
    """Return the given one of two arguments, which are two names of the same."""
    (first, one), (second, other) = given.items()
    if one is not None and other is not None:
        raise _both(first, second)
    return other if one is None else one


def _both(first: str, second: str) -> InvalidParameterError:
    return InvalidParameterError(
        f"'{first}' and '{second}' are the same argument: give one of them.",
        details={"parameter": second},
    )


def _ascii(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)


@functools.cache
def arguments_of(method: Callable[..., Any]) -> type[BaseModel]:
    """Return the model of a method's arguments (without ``self``), made from its signature."""
    from pydantic import ConfigDict, create_model

    # Without the annotation of the result, so that records are not imported for a check.
    annotated = SimpleNamespace(
        __annotations__={k: v for k, v in method.__annotations__.items() if k != "return"}
    )
    hints = typing.get_type_hints(annotated, globalns=method.__globals__, include_extras=True)
    fields: dict[str, Any] = {
        parameter.name: (
            hints[parameter.name],
            ... if parameter.default is parameter.empty else parameter.default,
        )
        for parameter in list(inspect.signature(method).parameters.values())[1:]
        if parameter.name not in second_names(method)
    }
    return create_model(method.__name__, __config__=ConfigDict(extra="forbid"), **fields)


@functools.cache
def second_names(method: Callable[..., Any]) -> dict[str, str]:
    """Return the parameters of a method that are second names, with the parameters they mean."""
    return {
        name: note.name
        for name, annotation in method.__annotations__.items()
        for note in notes(method, annotation)
        if isinstance(note, SameAs)
    }


def parse_arguments(method: Callable[..., Any], given: dict[str, Any]) -> dict[str, Any]:
    """Check named arguments and convert them for the method.

    Raises `MissingParameterError` or `InvalidParameterError`, naming the argument that is wrong;
    a missing one is named before a wrong one.
    """
    from pydantic import ValidationError

    model = arguments_of(method)
    for second, first in second_names(method).items():
        if second in given:
            given = dict(given)
            value = given.pop(second)
            if value is not None and given.get(first) is not None:
                raise _both(first, second)
            if value is not None:
                given[first] = value
    try:
        given = check_names(model, given, method.__name__)
        for name, value in given.items():
            # pydantic accepts True as 1.
            if isinstance(value, bool) and model.model_fields[name].annotation is not bool:
                raise InvalidParameterError(
                    f"{name} cannot be true or false; {was(value)}.",
                    details={"parameter": name},
                )
        return with_named_exchange(model, vars(model.model_validate(given)))
    except ValidationError as error:
        raise _translate(error, method.__name__) from None
    except InvalidRequestError as error:
        error.details.setdefault("operation", method.__name__)
        raise


def check_names(
    model: type[BaseModel], given: Mapping[str, Any], what: str, hidden: Collection[str] = ()
) -> dict[str, Any]:
    """Check the names of arguments, and remove those with empty values.

    Raises `InvalidParameterError` for an unknown name, with similar ones unless they are
    ``hidden``, and `MissingParameterError` for a missing argument that no wrong name can mean.
    """
    fields = model.model_fields
    given = {name: _alone(model, name, one) for name, one in given.items()}
    said = {name: one for name, one in given.items() if not _says_nothing(model, name, one)}
    said.update({name: whole(said[name]) for name in said.keys() & _whole_numbers(model)})
    missing = [name for name, one in fields.items() if one.is_required() and name not in said]
    wrong = [name for name in said if name not in fields]
    near = {name: [] if name in hidden else likely(name, fields) for name in wrong}
    # First those that explain why an argument is missing.
    wrong.sort(key=lambda name: not set(near[name]) & set(missing))
    if missing and not (wrong and set(near[wrong[0]]) & set(missing)):
        raise MissingParameterError(
            f"{what} needs '{missing[0]}'.", details={"parameter": missing[0]}
        )
    if wrong:
        first = sorted(near[wrong[0]], key=lambda name: name not in missing)
        raise unknown(what, wrong[0], fields, first)
    return said


def _alone(model: type[BaseModel], name: str, value: Any) -> Any:
    """Return the only text of a list if the argument takes no list; else the value."""
    is_list = isinstance(value, list | tuple) and name not in _lists(model)
    return single(value) if is_list else value


@functools.cache
def _lists(model: type[BaseModel]) -> frozenset[str]:
    return frozenset(
        name
        for name, one in model.model_fields.items()
        if any(is_sequence(kind) for each in kinds(one.annotation) for kind in kinds_of(each))
    )


@functools.cache
def _whole_numbers(model: type[BaseModel]) -> frozenset[str]:
    fields = model.model_fields.items()
    return frozenset(
        name
        for name, one in fields
        if not _description(one).json_types
        and any(int in kinds_of(kind) for kind in kinds(one.annotation))
    )


def _says_nothing(model: type[BaseModel], name: str, value: Any) -> bool:
    field = model.model_fields.get(name)
    if field is None or field.is_required():
        return False  # an unknown name is an error with any value
    described = descriptions(model)[name]
    if described.parse is part:
        return value is None or value in _NO_TEXT
    return not described.empty_is_wrong and (value is None or is_left_out(value))


_NO_TEXT: tuple[Any, ...] = ("", "null", [])
"""Texts that mean not given if any other text can be the name of a currency."""


@functools.cache
def descriptions(model: type[BaseModel]) -> dict[str, Described]:
    """Return the descriptions in the annotations of a model's arguments."""
    return {name: _description(field) for name, field in model.model_fields.items()}


def _description(field: FieldInfo) -> Described:
    """Return the description of an argument, or an empty one."""
    annotated = [
        field.metadata,
        *(getattr(one, "__metadata__", ()) for one in kinds(field.annotation)),
    ]
    return next((one for said in annotated for one in said if isinstance(one, Described)), _NO_WORD)


_NO_WORD = Described("")


def with_named_exchange(model: type[BaseModel], arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Use the exchange before a pair, as in BINANCE:BTCUSDT, as the argument ``exchange``.

    Raises `InvalidParameterError` if several are named, or if another one is given.
    """
    given = [arguments.get(name) for name in ("pair", "pairs")]
    pairs = [one for each in given if each for one in ([each] if isinstance(each, str) else each)]
    named = list(dict.fromkeys(x for x in (getattr(one, "exchange", None) for one in pairs) if x))
    name = next((one for one in ("exchange", "exchanges") if one in arguments), None)
    if not named or name is None:
        return dict(arguments)
    asked = arguments[name]
    several = [asked] if isinstance(asked, str) else list(asked or named)
    if len(named) > 1 or named[0] not in several:
        both = list(dict.fromkeys([*named, *several]))
        raise InvalidParameterError(
            f"{name} and the pair name different exchanges: use {' or '.join(both)}, not both.",
            details={"parameter": name, "closest": both},
        )
    taken = [kind for one in kinds(model.model_fields[name].annotation) for kind in kinds_of(one)]
    return {**arguments, name: asked or (named if any(map(is_sequence, taken)) else named[0])}


def checked(method: Callable[P, R]) -> Callable[P, R]:
    """Make a method parse its arguments by their annotations before it runs; see above."""
    parameters = list(inspect.signature(method).parameters.values())[1:]
    positional = [one.name for one in parameters if one.kind is one.POSITIONAL_OR_KEYWORD]
    listed = f"only {' and '.join(positional)}" if positional else "nothing"
    run: Any = _located if inspect.iscoroutinefunction(method) else _called
    remembered: dict[tuple[Any, ...], dict[str, Any]] = {}

    def parse(values: tuple[Any, ...], named: dict[str, Any]) -> dict[str, Any]:
        # Assigned by hand, because inspect's bind takes longer than all the rest of a call.
        given = dict(zip(positional, values, strict=False))
        twice = given.keys() & named.keys()
        if twice or len(values) > len(positional):
            raise InvalidParameterError(
                f"{method.__name__} was given '{min(twice)}' twice."
                if twice
                else f"{method.__name__} takes {listed} by position. Write others as name=value.",
                details={"operation": method.__name__},
            )
        return parse_arguments(method, {**given, **named})

    @functools.wraps(method)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        # Most calls are repeated with the same texts, and parsing those takes a quarter of the
        # time of a short call.
        given = (*args[1:], *kwargs.values())
        is_plain = _TEXTS.issuperset(map(type, given))
        call = (given, *kwargs)
        parsed = remembered.get(call) if is_plain else None
        if parsed is None:
            parsed = parse(args[1:], kwargs)
            if is_plain and _LASTING.issuperset(map(type, parsed.values())):
                if len(remembered) >= _REMEMBERED:
                    remembered.clear()
                remembered[call] = parsed
        answer: R = run(method, args[0], parsed)
        return answer

    wrapper.__doc__ = documented(method, parameters)
    return wrapper


_REMEMBERED = 1_000
"""Maximum calls of one operation whose parsed arguments are kept."""
_TEXTS = frozenset({str})
_LASTING = frozenset({str, Written, int, float, bool, type(None)})
"""The immutable types of parsed arguments whose meaning does not depend on the time."""


def _called(method: Callable[..., Any], caller: Any, parsed: dict[str, Any]) -> Any:
    return method(caller, **parsed)


async def _located(method: Callable[..., Any], caller: Any, parsed: dict[str, Any]) -> Any:
    # Called here, because a coroutine that is never awaited would warn at the end of a program.
    try:
        return await method(caller, **parsed)
    except InvalidRequestError as error:
        locate(error, arguments_of(method).model_fields)
        raise


_ABOUT = {
    "PAIR_NOT_SUPPORTED": ("pair", "pairs"),
    "EXCHANGE_NOT_SUPPORTED": ("exchange", "exchanges"),
    "TIMEFRAME_NOT_SUPPORTED": ("timeframe",),
}


_MOST_NAMES = 100


def locate(
    error: MarketDataError, known: Collection[str], given: Collection[str] = (), **door: str
) -> None:
    """Add the argument to the error of a wrong call, in the words of the ``door``.

    It uses the name that was ``given`` if that differs from ours.
    """
    name = next((one for one in _ABOUT.get(error.code, ()) if one in known), None)
    if name is not None:
        error.details.setdefault("parameter", name)
    name = error.details.get("parameter")
    # More names than this are refused for their number, without looking at them.
    others = [one for one in given if one not in known] if len(given) <= _MOST_NAMES else []
    said = [one for one in others if meant(one, known) == name]
    if name in known and name not in given and len(said) == 1:
        error.details["parameter"] = said[0][:60]
    if door and (error.details.pop("operation", None) or "parameter" in error.details):
        error.details = {**door, **error.details}


def _translate(error: ValidationError, operation: str) -> MarketDataError:
    problems = error.errors(include_url=False, include_context=False)
    problem = next((one for one in problems if one["type"] == "missing"), problems[0])
    where = _ascii(str(problem["loc"][0]))[:60]
    details = {"operation": operation, "parameter": where}
    match problem["type"]:
        case "missing":
            return MissingParameterError(f"{operation} needs '{where}'.", details=details)
        case "too_short" if not problem["input"]:
            return InvalidParameterError(f"{where} names none.", details=details)
    said = problem["msg"].removeprefix("Input ")
    return InvalidParameterError(f"{where} {said}; {was(problem['input'])}.", details=details)
