"""What passed of what was run, by exchange and operation, beside what was accepted last.

``accepted.json`` holds, by the digest of a folder's content, the version of ccxt and the totals.
"""

import json
from dataclasses import dataclass
from pathlib import Path

ACCEPTED = Path(__file__).with_name("accepted.json")
AGAIN = "make conformance ACCEPT=1 (with the same RECORDED) accepts what there is now"


@dataclass(frozen=True)
class Cell:
    """One exchange and operation: how many of its cases passed, and how many were run."""

    passed: int
    run: int

    def __str__(self) -> str:
        return f"{self.passed}/{self.run}"


Totals = dict[str, dict[str, Cell]]
"""By exchange and operation."""


@dataclass(frozen=True)
class Accepted:
    """The totals of a folder that somebody has looked at and found right."""

    ccxt: str
    totals: Totals


def verdict(
    digest: str, now: Accepted, *, accept: bool = False, path: Path = ACCEPTED
) -> tuple[list[str], bool]:
    """Return what is to be said of a whole run, and whether it failed by what it counted.

    With ``accept`` its totals are what later ones are compared with.
    """
    if not now.totals:
        return ["NOTHING WAS RUN of what is recorded"], True
    if accept:
        write(digest, now, path)
        return [f"accepted, in {path.name}"], False
    accepted = read(digest, path)
    if accepted is None:
        return [f"no totals are accepted for this folder; {AGAIN}"], False
    less = worse(accepted, now.totals)
    said = [f"LESS THAN ACCEPTED: {line}" for line in less]
    said += [f"more than accepted: {line}" for line in more(accepted, now.totals)]
    return [*said, AGAIN] if said else ["as accepted"], bool(less)


def worse(accepted: Accepted, now: Totals) -> list[str]:
    """Return what there was that is less now, a line each: passes, cases, operations, exchanges."""
    lines = []
    for exchange, cells in accepted.totals.items():
        if exchange not in now:
            count = _sum(cells)
            lines.append(_line(accepted, exchange, count, "nothing of it is run"))
            continue
        for operation, before in cells.items():
            found = now[exchange].get(operation)
            if found is None:
                lines.append(_line(accepted, f"{exchange} {operation}", before, "not run"))
            elif found.passed < before.passed or found.run < before.run:
                lines.append(_line(accepted, f"{exchange} {operation}", before, str(found)))
    return lines


def more(accepted: Accepted, now: Totals) -> list[str]:
    """Return what is run now and was not accepted, a line each."""
    lines = []
    for exchange, cells in now.items():
        for operation, found in cells.items():
            before = accepted.totals.get(exchange, {}).get(operation, Cell(0, 0))
            if found.passed > before.passed or found.run > before.run:
                lines.append(_line(accepted, f"{exchange} {operation}", before, str(found)))
    return lines


def _line(accepted: Accepted, what: str, before: Cell, now: str) -> str:
    return f"{what}: {before} accepted with ccxt {accepted.ccxt}, now {now}"


def _sum(cells: dict[str, Cell]) -> Cell:
    return Cell(sum(one.passed for one in cells.values()), sum(one.run for one in cells.values()))


def read(digest: str, path: Path = ACCEPTED) -> Accepted | None:
    """Return what was accepted for a folder of this content; None where nothing was."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    if digest not in kept:
        return None
    totals = {
        exchange: {operation: Cell(*map(int, text.split("/"))) for operation, text in cells.items()}
        for exchange, cells in kept[digest]["totals"].items()
    }
    return Accepted(kept[digest]["ccxt"], totals)


def write(digest: str, accepted: Accepted, path: Path = ACCEPTED) -> None:
    """Keep what is accepted for a folder, beside what is for others."""
    kept = json.loads(path.read_text()) if path.exists() else {}
    kept[digest] = {
        "ccxt": accepted.ccxt,
        "totals": {
            exchange: {operation: str(cell) for operation, cell in sorted(cells.items())}
            for exchange, cells in sorted(accepted.totals.items())
        },
    }
    path.write_text(json.dumps(kept, indent=2) + "\n")
