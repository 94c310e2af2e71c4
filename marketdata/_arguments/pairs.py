"""Pairs in callers' forms: with an exchange, in an exchange's format, or as a derivative."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence

from marketdata._arguments.coins import QUOTES, code_of, divided
from marketdata._arguments.saying import Pattern, Read, refused, was
from marketdata._arguments.texts import listed
from marketdata.errors import InvalidParameterError, PairNotSupportedError
from marketdata.exchange_names import WELL_KNOWN, exchange_id

MAX_WATCHED = 200
"""Maximum pairs that one call can watch."""


class Written(Read):
    """A pair parsed by `pair`, with its original form."""

    text: str
    """The original form in upper case, which may be an exchange's own id."""
    exchange: str | None
    """The exchange that was named with it."""
    others: tuple[str, ...]
    """Other meanings if an exchange has no pair of this name."""
    is_unclear: bool
    """Whether the other meanings have the same priority as the name."""


def written(pair: str) -> str:
    """Return a pair in its original form in upper case, which may be an exchange's own id."""
    return pair.text if isinstance(pair, Written) else pair.upper()


def readings(pair: str) -> tuple[tuple[str, ...], bool]:
    """Return other meanings of a pair, and whether they have the same priority as the name."""
    return (pair.others, pair.is_unclear) if isinstance(pair, Written) else ((), False)


_IN_A_CODE = r"[^\s\"'\\<>{}/]"
_CODE = Pattern(rf"{_IN_A_CODE}(?:{_IN_A_CODE}| |(?<=\w)'(?=[\w ]))*")
"""A currency: ccxt has long names, too, such as BITCOIN FILE and FTX USERS' DEBT."""
_STROKES = str.maketrans("／∕⁄＿－–—−", "///_----")
_VENUE = Pattern(r"([A-Za-z][\w. ]{0,24}):(.+)")
_AT = Pattern(r"(.+?)(?:\s*@\s*|\s+on\s+|\s*\()([A-Za-z][\w. ]{2,24})\)?", re.IGNORECASE)
_BESIDE = [
    Pattern(r"(?P<venue>[A-Za-z]{3,20})(?:[ _.]spot)?[ _.](?P<pair>.+)", re.IGNORECASE),
    Pattern(r"(?P<pair>.+)[ _.](?P<venue>[A-Za-z]{3,20})", re.IGNORECASE),
]
"""A pair with the name of a large exchange."""
_CHANNEL = Pattern(r"(\w+)@(?:\w*trade|\w*ticker|depth\w*|kline_\w+)(?:@\w+)?", re.IGNORECASE)
_NOT_VENUES = ("spot", "x", "pair", "symbol", "market", "ticker")
_BITFINEX = Pattern(r"t[A-Z0-9]{6,12}|t[A-Z0-9]{2,8}:[A-Z0-9]{2,8}")
_SPOT = Pattern(r"SPOT[\s_-]+(.+)|(.+?)(?:[\s._:/-]+SPOT|_SPBL|=X)")
_BETWEEN = Pattern(r"\s+(?:VS\.?|TO|AGAINST|IN)\s+|\s*(?:[|\\,]|[-=]>)\s*")

_FUTURES = [
    Pattern(pattern)
    for pattern in (
        r"(?:PF|PI|FI|FF)_([A-Z0-9]{2,}(?:USD|EUR))(?:_\d{6})?",
        r"(.+?)[\s._:/-]+(?:PERP|PERPETUALS?|SWAP|FUTURES?|FUT|PERPETUAL SWAP|QUARTER(?:LY)?)",
        r"([A-Z0-9]{2,}?)[\s_-]?PERP(?:ETUAL)?",
        r"(?:PERP|SWAP|FUTURES?)[_-](.+[_-].+)",
        r"([A-Z0-9]{4,})\.P",
        r"([A-Z0-9]+)=F",
        r"(.+?)[_-](?:\d{6}|\d{8}|\d{1,2}[A-Z]{3}\d{2})(?:-\d+(?:D\d+)?-[CP])?",
        r"T?([A-Z0-9]+)F0:(?:UST|USD|EUR|BTC)F0",
        r"([A-Z0-9]{2,}(?:USDT|USDC))M|(XBTUSD)M",
        r"(.+)_[UDC]MCBL",
    )
]
"""Exchanges' names of perpetuals, dated futures and options, in upper case."""


