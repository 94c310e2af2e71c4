"""Every block of the README and of docs/ runs, or says why it does not."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from marketdata.operations import OPERATIONS
from marketdata_mcp.service.access.tiers import Policy

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(
    r"^(?P<before>[^\n]*)\n```(?P<kind>[^\n]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True)
class Block:
    page: str
    line: int
    kind: str
    text: str
    excuse: str | None


def blocks() -> list[Block]:
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in _FENCE.finditer(text):
            excuse = re.fullmatch(r"<!-- not run: (.+) -->", match["before"])
            line = text[: match.start("text")].count("\n") + 1
            found.append(Block(page.name, line, match["kind"], match["text"], excuse and excuse[1]))
    return found


BLOCKS = blocks()


def test_every_fence_is_found() -> None:
    fences = sum(page.read_text().count("\n```") for page in PAGES)
    assert fences == 2 * len(BLOCKS)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: f"{block.page}:{block.line}")
def test_a_block_runs_or_says_why_not(block: Block, tmp_path: Path) -> None:
    assert block.kind in ("python", "shell", "json", "toml")
    if block.excuse is not None:
        assert len(block.excuse) > 10
        return
    if block.kind == "json":
        json.loads(block.text)
        return
    if block.kind == "toml":
        policy = tmp_path / "policy.toml"
        policy.write_text(block.text)
        assert Policy.read(policy) != Policy()
        return
    commands = {
        "python": [sys.executable, "-X", "dev", "-W", "error", "-c", block.text],
        "shell": ["bash", "-euc", block.text],
    }
    done = subprocess.run(
        commands[block.kind],
        cwd=tmp_path,
        env={**_environment(), "MARKETDATA_SIM": "1", "MARKETDATA_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert _without_timings(done.stderr) == ""
    assert done.stdout or "assert" in block.text


def _without_timings(text: str) -> str:
    """Leave out what the event loop's debug mode says of a busy machine."""
    return re.sub(r"^Executing <.*> took [\d.]+ seconds\n", "", text, flags=re.MULTILINE)


def _environment() -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if key[:11] != "MARKETDATA_"}
    return {**kept, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


def test_the_readme_lists_every_operation() -> None:
    text = (ROOT / "README.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)\([^`]*\)` \|(.*)\|$", text, re.MULTILINE))
    assert list(rows) == [operation.name for operation in OPERATIONS]
    for operation in OPERATIONS:
        answer, command, tool = (cell.strip() for cell in rows[operation.name].split("|"))
        assert answer == ("list of " if operation.many else "") + f"`{operation.record}`"
        assert command == f"`marketdata {operation.command}`"
        assert tool == ("" if operation.tool is None else f"`{operation.tool}`")


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!https?://)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
