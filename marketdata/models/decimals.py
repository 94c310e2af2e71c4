"""The two number types of records, and arithmetic on them.

Floats are calculated as the decimal numbers that they were parsed from, because their binary noise
would add up. Results of Decimals are Decimals. Sums and products are exact, in any decimal context
of the program; quotients of Decimals have 28 significant digits.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from decimal import Context, Decimal, InvalidOperation, localcontext
from typing import TYPE_CHECKING, Annotated, Any, cast

from marketdata.number_form import Number as Number

if TYPE_CHECKING:
    from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler

EXACT = Context(prec=5_000)
"""For sums and products, which have fewer digits, because `decimal` limits the input."""
_ROUNDED = Context(prec=28)
_ONE, _HALF = Decimal(1), Decimal("0.5")
_MOST_PLACES = 1_000
"""Maximum digits before or after the point; a float has 324."""
_UNKNOWN = Decimal("NaN")

# ---------------------------------------------------------------------------- reading


def decimal(value: Any) -> Decimal:
    """Return the exact Decimal of a string or number.

    Raises ValueError for an invalid or infinite number, and for more places than any price or size
    has, which would fill the memory as text.
    """
    if type(value) is Decimal:
        made = value
    else:
        try:
            made = Decimal(value if isinstance(value, str | int) else repr(value))
        except InvalidOperation:
            raise ValueError("not a number") from None
    if not (made.is_finite() and -_MOST_PLACES < made.adjusted() < _MOST_PLACES):
        raise ValueError("not a number")
    return made


def decimal_or_nan(value: Any) -> Decimal:
    """Return a number as `decimal` does; NaN if it is not one."""
    try:
        return decimal(value)
    except ValueError:
        return _UNKNOWN


def exact_json(text: str | bytes) -> Any:
    """Parse JSON; numbers with a fraction become their text instead of floats.

    Raises ValueError for invalid JSON, or for numbers that `decimal` refuses.
    """
    try:
        return json.loads(text, parse_float=_written, parse_constant=decimal)
    except RecursionError:
        raise ValueError("not JSON that anybody sends") from None


def _written(number: str) -> str:
    # ccxt would work with an exponent of a million as with any other.
    return plain(decimal(number)) if "e" in number or "E" in number else number


def exact(value: float | Decimal) -> Decimal:
    """Return the decimal number that an exchange sent."""
    return Decimal(str(value))


# ---------------------------------------------------------------------------- results


def as_number(value: Decimal) -> float:
    """Let a Decimal stand in a record, whose numbers type checkers know as floats."""
    return cast("float", value)


def as_given(value: Decimal, *given: Number | None) -> Number:
    """Return a result in the type of its inputs: a Decimal if one is, otherwise a float."""
    for one in given:
        if isinstance(one, Decimal):
            return cast("Number", _short(value))
    return cast("Number", float(value))


def _short(value: Decimal) -> Decimal:
    """Remove trailing zeros after the point, which multiplication adds."""
    whole = value.to_integral_value()
    return EXACT.quantize(whole, _ONE) if value == whole else EXACT.normalize(value)


def difference(more: Number, less: Number) -> Number:
    """Subtract."""
    return as_given(EXACT.subtract(exact(more), exact(less)), more, less)


def mean(first: Number, second: Number) -> Number:
    """Return the number in the middle of two."""
    both = EXACT.add(exact(first), exact(second))
    return as_given(EXACT.multiply(both, _HALF), first, second)


def total(values: Iterable[float | Decimal]) -> Decimal:
    """Return the exact sum; zero without numbers."""
    with localcontext(EXACT):
        return sum(map(exact, values), Decimal(0))


def are_finite(values: Iterable[float]) -> bool:
    """Return whether all numbers are finite, from one sum."""
    with localcontext(EXACT):
        return math.isfinite(sum(values))


def quotient(part: Decimal, whole: Decimal) -> Decimal:
    """Divide, to 28 significant digits."""
    return _ROUNDED.divide(part, whole)


def basis_points(part: Decimal, whole: Decimal, *given: Number | None) -> Number | None:
    """Return a part in basis points of a whole; None if the whole is not positive.

    The result has six decimal places and the number type of `as_given`.
    """
    if whole <= 0:
        return None
    return rounded(quotient(EXACT.multiply(part, Decimal(10_000)), whole), 6, *given)


def rounded(value: Decimal, places: int, *given: Number | None) -> Number:
    """Round to decimal places; as `as_given` otherwise."""
    if any(isinstance(one, Decimal) for one in given):
        return as_given(EXACT.quantize(value, _ONE.scaleb(-places)), *given)
    return cast("Number", round(float(value), places))


def plain(value: Decimal) -> str:
    """Write a number without an exponent."""
    return format(value, "f")


_EXPONENT = re.compile(r"\d[eE][-+]?\d")
_TEXT_OR_EXPONENT = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?[eE][-+]?\d+')


def plain_json(text: str) -> str:
    """Write the numbers of JSON without exponents."""
    if _EXPONENT.search(text) is None:
        return text
    return _TEXT_OR_EXPONENT.sub(
        lambda found: found[0] if found[0][0] == '"' else plain(Decimal(found[0])), text
    )


# ---------------------------------------------------------------------------- in records


class _EitherForm:
    """How records take a number: a float or a Decimal, as it is.

    Whole numbers become floats and text Decimals, so that JSON of either comes back as it was.
    """

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> Any:
        return number_schema()

    def __get_pydantic_json_schema__(
        self, _core: Any, _handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {"type": "number"}


class LevelsOfEitherForm:
    """How books take their levels: as fast as if there were floats only."""

    def __get_pydantic_core_schema__(self, _source: Any, _handler: GetCoreSchemaHandler) -> Any:
        from pydantic_core import core_schema

        decimals = _levels(core_schema.decimal_schema(strict=True, allow_inf_nan=False), fast=True)
        floats = _levels(core_schema.float_schema(strict=True))
        either = _levels(number_schema())
        return core_schema.json_or_python_schema(
            json_schema=either,
            # The first number of a level shows whether the book has floats.
            python_schema=core_schema.union_schema(
                [decimals, floats, either], mode="left_to_right"
            ),
            serialization=core_schema.plain_serializer_function_ser_schema(
                _written_levels, when_used="json"
            ),
        )

    def __get_pydantic_json_schema__(
        self, _core: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        from pydantic_core import core_schema

        return handler(_levels(core_schema.float_schema()))


def number_schema() -> Any:
    """Return pydantic's schema of a number in either form."""
    from pydantic_core import core_schema

    written = core_schema.plain_serializer_function_ser_schema(
        plain, return_schema=core_schema.str_schema(), when_used="json"
    )
    decimals = core_schema.decimal_schema(allow_inf_nan=False, serialization=written)
    return core_schema.union_schema([core_schema.float_schema(strict=True), decimals])


def _levels(number: Any, *, fast: bool = False) -> Any:
    from pydantic_core import core_schema

    level = core_schema.tuple_schema([number, number], fail_fast=fast)
    return core_schema.tuple_schema([level], variadic_item_index=0, fail_fast=fast)


def _written_levels(levels: tuple[tuple[Any, Any], ...]) -> Any:
    if levels and isinstance(levels[0][0], Decimal):
        return [(plain(price), plain(size)) for price, size in levels]
    return levels


if not TYPE_CHECKING:
    Number = Annotated[float, _EitherForm()]