def pair(text: str) -> str:
    """Convert a pair to ``BASE/QUOTE``, or only to upper case if it has no separator.

    ``btc/usdt``, ``BTC-USDT`` and ``btc_usdt`` become ``BTC/USDT``; with a slash, other separators
    are part of a currency's name. ``BTCUSDT`` does not change: only an exchange's list of pairs
    shows where it splits. ``BINANCE:BTCUSDT`` also names the exchange, which the result keeps. The
    result also keeps other meanings if the exchange has no such pair, as for ``$BTC/USDT``,
    ``SPOT_BTC_USDT`` and ``bitcoin/usdt``. Raises `PairNotSupportedError` for the name of a swap,
    future or option, and `InvalidParameterError` for anything else.
    """
    return text if isinstance(text, Written) else _pair(text)


@functools.lru_cache(maxsize=1_000)
def _pair(text: str) -> str:
    cleaned = text.strip().strip("\"'`").strip(" ,;").translate(_STROKES)
    cleaned = re.sub(r"%2F|\\/", "/", cleaned, flags=re.IGNORECASE)
    cleaned = re.sub(r"^\((.+)\)$|^(\S+) (?:pair|market)$", r"\1\2", cleaned, flags=re.IGNORECASE)
    if not 2 <= len(cleaned) <= 80 or not cleaned.isprintable():
        raise _no_pair(text)
    if found := _CHANNEL.fullmatch(cleaned):
        raise refused("pair is BASE/QUOTE, for example BTC/USDT", text, found[1].upper())
    exchange, named = _venue(cleaned)
    upper = named.upper()
    spot = _spot_of(upper)
    if spot is not None:
        raise PairNotSupportedError(
            f"'{upper[:60]}' is a derivative; only spot pairs are supported. "
            f"Ask for {' or '.join(spot)}.",
            details={"pair": upper[:60], "closest": spot},
        )
    name = None if ":" in upper else _name(upper)
    others = [one for one in dict.fromkeys(_others(named)) if one != name]
    if name is None:
        if not others:
            raise _no_pair(text)
        name, *others = others
    unclear = _BITFINEX.fullmatch(named) is not None
    if name == upper and not others and exchange is None:
        return name
    read = Written(name)
    read.text, read.exchange = upper, exchange
    read.others, read.is_unclear = tuple(others), unclear
    return read


def _name(upper: str) -> str | None:
    """Parse a pair with one separator or none; None for other texts."""
    parts = [part.strip(" ") for part in upper.split("/")]
    if len(parts) == 1:
        parts = re.split(r"[\-_ ]", upper)
        if len(parts) == 4 and parts[1:3] == ["", ""]:
            parts = [parts[0], parts[3]]  # BTC - USDT
        if len(parts) > 2 and all(re.fullmatch(r"[^\W_]+", part) for part in upper.split("_")):
            parts = [upper]
    joined = "/".join(parts)
    if len(parts) > 2 or not 2 <= len(joined) <= 40:
        return None
    return joined if all(_CODE.fullmatch(part) for part in parts) else None


def _venue(text: str) -> tuple[str | None, str]:
    """Separate the exchange from a text that has one with the pair."""
    if "://" in text:
        return None, text
    if found := _VENUE.fullmatch(text):
        venue, rest = found[1].strip(), found[2].strip()
        if venue.lower() in _NOT_VENUES:
            return None, rest
        is_pair = re.search(r"[/_ -]", rest) or len(rest) > 5
        name = exchange_id(venue)
        if not _BITFINEX.fullmatch(text) and (is_pair or name in WELL_KNOWN) and not divided(venue):
            return name, rest
    elif (found := re.fullmatch(r"(.+):([\w. ]+)", text)) and (
        found[2].lower() == "spot" or exchange_id(found[2]) in WELL_KNOWN
    ):
        return None if found[2].lower() == "spot" else exchange_id(found[2]), found[1]
    elif (found := _AT.fullmatch(text)) and _name(found[1].strip().upper()):
        return exchange_id(found[2]), found[1].strip()
    for pattern in _BESIDE:
        found = pattern.fullmatch(text)
        if found and exchange_id(found["venue"]) in WELL_KNOWN and _is_whole(found["pair"]):
            return exchange_id(found["venue"]), found["pair"]
    return None, text


