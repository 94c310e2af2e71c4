"""The recorded answers, as the folder of recordings holds them.

A folder has any of these, for any exchanges of ccxt's:

- ``response/<id>.json``, as ccxt's own static fixtures are: per method cases of ``input``, of
  ``httpResponse`` (the body that answers each request of the call, or a text that is sent as it
  is) or ``httpResponses`` (one body a request), and of ``parsedResponse``; beside it
  ``markets/<id>.json``, what ``set_markets`` takes. ``usable-cases.json`` names the cases that a
  version of ccxt is known to pass; without it no recorded result is known to be of any version.
- ``rest/*.json`` or ``.json.gz``: ``exchange``, ``options`` and ``cases`` of ``method``,
  ``input``, ``url``, ``httpResponse`` and ``extraMarkets`` (native ids by pair).

The first is looked for in ``ccxt-static`` as well.
"""

import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

KINDS = ("type", "subType", "defaultType", "marketType", "instType", "category", "productType")
"""Parameters of ccxt's calls that name a kind of market."""


@dataclass(frozen=True)
class Case:
    """One call of ccxt's, what the exchange answered, and what ccxt made of it.

    ``parsed`` is what was recorded as ccxt's result; None where only the installed ccxt can
    tell. ``of`` is the version of ccxt that gives that; None where it is not known.
    """

    exchange: str
    method: str
    source: str
    index: int
    description: str
    input: list[Any]
    bodies: tuple[Any, ...]
    parsed: Any = None
    of: str | None = None
    disabled: bool = False
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
    def symbols(self) -> list[str]:
        """The pairs and contracts that the call names."""
        first = self.input[0] if self.input else None
        named = first if isinstance(first, list) else [first]
        return [one for one in named if isinstance(one, str) and "/" in one]

    @property
    def contract(self) -> bool:
        """Whether it is about anything but spot."""
        kinds = {str(self.params[name]).lower() for name in KINDS if name in self.params}
        if self.symbols:
            return any(":" in symbol for symbol in self.symbols)
        answered = self.parsed if isinstance(self.parsed, dict) else {}
        return bool(kinds - {"spot"}) or (
            self.method in ("fetchTickers", "fetchBidsAsks")
            and bool(answered)
            and all(":" in symbol for symbol in answered)
        )

    @property
    def body(self) -> Any:
        """The body, of a call that one request answers."""
        [body] = self.bodies
        return body


class Recordings:
    """A folder of recordings; one that is not there raises FileNotFoundError."""

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise FileNotFoundError(f"no folder of recordings at {folder}")
        self.folder = folder

    @cached_property
    def cases(self) -> list[Case]:
        """All cases, in the order of the files."""
        found = [*self._static(), *self._rest()]
        if not found:
            raise FileNotFoundError(f"neither response/*.json nor rest/*.json in {self.folder}")
        return found

    @cached_property
    def ccxt(self) -> str | None:
        """The version of ccxt that recorded results are known to be those of, if any."""
        return self._usable.get("ccxt")

    @cached_property
    def digest(self) -> str:
        """What tells the folder's content from any other's."""
        told = hashlib.sha256()
        for path in self._files:
            told.update(f"{path.relative_to(self.folder)}\0".encode())
            told.update(hashlib.sha256(path.read_bytes()).digest())
        return told.hexdigest()[:16]

    def listed(self, exchange: str) -> list[dict[str, Any]] | None:
        """Return an exchange's recorded markets, contracts included; None where there are none."""
        for root in self._roots:
            path = root / "markets" / f"{exchange}.json"
            if path.exists():
                return list(_load(path).values())
        return None

    @cached_property
    def _roots(self) -> list[Path]:
        return [
            root
            for root in (self.folder / "ccxt-static", self.folder)
            if (root / "response").is_dir()
        ]

    @cached_property
    def _files(self) -> list[Path]:
        found = [*(self.folder / "rest").glob("*.json"), *(self.folder / "rest").glob("*.json.gz")]
        for root in self._roots:
            for kind in ("response", "markets"):
                found += (root / kind).glob("*.json")
            found += root.glob("usable-cases.json")
        return sorted(found)

    @cached_property
    def _usable(self) -> dict[str, Any]:
        for path in self._files:
            if path.name == "usable-cases.json":
                return dict(_load(path))
        return {}

    def _static(self) -> Iterator[Case]:
        usable = {
            (one["exchange"], one["method"], one["index"]) for one in self._usable.get("usable", ())
        }
        there = set()
        for path in self._files:
            if path.parent.name != "response":
                continue
            recorded = _load(path)
            for method, cases in recorded["methods"].items():
                for index, case in enumerate(cases):
                    key = (path.stem, method, index)
                    there.add(key)
                    known = key in usable
                    one = case.get("httpResponse")
                    yield Case(
                        exchange=path.stem,
                        method=method,
                        source="static",
                        index=index,
                        description=case.get("description", ""),
                        input=case.get("input", []),
                        bodies=tuple(case.get("httpResponses", (one,))),
                        parsed=case.get("parsedResponse") if known or not usable else None,
                        of=self.ccxt if known else None,
                        disabled=bool(case.get("disabled") or case.get("disabledPY")),
                        options={**recorded.get("options", {}), **case.get("options", {})},
                    )
        if usable - there:
            raise FileNotFoundError(
                f"usable-cases.json names cases that are not there: {sorted(usable - there)}"
            )

    def _rest(self) -> Iterator[Case]:
        numbers: Counter[str] = Counter()
        for path in self._files:
            if path.parent.name != "rest":
                continue
            recorded = _load(path)
            for case in recorded["cases"]:
                yield Case(
                    exchange=recorded["exchange"],
                    method=case["method"],
                    source="rest",
                    index=numbers[recorded["exchange"]],
                    description=case.get("description", ""),
                    input=case["input"],
                    bodies=(case["httpResponse"],),
                    url=case.get("url"),
                    extra=case.get("extraMarkets", {}),
                    options=recorded.get("options", {}),
                )
                numbers[recorded["exchange"]] += 1


def _load(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
