"""Write docs/exchanges.md of what `exchanges()` tells; ``make docs`` runs this."""

import tempfile
from collections.abc import Iterable
from pathlib import Path

import marketdata as md
from marketdata._exchanges import loader

PAGE = Path(__file__).with_name("exchanges.md")

OPERATIONS = {
    "ticker": "ticker",
    "tickers": "tickers",
    "quote": "quote",
    "quotes": "quotes",
    "orderbook": "book",
    "candles": "candles",
    "trades": "trades",
    "status": "status",
}
STREAMS = {
    "ticker": "ticker",
    "quote": "quote",
    "orderbook": "book",
    "trades": "trades",
    "candles": "candles",
}

HEAD = """# Exchanges

Every spot exchange that ccxt {version} has, and what can be asked of it here: {count}. This page
is made of what `exchanges()` gives in a program, `marketdata exchanges` in a shell and
`list_exchanges` to agents; `make docs` makes it anew.

## Operations

**●** the exchange has a call for it; **○** the answer is made of those to other calls, and its
`derived` and `derivedFields` say so; **key** only with the key of an account
(`MARKETDATA_<EXCHANGE>_API_KEY` and so on); **–** it cannot be had, which is `DATA_UNAVAILABLE`
with the reason before anything is asked. `pairs` and `fees` are served everywhere{keyed}.
Where an exchange's ticker lacks bid or ask, both come from its book, on any of them. *Streams*
are those that want no key.

"""

LIMITS = """
## Limits

*Bars* are the lengths that it has itself; others that these divide are made of them ("of trades":
made of single trades, as far back as it gives those). *A page*: how many bars one request brings,
where ccxt knows; longer ranges take several. *History*: whether older bars can be asked for, or
how many of the newest there are. *Old trades*: what they can be asked for by; where it is
nothing, only the newest are there. *Levels*: the depths that its book call takes, or the most
that it gives, where that is known; any depth can be asked for. *ms*: the least time between two
requests that its limiter keeps. *Based in*: ccxt does not know from where an exchange may not be
used; one that refuses says so (`EXCHANGE_UNAVAILABLE`).

"""

REASONS = """
## What cannot be had

"""


def page(known: Iterable[md.Exchange], version: str) -> str:
    """Give the page about exchanges, in Markdown."""
    rows = list(known)
    keyed = ", ".join(one.id for one in rows if "pairs" in one.needs_key)
    but = f", on {keyed} only with a key" if keyed else ""
    text = HEAD.format(version=version, count=len(rows), keyed=but)
    text += _table(
        ["exchange", "name", *OPERATIONS.values(), "streams"],
        [
            [one.id, one.name, *(_mark(one, name) for name in OPERATIONS), _streams(one)]
            for one in rows
        ],
    )
    text += LIMITS
    text += _table(
        ["exchange", "bars", "a page", "history", "old trades", "levels", "ms", "based in"],
        [
            [
                one.id,
                _bars(one),
                _number(one.candles_per_request),
                _history(one),
                " or ".join(one.trades_from),
                _levels(one),
                _number(one.rate_limit),
                " ".join(one.countries),
            ]
            for one in rows
        ],
    )
    text += REASONS
    text += _table(
        ["exchange", "operation", "why"],
        [
            [one.id, operation, why.partition(": ")[2]]
            for one in rows
            for operation, why in (one.unavailable or {}).items()
        ],
    )
    return text


def _mark(one: md.Exchange, operation: str) -> str:
    if operation not in one.operations:
        return "–"
    if operation in one.needs_key:
        return "key"
    return "○" if operation in one.derived else "●"


def _streams(one: md.Exchange) -> str:
    return " ".join(STREAMS[kind] for kind in one.streams)


def _bars(one: md.Exchange) -> str:
    if one.timeframes:
        return " ".join(one.timeframes)
    return "of trades" if "candles" in one.operations else ""


def _history(one: md.Exchange) -> str:
    if one.history_bars is not None:
        return f"newest {one.history_bars:,}"
    if not one.timeframes:
        return ""
    return "yes" if one.history else "newest page"


def _levels(one: md.Exchange) -> str:
    if one.depths is not None:
        return " ".join(map(str, one.depths))
    return "" if one.max_depth is None else f"at most {one.max_depth:,}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:,.10g}"


def _table(titles: list[str], rows: list[list[str]]) -> str:
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def main() -> None:
    """Write the page."""
    with tempfile.TemporaryDirectory() as home, md.Client(home=home, sim=False) as client:
        PAGE.write_text(page(client.exchanges(), loader.version()), encoding="utf-8")


if __name__ == "__main__":
    main()
