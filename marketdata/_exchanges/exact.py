"""What is changed in ccxt's class of an exchange so that numbers keep the digits they were sent in.

ccxt's own way (its ``number``, as Decimal) still has floats: its JSON parser makes them, levels of
books are read by `safe_float` on nearly all exchanges, and what is a Decimal already is nothing to
`safe_string`, through which most parsers hand numbers on.
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
"""The class of ccxt's that comes behind a mixin."""


class ExactNumbers(Theirs):  # type: ignore[misc]
    """Decimals wherever ccxt would make floats, mixed in before its class.

    Lists of markets are read as ever: they are kept on disk for clients of both kinds.
    """

    def on_json_response(self, body: str) -> Any:
        """Parse an answer."""
        return orjson.loads(body) if current().in_floats else exact_json(body)

    def number(self, value: Any) -> Decimal | float:
        """Make a number of a text."""
        return float(value) if current().in_floats else decimal(value)

    def parse_to_numeric(self, number: Any) -> Any:
        """Make a number of a text, or of a number of any kind."""
        text = self.number_to_string(number)
        return self.number(text) if "." in text else int(text)

    def safe_float(self, found: Any, key: Any, default: Any = None) -> Any:
        """Return a number, where there is one under a key."""
        return self._first_number(found, (key,), default)

    def safe_float_2(self, found: Any, key: Any, other: Any, default: Any = None) -> Any:
        """Return a number, where there is one under a key or another."""
        return self._first_number(found, (key, other), default)

    def safe_float_n(self, found: Any, keys: Any, default: Any = None) -> Any:
        """Return a number, where there is one under any of some keys."""
        return self._first_number(found, keys, default)

    def _first_number(self, found: Any, keys: Any, default: Any) -> Any:
        for key in () if isinstance(found, str) else keys:
            try:
                return self.number(found[key])
            except (LookupError, TypeError, ValueError):
                continue
        return default

    def __init__(self, config: Any = None) -> None:
        with _floats():  # of the fees that are written down in ccxt
            super().__init__(config or {})

    def parse_ohlcvs(self, *args: Any, **named: Any) -> Any:
        """Read candles; some of ccxt's readers hand on what they find."""
        rows = super().parse_ohlcvs(*args, **named)
        return [[time, *map(_decimal_or_none, cells)] for time, *cells in rows]

    async def fetch_markets(self, params: Any = None) -> Any:
        """Get the markets, with floats."""
        with _floats():
            return await super().fetch_markets(params or {})

    def set_markets(self, markets: Any, currencies: Any = None) -> Any:
        """Take markets, which have floats."""
        with _floats():
            return super().set_markets(markets, currencies)

    def safe_string(self, found: Any, key: Any, default: Any = None) -> Any:
        """Return a text, or a number as one, where there is one under a key.

        The characters of what would be a number with ccxt are none.
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
        """Return a text, or a number as one, where there is one under a key or another."""
        first = self.safe_string(found, key)
        return self.safe_string(found, other, default) if first is None else first

    def safe_string_n(self, found: Any, keys: Any, default: Any = None) -> Any:
        """Return a text, or a number as one, where there is one under any of some keys."""
        value = self.get_object_value_from_key_list(found, keys)
        if type(value) is Decimal:
            return plain(value)
        return super().safe_string_n(found, keys, default)


def _decimal_or_none(value: Any) -> Decimal | None:
    return None if value is None else decimal_or_nan(value)


def exact_frame(text: str) -> Any:
    """Parse a frame of a stream.

    Some exchanges send JSON in the JSON, which ccxt parses with floats: there, numbers that are
    not whole become texts.
    """
    frame = exact_json(text)
    if isinstance(frame, dict):
        for name, value in frame.items():
            if isinstance(value, str) and value[:1] in ("{", "["):
                with contextlib.suppress(ValueError):
                    frame[name] = orjson.dumps(exact_json(value)).decode()
    return frame
