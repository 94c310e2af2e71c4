"""One name for each currency: renamed tokens, and other accepted names.

ccxt's `commonCurrencies` give each currency one code on most exchanges, and different codes to
tokens that share a ticker. This module adds what ccxt does not know. ccxt's map of an exchange
always wins, and so does the exchange's list: a code that is traded is never another name.
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
    """The current name of a token."""

    code: str
    year: int
    """The year in which exchanges changed the name."""
    why: str


RENAMED: Mapping[str, Renamed] = {
    "BNX": Renamed("FORM", 2025, "BinaryX became Four"),
    "DAR": Renamed("D", 2025, "Mines of Dalarnia became Dar Open Network"),
    "EOS": Renamed("A", 2025, "EOS became Vaulta"),
    "FTM": Renamed("S", 2025, "Fantom became Sonic"),
    "KLAY": Renamed("KAIA", 2024, "Klaytn became Kaia"),
    "MATIC": Renamed("POL", 2024, "Polygon changed its token"),
    "NANO": Renamed("XNO", 2021, "only the ticker was changed"),
    "ORN": Renamed("LUMIA", 2024, "Orion became Lumia"),
    "RNDR": Renamed("RENDER", 2024, "Render moved to Solana"),
    "STPT": Renamed("AWE", 2025, "STP became AWE Network"),
    "TOMO": Renamed("VIC", 2023, "TomoChain became Viction"),
    "XRB": Renamed("XNO", 2021, "RaiBlocks became Nano, whose ticker changed later"),
}
"""Tokens that were renamed one to one. Tokens that were also split or merged (STRAT, GAL, AGIX,
OM) are missing on purpose, and so are old codes that another token uses now (AGI, LIT, BCC)."""

ASKED: Mapping[str, str] = {
    "BCC": "BCH",  # until 2018; ccxt dropped it because other tokens use the code
    "XBT": "BTC",  # the form of ISO 4217
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
    """Return the listed codes that are renamed, with their new codes.

    ``common`` is ccxt's map of the exchange's codes. If it mentions either code, or if the exchange
    lists the new code itself, both keep their names.
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
    # Two codes that would get the same new code keep their names.
    times = Counter(found.values())
    return {old: new for old, new in found.items() if times[new] == 1}


def former(listed: Collection[str], common: Mapping[str, str]) -> dict[str, str]:
    """Return the former codes of listed codes, if the exchange lists both, by the newer code.

    If a code had several former ones, the latest is returned. Codes that ``common``, ccxt's map of
    the exchange's codes, mentions are left out: they may be different tokens.
    """
    known = {*common, *common.values()}
    found: dict[str, str] = {}
    for old, new in RENAMED.items():
        if {old, new.code} <= {*listed} and not known & {old, new.code}:
            found.setdefault(new.code, old)
    return found


def aliases(traded: Collection[str], common: Mapping[str, str]) -> dict[str, str]:
    """Return the other names of traded codes, with renamed codes under their new name."""
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
