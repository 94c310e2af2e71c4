"""One name for each currency: renamed tokens, and other accepted names.

ccxt's `commonCurrencies` give most currencies of an exchange one code, and tokens that share a
ticker different ones. What it does not know is here. What it says of an exchange always wins, and
so does what an exchange lists: a code that somebody trades under is never another name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from typing import NamedTuple

NEAR_PAR = (
    *("USD", "USDT", "USDC", "FDUSD", "TUSD", "DAI", "USDP"),
    *("PYUSD", "GUSD", "BUSD", "RLUSD", "USD1", "USDE", "USDS"),
)
"""The US dollar and its stablecoins, which may be counted at par."""


class Renamed(NamedTuple):
    """The present name of a token."""

    code: str
    year: int
    """When exchanges changed the name."""
    why: str


RENAMED: Mapping[str, Renamed] = {
    "BNX": Renamed("FORM", 2025, "BinaryX became Four"),
    "DAR": Renamed("D", 2025, "Mines of Dalarnia became Dar Open Network"),
    "EOS": Renamed("A", 2025, "EOS became Vaulta"),
    "FTM": Renamed("S", 2025, "Fantom became Sonic"),
    "KLAY": Renamed("KAIA", 2024, "Klaytn became Kaia"),
    "MATIC": Renamed("POL", 2024, "Polygon changed its token"),
    "NANO": Renamed("XNO", 2021, "the ticker alone was changed"),
    "ORN": Renamed("LUMIA", 2024, "Orion became Lumia"),
    "RNDR": Renamed("RENDER", 2024, "Render moved to Solana"),
    "STPT": Renamed("AWE", 2025, "STP became AWE Network"),
    "TOMO": Renamed("VIC", 2023, "TomoChain became Viction"),
    "XRB": Renamed("XNO", 2021, "RaiBlocks became Nano, whose ticker was changed since"),
}
"""Tokens of which one old is one new. Missing, because it would be wrong: what was divided or
merged as well (STRAT, GAL, AGIX, OM), and old codes that another token has now (AGI, LIT, BCC)."""

ASKED: Mapping[str, str] = {
    "BCC": "BCH",  # until 2018; ccxt gave it up since other tokens are called so
    "XBT": "BTC",  # ISO 4217's form
}
"""Names that are accepted in requests but do not rename listed tokens."""

SPELLED: Mapping[str, str] = {
    "ALG": "ALGO",
    "ATO": "ATOM",
    "BCHABC": "BCH",
    "BCHN": "BCH",
    "BCHSV": "BSV",
    "CGLD": "CELO",
    "DRK": "DASH",
    "DSH": "DASH",
    "EUS": "EURS",
    "EUT": "EURT",
    "GASNEO": "GAS",
    "HSR": "HC",
    "IOT": "IOTA",
    "IQX": "IQ",
    "KALT": "ALT",
    "LUNA2": "LUNA",
    "MIOTA": "IOTA",
    "MNA": "MANA",
    "NEM": "XEM",
    "QSH": "QASH",
    "QTM": "QTUM",
    "RBT": "RBTC",
    "REPV2": "REP",
    "SNG": "SNGLS",
    "STEPN": "GMT",
    "STJ": "STORJ",
    "STR": "XLM",
    "TERRAUST": "USTC",
    "TONCOIN": "TON",
    "TRUMPSOL": "TRUMP",
    "TSD": "TUSD",
    "UDC": "USDC",
    "UST": "USTC",
    "VSY": "VSYS",
    "WAX": "WAXP",
    "XDG": "DOGE",
    "XMT": "MTL",
    "YOYO": "YOYOW",
    "YYW": "YOYOW",
}
"""Exchanges' own names of currencies, accepted if ccxt's map of the exchange has them. Other
entries of the map distinguish tokens with the same ticker."""


def renamed(listed: Collection[str], common: Mapping[str, str]) -> dict[str, str]:
    """Tell which of the codes that an exchange lists come out under which other one.

    ``common`` is ccxt's map of the exchange's codes. Where that mentions either name, or the
    exchange lists the new one itself, both stay as they are.
    """
    known = {*common, *common.values(), *listed}
    found = {
        old: new.code
        for old, new in RENAMED.items()
        if old in listed
        and new.code not in known
        and old not in common
        and old not in common.values()
    }
    # Two codes that would become one stay two.
    times = Counter(found.values())
    return {old: new for old, new in found.items() if times[new] == 1}


def former(listed: Collection[str], common: Mapping[str, str]) -> dict[str, str]:
    """Tell which codes that an exchange lists are older names of others that it lists as well.

    By the newer one; the one before it where there were several. Not where ``common``, ccxt's map
    of the exchange's codes, mentions one of both: then they may be different tokens.
    """
    known = {*common, *common.values()}
    found: dict[str, str] = {}
    for old, new in RENAMED.items():
        if {old, new.code} <= {*listed} and not known & {old, new.code}:
            found.setdefault(new.code, old)
    return found


def aliases(traded: Collection[str], common: Mapping[str, str]) -> dict[str, str]:
    """Return the other names of codes that an exchange trades, renamed ones under the new name."""
    everywhere = {**{old: new.code for old, new in RENAMED.items()}, **ASKED}
    here = {theirs: ours for theirs, ours in SPELLED.items() if common.get(theirs) == ours}
    others = {
        name: code
        for name, code in everywhere.items()
        if common.get(name, code) == code and name not in common.values()
    }
    return {
        name: code
        for name, code in {**others, **here}.items()
        if code in traded and name not in traded
    }