def _is_whole(text: str) -> bool:
    """Return whether a text next to an exchange's name has a base and a quote currency."""
    if re.match(r"(?:coin|token|dollar)\b|(?:coin|token|dollar)_", text, re.IGNORECASE):
        return False  # Binance Coin/USDT
    parts = re.split(r"[/_ -]", text)
    return len(parts) == 2 and all(parts) if len(parts) > 1 else divided(text.upper()) is not None


def _spot_of(upper: str) -> list[str] | None:
    """Return the spot pairs of a derivative; None if the text names no derivative."""
    if found := re.fullmatch(r"([^:]+[/_-][^:]+):(.+)", upper):  # as ccxt names them
        return [found[1].replace("-", "/").replace("_", "/")[:60]]
    for pattern in _FUTURES:
        if found := pattern.fullmatch(upper):
            of = next(one for one in found.groups() if one)
            of = re.sub(r"[_-](?:VANILLA|INVERSE|LINEAR)$", "", of)
            name = _name(of.strip("-_ ."))
            if name is None:
                return None
            name = re.sub(r"^XBT", "BTC", name)
            if "/" not in name:
                parts = divided(name)
                name = "/".join(parts) if parts else name
            base, _, quote = name.partition("/")
            return [f"{base}/{quote}"] if quote else [f"{base}/USDT", f"{base}/USD"]
    return None


def _others(text: str) -> Iterator[str]:
    """Return meanings of a text that is no exchange's name of a pair."""
    if _BITFINEX.fullmatch(text):
        yield text[1:].replace(":", "/")
    upper = text.upper()
    if found := _SPOT.fullmatch(upper):
        if (name := _name(found[1] or found[2])) is not None:
            yield name
        upper = found[1] or found[2]
    if re.search(r"(?:^|[/_ -])[$#]\w", upper):
        plain = re.sub(r"(^|[/_ -])[$#](?=\w)", r"\1", upper)
        if (name := _name(plain)) is not None:
            yield name
    parts = [part.strip() for part in _BETWEEN.split(upper)]
    if len(parts) == 2:
        upper = "/".join(parts)
        yield from filter(None, [_name(upper)])
    if (found := re.fullmatch(r"([A-Z0-9]{2,10})[.:]([A-Z0-9]{2,6})", upper)) and found[
        2
    ] in QUOTES:
        yield f"{found[1]}/{found[2]}"
    if code_of(upper) is not None:
        return  # a coin alone, in two words
    if (whole := _name(upper)) is not None and "/" in whole:
        codes = [code_of(part) or part for part in whole.split("/")]
        if "/".join(codes) != whole:
            yield "/".join(codes)
    elif (found := re.fullmatch(r"(.+)[/ _-](\S+)", upper)) and (base := code_of(found[1])):
        yield f"{base}/{code_of(found[2]) or found[2]}"


def one_or_several(
    given: str | Sequence[str], parse: Callable[[str], str], name: str
) -> tuple[str, ...]:
    """Parse one text or several, without repeats; at least one and at most 200."""
    texts = [given] if isinstance(given, Read) else listed(given)
    if not 1 <= len(texts) <= MAX_WATCHED:
        raise InvalidParameterError(
            f"{name} takes 1 to {MAX_WATCHED} at once; was given {len(texts)}.",
            details={"parameter": name},
        )
    return tuple(dict.fromkeys(parse(text) for text in texts))


def _no_pair(text: str) -> InvalidParameterError:
    return InvalidParameterError(f"pair is BASE/QUOTE, for example BTC/USDT; {was(text)}.")
