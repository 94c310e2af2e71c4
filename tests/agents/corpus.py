"""Calls that agents make, what each means, and whether the server takes it so.

``python tests/agents/corpus.py`` prints how many of each kind are understood.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

from mcp import Client

from marketdata import AsyncClient, MarketDataError
from marketdata._exchanges.connector import Connector
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app
from marketdata_mcp.tools import TOOLS, Tool
from marketdata_mcp.watch_tools import WATCH_TOOLS

__all__ = ["Call", "Outcome", "calls", "judged", "repaired", "table"]

FILE = Path(__file__).with_name("corpus.jsonl")
_TOOLS: dict[str, Tool] = {**TOOLS, **WATCH_TOOLS}
_REPAIRS = 4
"""Errors that are mended one after the other."""
_TIMES = ("start", "end")
_NEARLY = 20_000
"""Milliseconds between the clock readings that a time ago is counted from."""


@dataclass(frozen=True)
class Call:
    """One line of the corpus."""

    kind: str
    tool: str
    given: dict[str, Any]
    means: dict[str, Any] | None
    """The same call as our schema has it; empty: whatever the error proposes first."""
    refused: str | None
    """The code of the error; None: it is understood at once."""
    closest: tuple[str, ...]
    """What the error proposes, from the first on; alternatives have a bar between them."""


@dataclass(frozen=True)
class Outcome:
    """What became of a call."""

    call: Call
    verdict: str
    """right, refused (though it has one meaning), wrong, or advised (refused with bad advice)."""
    mended: bool | None
    """Whether the repairer got the answer that is meant; None: the call cannot be meant."""
    said: str
    """What was wrong, for the reader of a failure."""


def calls() -> list[Call]:
    """Read the corpus."""
    lines = (json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines())
    return [
        Call(
            one["kind"],
            one["tool"],
            one["call"],
            one.get("means"),
            one.get("refused"),
            tuple(str(name) for name in one.get("closest", ())),
        )
        for one in lines
    ]


def repaired(given: dict[str, Any], error: dict[str, Any]) -> dict[str, Any] | None:
    """Change a call as its error says; None where that says nothing. Knows no schema."""
    details = error.get("details", {})
    if "rename" in details:
        return {details["rename"].get(name, name): value for name, value in given.items()}
    name, closest = details.get("parameter"), details.get("closest")
    if not closest or name not in given:
        return None
    if isinstance(given[name], list):
        wrong = details.get("pair", details.get("exchange"))
        return {**given, name: [closest[0] if one == wrong else one for one in given[name]]}
    return {**given, name: closest[0]}


class _Server:
    def __init__(self, client: Client) -> None:
        self._client = client

    async def ask(self, tool: str, given: dict[str, Any]) -> tuple[dict[str, Any], bool]:
        """Return what a call is answered with, and whether that is an error."""
        result = await self._client.call_tool(tool, given)
        if tool == "watch_start" and not result.is_error:
            await self._client.call_tool("watch_stop", {"watch": _content(result)["watch"]})
        return _content(result), bool(result.is_error)


def _content(result: Any) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(result.content[0].text)
    return read


async def _at_once(self: Any, cost: Any = None) -> None:
    """Stand in for the request budget, which no simulated exchange needs."""


@asynccontextmanager
async def _served() -> AsyncIterator[_Server]:
    with (
        mock.patch.object(Connector, "throttle", _at_once),
        SimulatedExchange(seed=3) as simulator,
        tempfile.TemporaryDirectory() as home,
    ):
        client = AsyncClient(endpoints=simulator.endpoints, home=home, retries=0)
        async with Client(app.Service(client).server()) as connected:
            yield _Server(connected)


def judged(corpus: Sequence[Call]) -> list[Outcome]:
    """Make all calls at one server, and mend those that are refused."""

    async def work() -> list[Outcome]:
        # A watch waits for its first news: a few are asked for at a time.
        places = asyncio.Semaphore(8)

        async def one(server: _Server, call: Call) -> Outcome:
            async with places:
                return await _judged(server, call)

        async with _served() as server:
            return await asyncio.gather(*[one(server, call) for call in corpus])

    return asyncio.run(work())


async def _judged(server: _Server, call: Call) -> Outcome:
    content, is_error = await server.ask(call.tool, call.given)
    if not is_error:
        fault = "was understood" if call.refused else _fault(call, call.given, content)
        verdict = "wrong" if fault else "right"
        return Outcome(call, verdict, None if call.means is None else not fault, fault)
    verdict, said = _of_error(call, content)
    if call.means is None:
        return Outcome(call, verdict, None, said)
    given: dict[str, Any] | None = call.given
    for _ in range(_REPAIRS):
        given = repaired(given or {}, content)
        if given is None:
            return Outcome(call, verdict, False, f"{said} no repair: {content}")
        content, is_error = await server.ask(call.tool, given)
        if not is_error:
            fault = _fault(call, given, content) if call.means else ""
            return Outcome(call, verdict, not fault, f"{said} {fault}".strip())
    return Outcome(call, verdict, False, f"{said} not repaired: {given} {content}")


def _of_error(call: Call, error: dict[str, Any]) -> tuple[str, str]:
    if call.refused is None:
        return "refused", str(error)
    proposed = [str(one) for one in error.get("details", {}).get("closest", ())]
    fits = all(one in asked.split("|") for one, asked in zip(proposed, call.closest, strict=False))
    if error["code"] != call.refused or not fits or len(proposed) < len(call.closest):
        return "advised", str(error)
    return "right", ""


def _fault(call: Call, given: dict[str, Any], content: dict[str, Any]) -> str:
    """Return how an answer differs from that to what is meant; nothing where it does not."""
    tool = _TOOLS[call.tool]
    means = {name: _moment(value) for name, value in (call.means or {}).items()}
    try:
        read, wanted = tool.parse(given), tool.parse(means)
    except MarketDataError as error:
        return f"cannot be read: {error}"
    for name, value in wanted.items():
        if name in ("pair", "pairs"):
            continue  # told by the answer: only an exchange knows where BTCUSDT divides
        if name == "exchange" and "exchange" not in means:
            continue
        same = read[name] == value or (
            name in _TIMES and None not in (read[name], value) and abs(read[name] - value) < _NEARLY
        )
        if not same:
            return f"{name} is {read[name]!r}, not {value!r}"
    asked = means.get("pairs", [means["pair"]] if "pair" in means else [])
    if asked and sorted(_pairs(content)) != sorted(asked):
        return f"answers about {_pairs(content)}, not {asked}"
    if "exchange" in means and content.get("exchange", means["exchange"]) != means["exchange"]:
        return f"asks {content['exchange']}, not {means['exchange']}"
    return ""


def _pairs(content: dict[str, Any]) -> list[str]:
    if "pair" in content:
        return [content["pair"]]
    rows = content.get("tickers") or content.get("subjects") or content.get("trades") or []
    return list(dict.fromkeys(row["pair"] for row in rows))


def _moment(value: Any) -> Any:
    """Return the time of today, yesterday or this month, with a time of day or without."""
    day, _, clock = value.partition(" ") if isinstance(value, str) else ("", "", "")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    first = {
        "@today": today,
        "@yesterday": today - timedelta(days=1),
        "@month": today.replace(day=1),
    }.get(day)
    return value if first is None else f"{first:%Y-%m-%d}T{clock or '00:00'}Z"


def table(outcomes: Sequence[Outcome]) -> str:
    """Write how many calls of each kind went well."""
    lines = [f"{'kind':<16}{'calls':>6}{'right':>7}{'wrong':>7}{'of meant':>10}{'mended':>8}"]
    kinds = [*dict.fromkeys(one.call.kind for one in outcomes), "all"]
    for kind in kinds:
        of_kind = [one for one in outcomes if kind in ("all", one.call.kind)]
        verdicts = Counter(one.verdict for one in of_kind)
        meant = [one for one in of_kind if one.mended is not None]
        mended = sum(bool(one.mended) for one in meant)
        share = f"{verdicts['right'] / len(of_kind):.0%}"
        lines.append(
            f"{kind:<16}{len(of_kind):>6}{share:>7}{verdicts['wrong']:>7}{len(meant):>10}"
            f"{mended / len(meant) if meant else 1:>8.0%}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    found = judged(calls())
    if "--all" in sys.argv:
        for one in found:
            if one.verdict != "right" or one.mended is False:
                print(one.verdict, one.mended, one.call.tool, one.call.given, "->", one.said)
    print(table(found))
