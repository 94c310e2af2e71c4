"""The tables of the official tools' runs, which need no Node: they leave nothing out."""

import asyncio
import re
from pathlib import Path

import pytest
from mcp import Client
from protocol_calls import CALLS

from marketdata import AsyncClient
from marketdata_mcp.app import Service

EXPECTED = sorted((Path(__file__).parent / "expected").glob("*.yml"))


async def _listed() -> list[str]:
    service = Service(AsyncClient(sim=True))
    async with Client(service.server()) as client:
        return [tool.name for tool in (await client.list_tools()).tools]


def test_the_inspector_calls_every_tool() -> None:
    assert sorted(asyncio.run(_listed())) == sorted(CALLS)


@pytest.mark.parametrize("path", EXPECTED, ids=lambda path: path.stem)
def test_every_expected_failure_has_its_reason(path: Path) -> None:
    lines = [line for line in path.read_text().splitlines() if line.lstrip().startswith("-")]
    assert lines
    for line in lines:
        assert re.fullmatch(r"  - [a-z0-9:-]+ # \w.{8,}", line), line
