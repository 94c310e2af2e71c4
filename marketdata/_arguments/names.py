"""Names that other libraries, exchanges and servers use for our arguments."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from marketdata._arguments.texts import listed
from marketdata.errors import InvalidParameterError, closest, did_you_mean

_LONGEST = 60
"""Maximum characters of a name to compare with others, which takes quadratic time."""

_SAME: Mapping[str, Collection[str]] = {
    "pair": (
        *("symbol", "market", "ticker", "instrument", "instrumentid", "instrumentname", "instid"),
        *("productid", "product", "tradingpair", "currencypair", "pairname", "pairid", "tradepair"),
        *("marketsymbol", "marketid", "tradingsymbol", "symbolname", "coinpair", "cryptopair"),
        *("coin", "asset", "token", "crypto", "cryptocurrency", "coinid", "symbolid", "pairsymbol"),
        "assetpair",
    ),
    "pairs": (
        *("symbols", "markets", "tickers", "instruments", "tradingpairs", "productids", "instids"),
        *("currencypairs", "coins", "assets", "tokens", "symbollist", "pairlist", "watchlist"),
        *("instrumentids", "products"),
    ),
    "timeframe": (
        *("interval", "granularity", "resolution", "bar", "barsize", "candleinterval", "tf"),
        *("klineinterval", "candlesize", "binsize", "frequency", "freq", "timeinterval"),
        *("candletimeframe", "candleperiod", "barinterval", "candlewidth", "barlength", "barspec"),
        *("timespan", "timeframes", "intervals", "candlelength", "candlegranularity"),
    ),
    "start": (
        *("since", "from", "starttime", "startdate", "startdatetime", "begin", "starting"),
        *("startat", "starttimestamp", "startts", "fromdate", "fromtimestamp", "fromtime"),
        *("fromts", "sincedate", "begintime", "begindate", "datefrom", "timefrom", "startms"),
        *("timestart", "starttimems", "sincems", "sincetimestamp", "startdateutc", "starttimeutc"),
        *("datestart", "periodstart", "period1", "fromdatetime", "startsat"),
    ),
    "end": (
        *("to", "until", "till", "endtime", "enddate", "enddatetime", "todate", "totimestamp"),
        *("endat", "endtimestamp", "endts", "totime", "tots", "untildate", "dateto", "timeto"),
        *("endms", "timeend", "endtimems", "untilms", "finish", "stoptime", "enddateutc"),
        *("endtimeutc", "dateend", "periodend", "period2", "todatetime", "endsat", "untiltime"),
    ),
    "depth": (
        *("limit", "levels", "maxdepth", "maxlevels", "booksize", "bookdepth", "numlevels"),
        *("orderbookdepth", "orderbooklimit", "depthlimit", "sz", "count", "nlevels"),
    ),
    "limit": (
        *("count", "maxresults", "numresults", "n", "num", "numcandles", "maxcandles", "numbars"),
        *("bars", "candles", "maxbars", "pagesize", "rows", "maxrows", "top", "maxcount", "take"),
        *("resultlimit", "numtrades", "maxtrades", "maxitems", "barcount", "candlecount", "nbars"),
        *("perpage", "countback", "first", "outputsize"),
    ),
    "amount": (
        *("size", "quantity", "qty", "baseamount", "basesize", "baseqty", "basequantity"),
        *("ordersize", "orderqty", "orderamount", "orderquantity", "tradesize", "sz", "volume"),
        *("tradeamount",),
    ),
    "quote_amount": (
        *("quotesize", "quoteqty", "quoteorderqty", "quotequantity", "notional", "funds"),
        *("quotevolume", "notionalvalue", "amountquote", "cost", "quotevalue", "notionalusd"),
    ),
    "side": ("direction", "action", "orderside", "buysell", "tradeside", "takerside"),
    "exchange": (
        *("exchangeid", "venue", "exchangename", "exch", "venueid", "platform", "exchangecode"),
        *("marketplace", "exchangeslug", "broker"),
    ),
    "exchanges": (
        *("exchangeids", "venues", "exchangenames", "exchangelist", "platforms", "venueids"),
    ),
    "kind": ("channel", "stream", "datatype", "what", "feed", "channelname", "streamtype"),
    "watch": ("watchid", "id", "subscription", "subscriptionid", "streamid", "handle"),
    "wait": ("block", "blocking", "longpoll", "waitfornews"),
    "timeout": ("timeoutseconds", "timeouts", "timeoutsec", "waitseconds", "maxwait", "waittime"),
    "search": ("query", "q", "term", "text", "keyword", "searchterm", "pattern", "find"),
    "base": (
        *("baseasset", "basecurrency", "basecoin", "coin", "asset", "token", "fsym", "basesymbol"),
        *("currency", "crypto", "basecode", "coinid"),
    ),
    "quote": (
        *("quoteasset", "quotecurrency", "quotecoin", "vscurrency", "tsym", "countercurrency"),
        *("quotesymbol", "counter", "convert", "quotecode"),
    ),
    "quotes": ("quoteassets", "quotecurrencies", "vscurrencies", "tsyms", "quotecoins"),
    "active": ("isactive", "activeonly", "onlyactive", "tradable"),
    "aggregate": ("aggregated", "agg", "merge", "aggregatetrades"),
    "from_id": ("fromtradeid", "tradeid", "startid", "sinceid", "startingid"),
    "offset": ("skip", "startindex", "startfrom"),
    "window": ("windowsize", "rollingwindow", "tickerwindow", "windowlength", "rolling"),
    "sort": (
        "sortby",
        "orderby",
        "order",
        "sortorder",
        "sortdirection",
        "rankby",
        "sortfield",
        "sortkey",
        "rank",
    ),
    "ascending": ("asc", "ascendingorder"),
    "min_quote_volume": ("minquotevol", "minturnover", "minvolumeusd", "minvolumeusdt"),
    "columns": ("fields", "cols", "columnnames"),
    "fill": ("fillgaps", "fillmissing", "fillmethod", "fillna"),
    "cursor": ("nextcursor", "pagetoken"),
}
"""Other names of arguments, as `_plain` returns them."""

_ONE_OR_SEVERAL = {"pair": "pairs", "pairs": "pair", "exchange": "exchanges"} | {
    "exchanges": "exchange"
}
_ORDERS = {"asc": True, "ascending": True, "desc": False, "descending": False}
"""Values of a name such as ``order`` that name no field."""
_NEAR: Mapping[str, Collection[str]] = {
    "period": ("timeframe", "window", "start"),
    "span": ("timeframe", "window"),
    "range": ("start",),
    "lookback": ("start",),
    "days": ("start",),
    "hours": ("start",),
    "after": ("start", "cursor"),
    "before": ("end",),
    "date": ("start",),
    "timestamp": ("start",),
    "time": ("start",),
    "level": ("depth",),
    "size": ("depth", "limit"),
    "type": ("kind", "side"),
    "value": ("quote_amount",),
    "total": ("quote_amount",),
    "page": ("offset",),
    "name": ("search", "pair", "exchange"),
    "source": ("exchange", "exchanges"),
    "timeframe": ("window",),
    "interval": ("window",),
    "timeoutms": ("timeout",),
    "last": ("limit",),
    "lastn": ("limit",),
    "currency": ("pair", "base"),
    "market": ("exchange",),
    "filter": ("search",),
    "price": ("quote_amount",),
    "end": ("limit",),
    "minvolume": ("min_quote_volume",),
    "volumemin": ("min_quote_volume",),
}
"""Names that can mean an argument or something else: they are suggested, but not accepted."""


def meant(name: str, known: Collection[str]) -> str | None:
    """Return the only argument that a name can mean; None if there is none or several."""
    if name in known:
        return name
    plain = _plain(name)
    own = [one for one in known if _plain(one) == plain]
    if len(own) == 1:
        return own[0]
    same = [one for one, names in _SAME.items() if plain in names]
    found = [one for one in same if one in known]
    found = found or [
        other for one in (*same, plain) if (other := _ONE_OR_SEVERAL.get(one)) in known and other
    ]
    return found[0] if len(set(found)) == 1 else None


def likely(name: str, known: Collection[str]) -> list[str]:
    """Return the arguments that a name can mean, the likeliest first."""
    if len(name) > _LONGEST:
        return []
    if (only := meant(name, known)) is not None:
        return [only]
    plain = _plain(name)
    spelled = {_plain(one): one for one in known}
    for one, names in _SAME.items():
        if one in known:
            spelled.update(dict.fromkeys(names, one))
    near = [one for one in _NEAR.get(plain, ()) if one in known]
    near += [one for one, names in _SAME.items() if one in known and plain in names]
    return list(dict.fromkeys([*near, *(spelled[one] for one in closest(plain, spelled))]))


def renamed(given: Mapping[str, Any], known: Collection[str]) -> dict[str, Any]:
    """Return arguments under our names if they are unambiguous; others do not change.

    Raises `InvalidParameterError` if one is given with two names and two values.
    """
    answer: dict[str, Any] = {name: value for name, value in given.items() if name in known}
    parts = {"base", "quote"} - set(known)
    if "pair" in known and "pair" not in given and len(parts) == 2:
        sides = {meant(name, ("base", "quote")): name for name in given if name not in known}
        if {"base", "quote"} <= sides.keys():
            base, quote = given[sides["base"]], given[sides["quote"]]
            if isinstance(base, str) and isinstance(quote, str):
                answer["pair"] = f"{base}/{quote}"
                given = {name: one for name, one in given.items() if name not in sides.values()}
    for name, value in given.items():
        if name in known:
            continue
        ours = meant(name, known) or name
        if ours == "sort" and isinstance(value, str) and value.strip().lower() in _ORDERS:
            ours, value = "ascending", _ORDERS[value.strip().lower()]
        if ours in answer and answer[ours] != value:
            raise InvalidParameterError(
                f"'{_shown(ours)}' and '{_shown(name)}' are the same argument: give one of them.",
                details={"parameter": name[:_LONGEST]},
            )
        answer[ours] = value
    if "pair" in answer and "pairs" in known and "pairs" not in answer:
        several = listed(answer["pair"])
        if isinstance(several, list) and len(several) > 1 and all(map(_is_pair, several)):
            answer["pairs"] = several
            del answer["pair"]
    return answer


def _is_pair(text: Any) -> bool:
    return isinstance(text, str) and (re.search(r"[/_-]", text) is not None or len(text) > 5)


def unknown(what: str, name: str, known: Iterable[str], near: list[str]) -> InvalidParameterError:
    """Make the error of an unknown argument, with similar names."""
    shown = name[:_LONGEST]
    names = ", ".join(known)
    has = f" It has {names}." if names else " It has none."
    details: dict[str, Any] = {"parameter": shown}
    if near:
        details |= {"closest": near, "rename": {shown: near[0]}}
    return InvalidParameterError(
        f"{what} has no argument '{_shown(name)}'.{did_you_mean(near[:3]) or has}", details=details
    )


def _shown(name: str) -> str:
    return re.sub(r"[^ -~]", "?", name[:_LONGEST])


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name[:200].lower())
