"""The recorded answers, as the folder of recordings holds them."""

import gzip
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

REST = ("binance", "bitstamp")


@dataclass(frozen=True)
class Case:
    """One call of ccxt's, what the exchange answered, and what ccxt made of it.

    ``parsed`` is what ccxt of the recording's version is known to make of it; None where only
    the installed ccxt can tell.
    """

    exchange: str
    method: str
    source: str
    index: int
    description: str
    input: list[Any]
    body: Any
    parsed: Any = None
    contract: bool = False
    url: str | None = None
    extra: dict[str, str] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return f"{self.exchange}-{self.method}-{self.source}{self.index}"

    @property
    def params(self) -> dict[str, Any]:
        """The parameters beyond ccxt's unified ones."""
        return self.input[-1] if self.input and isinstance(self.input[-1], dict) else {}

    @property
    def signed(self) -> bool:
        """Whether ccxt wants a key for it: the book of kucoin's unified account."""
        return self.method == "fetchOrderBook" and bool(self.params.get("uta"))


class Recordings:
    """A folder of recordings; a file that is not there raises FileNotFoundError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def cases(self) -> list[Case]:
        """All cases, in the order of the files."""
        return [*self._static(), *self._rest()]

    @cached_property
    def exchanges(self) -> list[str]:
        return sorted({case.exchange for case in self.cases})

    @cached_property
    def ccxt(self) -> str:
        """The version of ccxt that the recorded results are known to be those of."""
        return str(self._usable["ccxt"])

    @cached_property
    def _usable(self) -> dict[str, Any]:
        return dict(self._load("ccxt-static/usable-cases.json"))

    def markets(self, exchange: str, extra: dict[str, str] | None = None) -> list[dict[str, Any]]:
        """Give the recorded markets of an exchange, contracts included, as ``set_markets`` takes.

        ``extra`` adds spot pairs by their native ids, in the likeness of the first recorded one.
        """
        recorded = list(self._load(f"ccxt-static/markets/{exchange}.json").values())
        model = next(market for market in recorded if market["spot"])
        known = {market["symbol"] for market in recorded}
        return recorded + [
            _alike(model, pair, native)
            for pair, native in (extra or {}).items()
            if pair not in known
        ]

    def _static(self) -> Iterator[Case]:
        kinds = {
            (one["exchange"], one["method"], one["index"]): one["market"]
            for one in self._usable["usable"]
        }
        recorded = {exchange for exchange, _, _ in kinds}
        for exchange in sorted(recorded):
            methods = self._load(f"ccxt-static/response/{exchange}.json")["methods"]
            for method, cases in methods.items():
                for index, case in enumerate(cases):
                    kind = kinds.pop((exchange, method, index), None)
                    yield Case(
                        exchange=exchange,
                        method=method,
                        source="static",
                        index=index,
                        description=case["description"],
                        input=case["input"],
                        body=case["httpResponse"],
                        parsed=case["parsedResponse"] if kind else None,
                        contract=":" in json.dumps(case["input"][:1]),
                    )
        if kinds:
            raise FileNotFoundError(f"usable-cases.json names cases that are not there: {kinds}")

    def _rest(self) -> Iterator[Case]:
        for exchange in REST:
            recorded = self._load(f"rest/{exchange}.json.gz")
            for index, case in enumerate(recorded["cases"]):
                extra = case.get("extraMarkets", {})
                if case["method"] == "fetchTickers" and not case["input"]:
                    extra = _listed(
                        recorded["cases"], {one["symbol"] for one in case["httpResponse"]}
                    )
                yield Case(
                    exchange=exchange,
                    method=case["method"],
                    source="rest",
                    index=index,
                    description=case["description"],
                    input=case["input"],
                    body=case["httpResponse"],
                    url=case["url"],
                    extra=extra,
                    options=recorded["options"],
                )

    def _load(self, name: str) -> Any:
        path = self.folder / name
        data = path.read_bytes()
        return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


def _alike(model: dict[str, Any], pair: str, native: str) -> dict[str, Any]:
    base, quote = pair.split("/")
    base_id, quote_id = (base, quote) if native.isupper() else (base.lower(), quote.lower())
    return {
        **model,
        "id": native,
        "lowercaseId": native.lower(),
        "symbol": pair,
        "base": base,
        "quote": quote,
        "baseId": base_id,
        "quoteId": quote_id,
        "precision": {"amount": None, "price": None},
        "info": {},
    }


def _listed(cases: list[dict[str, Any]], natives: set[str]) -> dict[str, str]:
    """Give the pairs of native ids, as binance's recorded lists of markets have them."""
    return {
        f"{market['baseAsset']}/{market['quoteAsset']}": market["symbol"]
        for case in cases
        if case["method"] == "fetchMarkets"
        for market in case["httpResponse"]["symbols"]
        if market["symbol"] in natives
    }
