"""Numbers and times for people: the exchange's digits, thousands separators, no exponents."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Protocol

from marketdata.models import ticks
from marketdata.models._display.elements import ABSENT


def exact(value: float | Decimal) -> Decimal:
    """Return a float as the decimal number it was parsed from, up to 15 significant digits."""
    if isinstance(value, Decimal):
        return value
    return Decimal(format(value, ".15g"))


def digits(value: float | None) -> str:
    """Write a number with all its digits: ``80,934.19``, ``0.00000123``."""
    if value is None:
        return ABSENT
    return f"{value:,}" if isinstance(value, int) else f"{exact(value):,f}"


def counted(count: int, noun: str) -> str:
    """Write a count with its noun: ``1 candle``, ``3,000 candles``."""
    return f"{count:,} {noun}{'' if count == 1 or noun.endswith('s') else 's'}"


def places(values: Sequence[float | None]) -> int:
    """Return the largest number of decimal places among the values."""
    return max((-_exponent(value) for value in values if value is not None), default=0)


class OfPair(Protocol):
    """A record of one pair on one exchange."""

    @property
    def exchange(self) -> str:
        """The id of the exchange."""
        ...

    @property
    def pair(self) -> str:
        """The pair."""
        ...


def price_places(records: Iterable[OfPair], prices: Sequence[float | None]) -> int:
    """Count the decimal places of a column of prices: those of the smallest tick.

    An exchange may send a price with more digits than its tick. The price keeps them, so the
    result can be larger.
    """
    known = [ticks.known(one.exchange, one.pair).price or 0 for one in records]
    return max(places(prices), *known, 0)


def amount_places(records: Iterable[OfPair], amounts: Sequence[float | None]) -> int:
    """Count the decimal places of a column of amounts in the way of `price_places`."""
    known = [ticks.known(one.exchange, one.pair).amount or 0 for one in records]
    return max(places(amounts), *known, 0)


def of_tick(record: OfPair, prices: Sequence[float | None]) -> list[str]:
    """Write prices of a record with the decimal places of the pair's tick."""
    count = price_places([record], prices)
    return [fixed(price, count) for price in prices]


def _exponent(value: float) -> int:
    exponent = exact(value).as_tuple().exponent
    return min(exponent, 0) if isinstance(exponent, int) else 0


def fixed(value: float | None, count: int) -> str:
    """Write a number with ``count`` decimal places."""
    return ABSENT if value is None else f"{exact(value):,.{count}f}"


def rounded(value: float | None, count: int) -> str:
    """Round a computed number, which can have any number of digits, to ``count`` decimal places."""
    return ABSENT if value is None else fixed(round(value, count), count)


def worked_out(value: float) -> str:
    """Write a computed price whose tick is unknown, with six digits."""
    return rounded(value, max(2, 5 - math.floor(math.log10(value)))) if value > 0 else digits(value)


def evened(values: Sequence[float | None]) -> list[str]:
    """Write amounts with one number of decimal places, enough for four digits of the smallest.

    Amounts of different pairs differ by powers of ten. With all digits the column would be ragged.
    """
    known = [abs(value) for value in values if value]
    enough = max(0, 3 - math.floor(math.log10(min(known)))) if known else 0
    count = min(places(values), enough)
    return [fixed(value, count) for value in values]


def signed(value: float | None, count: int) -> str:
    """Write a number with its sign and ``count`` decimal places."""
    return ABSENT if value is None else f"{exact(value):+,.{count}f}"


def percent(value: float | None) -> str:
    """Write a percentage with its sign and two decimal places."""
    return ABSENT if value is None else f"{value:+,.2f}%"


def fraction(value: float | None) -> str:
    """Write a fraction as a percentage: 0.001 is ``0.1%``."""
    return ABSENT if value is None else f"{exact(value).scaleb(2).normalize():,f}%"


def moments(times: Sequence[datetime]) -> list[str]:
    """Write times in UTC without the digits that are zero in all of them."""
    texts = [time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] for time in times]
    for zero in (".000", ":00", " 00:00"):
        if not all(text.endswith(zero) for text in texts):
            break
        texts = [text.removesuffix(zero) for text in texts]
    return texts


def span(start: datetime, end: datetime) -> str:
    """Write a time range in UTC; a day that both ends share is written once."""
    first, last = moments([start, end])
    if first == last:
        return f"{first} UTC"
    day = first[:11]
    return f"{first} to {last.removeprefix(day) if len(first) > 11 else last} UTC"


def clock(time: datetime) -> str:
    """Write a time to the second with its time zone."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def duration(seconds: float) -> str:
    """Write a duration in a fitting unit: ``35 ms``, ``45 min``, ``3 d``."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def age(time: datetime, now: datetime) -> str:
    """Write how long ago a time was."""
    seconds = (now - time).total_seconds()
    return f"{duration(-seconds)} ahead" if seconds < -1 else f"{duration(max(seconds, 0))} old"


def size(count: int) -> str:
    """Write a number of bytes in a fitting unit: ``512 B``, ``12.3 MB``."""
    if count < 1000:
        return f"{count} B"
    power = next((power for power in (1, 2, 3) if count < 999.95 * 1000**power), 4)
    return f"{count / 1000**power:,.1f} {('kB', 'MB', 'GB', 'TB')[power - 1]}"
