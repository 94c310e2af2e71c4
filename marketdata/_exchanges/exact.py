"""Changes to ccxt's class of an exchange that keep all digits of numbers, as Decimals.

ccxt's own setting (``number`` as Decimal) is not enough. Its JSON parser still makes floats, nearly
all exchanges read order book levels with `safe_float`, and `safe_string`, which most parsers use,
returns nothing for a Decimal.
"""

from __future__ import annotations

import contextlib
from contextlib import AbstractContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Any

import orjson

from marketdata._requests.request import current, doing
from marketdata.models.decimals import decimal, decimal_or_nan, exact_json, plain


def _floats() -> AbstractContextManager[None]:
    return doing(replace(current(), in_floats=True))


Theirs: Any = object
"""ccxt's class, which comes after the mixin."""


class ExactNumbers(Theirs):  # type: ignore[misc]
    """A mixin before ccxt's class that makes Decimals where ccxt would make floats.

    Lists of markets keep floats, because clients of both kinds share them on disk.
    """

    def on_json_response(self, body: str) -> Any:
        """Parse an answer."""
        return orjson.loads(body) if current().in_floats else exact_json(body)

    def number(self, value: Any) -> Decimal | float:
        """Convert a text to a number."""
        return float(value) if current().in_floats else decimal(value)

    def parse_to_numeric(self, number: Any) -> Any:
        """Convert a text, or a number of any type, to a number."""
        text = self.number_to_string(number)
        return self.number(text) if "." in text else int(text)

    def safe_float(self, found: Any, key: Any, default: Any = None) -> Any:
        """Return the number under a key, or the default."""
        return self._first_number(found, (key,), default)

    def safe_float_2(self, found: Any, key: Any, other: Any, default: Any = None) -> Any:
        """Return the number under the first of two keys that has one, or the default."""
        return self._first_number(found, (key, other), default)

    def safe_float_n(self, found: Any, keys: Any, default: Any = None) -> Any:
        """Return the number under the first of several keys that has one, or the default."""
        return self._first_number(found, keys, default)

    def _first_number(self, found: Any, keys: Any, default: Any) -> Any:
        for key in () if isinstance(found, str) else keys:
            try:
                return self.number(found[key])
            except (LookupError, TypeError, ValueError):
                continue
        return default

    def __init__(self, config: Any = None) -> None:
        with _floats():  # for the fees that ccxt's source contains
            super().__init__(config or {})

    def parse_ohlcvs(self, *args: Any, **named: Any) -> Any:
        """Parse candles; some of ccxt's parsers do not convert the numbers."""
        rows = super().parse_ohlcvs(*args, **named)
        return [[time, *map(_decimal_or_none, cells)] for time, *cells in rows]

    async def fetch_markets(self, params: Any = None) -> Any:
        """Fetch the markets, with floats."""
        with _floats():
            return await super().fetch_markets(params or {})

    def set_markets(self, markets: Any, currencies: Any = None) -> Any:
        """Load markets, which have floats."""
        with _floats():
            return super().set_markets(markets, currencies)

    def safe_string(self, found: Any, key: Any, default: Any = None) -> Any:
        """Return the text, or the number as a text, under a key, or the default.

        The default if ``found`` is itself a text: ccxt would have a number there, which has no
        keys, but a text has characters.
        """
        try:
            value = None if isinstance(found, str) else found[key]
        except (LookupError, TypeError):
            return default
        if type(value) is Decimal:
            return plain(value)
        if value is None:
            return default
        return super().safe_string(found, key, default)

    def safe_string_2(self, found: Any, key: Any, other: Any, default: Any = None) -> Any:
        """Return the text under the first of two keys that has one, or the default."""
        first = self.safe_string(found, key)
        return self.safe_string(found, other, default) if first is None else first

    def safe_string_n(self, found: Any, keys: Any, default: Any = None) -> Any:
        """Return the text under the first of several keys that has one, or the default."""
        value = self.get_object_value_from_key_list(found, keys)
        if type(value) is Decimal:
            return plain(value)
        return super().safe_string_n(found, keys, default)


def _decimal_or_none(value: Any) -> Decimal | None:
    return None if value is None else decimal_or_nan(value)


def exact_frame(text: str) -> Any:
    """Parse a WebSocket frame.

    Some exchanges nest JSON texts in the JSON, which ccxt parses with floats. In those texts,
    numbers with a fraction become strings.
    """
    frame = exact_json(text)
    if isinstance(frame, dict):
        for name, value in frame.items():
            if isinstance(value, str) and value[:1] in ("{", "["):
                with contextlib.suppress(ValueError):
                    frame[name] = orjson.dumps(exact_json(value)).decode()
    return frame
