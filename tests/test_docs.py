"""Every block of the README and of docs/ runs, or says why it does not."""

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import time_machine
import warm
from built import NEEDS_CHART
from mcp import Client

import marketdata as md
from marketdata.operations import OPERATIONS
from marketdata_cli.app import run
from marketdata_mcp import app
from marketdata_mcp.service.access.tiers import Policy

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


ONE_AFTER_ANOTHER = """
import contextlib, io, json, sys

for block in json.load(sys.stdin):
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out):
            exec(compile(block["text"], block["name"], "exec"), {"__name__": "__main__"})
    except BaseException as error:
        raise SystemExit(f"{block['name']}: {type(error).__name__}: {error}") from error
    if not out.getvalue() and "assert" not in block["text"]:
        raise SystemExit(f"{block['name']} neither shows nor asserts anything")
"""


@dataclass(frozen=True)
class Block:
    page: Path
    line: int
    kind: str
    text: str
    excuse: str | None

    @property
    def name(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks(page: Path) -> list[Block]:
    found = []
    text = page.read_text()
    for match in _FENCE.finditer(text):
        excuse = re.fullmatch(r"<!-- not run: (.+) -->", match["before"])
        line = text[: match.start("text")].count("\n") + 1
        found.append(Block(page, line, match["kind"], match["text"], excuse and excuse[1]))
    return found


BLOCKS = [block for page in PAGES for block in blocks(page)]
RUN = [block for block in BLOCKS if block.excuse is None]


def test_every_fence_is_found() -> None:
    fences = sum(page.read_text().count("\n```") for page in PAGES)
    assert fences == 2 * len(BLOCKS)
    assert {block.kind for block in BLOCKS} <= {"python", "shell", "json", "text", "toml"}


def test_what_does_not_run_says_why() -> None:
    for block in BLOCKS:
        assert block.excuse is None or len(block.excuse) > 10, block.name


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, marks=NEEDS_CHART if page.stem == "charts" else ())
        for page in PAGES
        if any(one.page == page and one.kind == "python" for one in RUN)
    ],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_python_runs(page: Path, tmp_path: Path) -> None:
    found = [one for one in RUN if one.page == page and one.kind == "python"]
    given = json.dumps([{"name": one.name, "text": one.text} for one in found])
    command = [sys.executable, *warm.DEVELOPMENT, "-c", ONE_AFTER_ANOTHER]
    _run(command, tmp_path, given)


@pytest.mark.parametrize(
    "block", [one for one in RUN if one.kind == "shell"], ids=lambda block: block.name
)
def test_commands_run(block: Block, tmp_path: Path, on_path: str) -> None:
    for program in ("grep", "curl", "jq"):
        if re.search(rf"\b{program}\b", block.text) and not shutil.which(program):
            pytest.skip(f"needs {program}")
    path = f"{on_path}{os.pathsep}{os.environ['PATH']}"
    assert _run(["bash", "-euc", block.text], tmp_path, PATH=path)


NOW = datetime(2026, 3, 20, 14, 32, 11, tzinfo=UTC)
"""When the answers in the README were given: `make screenshots` has the same time."""


def test_the_readme_shows_what_comes_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path))
    found = blocks(ROOT / "README.md")
    python = next(one.text for one in found if one.kind == "python")
    shell = next(one.text for one in found if one.kind == "shell" and one.excuse is None)
    *lines, pictured = [line.removeprefix("marketdata ") for line in shell.splitlines()]
    assert pictured == "candles BTC/USDT --timeframe 1h --limit 72", "as on the picture below it"
    printed = [one.text for one in found if one.kind == "text"]
    with time_machine.travel(NOW, tick=False):
        exec(python, {})
        assert capfd.readouterr().out == printed[0]
        for line in lines:
            assert run(line.split()) == 0
        assert _untimed(capfd.readouterr().out) == _untimed(printed[1])
        answer = asyncio.run(_asked("get_candles", pair="BTC/USDT", timeframe="1h", limit=2))
    shown = json.loads(next(one.text for one in found if one.kind == "json"))
    assert answer | shown == answer


def _untimed(text: str) -> str:
    """Leave out the seconds that a download took."""
    return re.sub(r"(?<=,)\d\.\d+(?=,$)", "", text, flags=re.MULTILINE)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


async def _asked(tool: str, **arguments: Any) -> dict[str, Any]:
    """Call a tool as an agent does."""
    async with md.AsyncClient() as client, Client(app.Service(client).server()) as agent:
        result = await agent.call_tool(tool, arguments)
    return dict(result.structured_content or {})


def test_files_are_what_they_should_be(tmp_path: Path) -> None:
    for block in RUN:
        if block.kind == "json":
            json.loads(block.text)
        elif block.kind == "toml":
            policy = tmp_path / "policy.toml"
            policy.write_text(block.text)
            assert Policy.read(policy) != Policy(), block.name


def _run(command: list[str], folder: Path, given: str | None = None, **variables: str) -> str:
    kept = {key: value for key, value in os.environ.items() if key[:11] != "MARKETDATA_"}
    ours = {"MARKETDATA_SIM": "1", "MARKETDATA_HOME": str(folder / "home")}
    with subprocess.Popen(
        command,
        cwd=folder,
        env={**kept, **ours, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(given, timeout=120)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it has started
            raise
    assert process.returncode == 0, err
    assert _without_timings(err) == ""
    return out


def _without_timings(text: str) -> str:
    """Leave out what the event loop's debug mode says of a busy machine."""
    return re.sub(r"^Executing <.*> took [\d.]+ seconds\n", "", text, flags=re.MULTILINE)


def test_the_readme_lists_every_operation() -> None:
    text = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)\([^`]*\)` \|(.*)\|$", text, re.MULTILINE))
    assert list(rows) == [operation.name for operation in OPERATIONS]
    for operation in OPERATIONS:
        answer, command, tool = (cell.strip() for cell in rows[operation.name].split("|"))
        assert answer == ("list of " if operation.many else "") + f"`{operation.record}`"
        assert command == f"`marketdata {operation.command}`"
        assert tool == ("" if operation.tool is None else f"`{operation.tool}`")


MADE = {"notebook.md", *(f"reference/{one}.md" for one in ("functions", "records"))}
MADE |= {f"reference/{one}.md" for one in ("commands", "tools")}
"""Pages of the site that `make docs-site` makes, and checks the links to."""


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            to = (page.parent / target).resolve()
            is_made = page.name != "README.md" and str(to.relative_to(ROOT / "docs")) in MADE
            assert to.exists() or is_made, f"{page.name}: {target}"
