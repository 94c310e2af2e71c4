"""Run the official conformance suite against our servers: python conformance.py [TARGET...].

Fails on whatever goes wrong that ``expected/TARGET.yml`` does not name, and on what it names that
goes well.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from official_tools import COMMAND, CONFORMANCE, environment, new_key, serving

HERE = Path(__file__).parent
FIXTURES = [sys.executable, str(HERE / "conformance_server.py")]
TIMEOUT_SECONDS = 300


@dataclass(frozen=True)
class Target:
    """A server, and the revisions that it is tried with."""

    command: Sequence[str]
    revisions: Sequence[str]
    needs_key: bool = False


HANDSHAKE = ("2025-03-26", "2025-06-18", "2025-11-25")
"""The suite has none for 2024-11-05, and one scenario, of sessions, for 2025-03-26."""
STATELESS = ("2025-06-18", "2025-11-25", "2026-07-28")

TARGETS = {
    "server": Target([COMMAND, "--http", "127.0.0.1:0", "--sim"], STATELESS),
    "fixtures": Target(FIXTURES, STATELESS),
    "access": Target(FIXTURES, STATELESS, needs_key=True),
    "sessions": Target([*FIXTURES, "--sessions"], HANDSHAKE),
}


@dataclass
class Outcome:
    """How one revision went: by scenario, how many checks passed and how many did not."""

    target: str
    revision: str
    is_as_expected: bool
    said: str
    scenarios: dict[str, tuple[int, int]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """What each check said that failed."""

    @property
    def verdict(self) -> str:
        """What nobody expected, in the suite's words."""
        parts = re.sub(r"\x1b\[\d+m", "", self.said).split("\n\n")
        return "\n".join(
            part for part in parts if part.startswith(("Stale", "Unexpected failures ("))
        )


def main(names: Sequence[str]) -> int:
    """Run what is named, or all; print a table and what nobody expected."""
    unknown = set(names) - set(TARGETS)
    if unknown:
        print(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}", file=sys.stderr)
        return 2
    with ThreadPoolExecutor(2) as threads:
        outcomes = [one for some in threads.map(_run, names or TARGETS) for one in some]
    _print_table(outcomes)
    unexpected = [one for one in outcomes if not one.is_as_expected]
    for one in unexpected:
        print(f"\n{one.target} {one.revision}: not as expected")
        print(one.verdict or one.said)
        print("\n".join(one.failures))
    return 1 if unexpected else 0


def _run(name: str) -> list[Outcome]:
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        key = {"CONFORMANCE_KEY": new_key(home)} if target.needs_key else {}
        with serving(target.command, {**environment(home), **key}) as url:
            return [_patiently(name, url, one, home / one) for one in target.revisions]


def _patiently(name: str, url: str, revision: str, results: Path) -> Outcome:
    """Try a revision; once more where it is not as expected, for want of time perhaps."""
    first = _try(name, url, revision, results)
    return first if first.is_as_expected else _try(name, url, revision, results / "again")


def _try(name: str, url: str, revision: str, results: Path) -> Outcome:
    done = subprocess.run(
        [
            *CONFORMANCE,
            *("server", "--url", url, "--suite", "all", "--spec-version", revision),
            *("--expected-failures", str(HERE / "expected" / f"{name}.yml")),
            *("--output-dir", str(results)),
        ],
        env=environment(results.parent),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
    )
    outcome = Outcome(name, revision, done.returncode == 0, done.stdout)
    for file in sorted(results.glob("server-*/checks.json")):
        scenario = re.sub(r"^server-|-\d{4}-\d\d-\d\dT.*$", "", file.parent.name)
        checks: list[dict[str, Any]] = json.loads(file.read_text())
        failed = [one for one in checks if one["status"] in ("FAILURE", "WARNING")]
        passed = sum(one["status"] == "SUCCESS" for one in checks)
        outcome.scenarios[scenario] = passed, len(failed)
        outcome.failures += [f"{scenario}:{one['id']}: {one.get('errorMessage')}" for one in failed]
    outcome.is_as_expected &= bool(outcome.scenarios)
    return outcome


def _print_table(outcomes: Sequence[Outcome]) -> None:
    """Print how many checks of each scenario passed, of how many; * where not all did."""
    scenarios = sorted({name for one in outcomes for name in one.scenarios})
    print(f"{'':46}" + "".join(f"{one.target:>12}" for one in outcomes))
    print(f"{'checks passed':46}" + "".join(f"{one.revision:>12}" for one in outcomes))
    for name in scenarios:
        cells = []
        for one in outcomes:
            passed, failed = one.scenarios.get(name, (0, 0))
            count = f"{passed}/{passed + failed}" if passed + failed else ""
            cells.append(f"{count + ('*' if failed else ' '):>12}")
        print(f"{name:46}" + "".join(cells).rstrip())
    totals = []
    for one in outcomes:
        passed = sum(passed for passed, _ in one.scenarios.values())
        totals.append(f"{passed}/{passed + sum(failed for _, failed in one.scenarios.values())} ")
    print(f"{'in all; * has what expected/ names':46}" + "".join(f"{one:>12}" for one in totals))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
