"""The page about all exchanges says what the library says of them."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
from inside.exchanges import loader

import marketdata as md

DOCS = Path(__file__).parents[1] / "docs"


def _maker() -> ModuleType:
    spec = importlib.util.spec_from_file_location("make_exchanges", DOCS / "make_exchanges.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_what_the_library_says(tmp_path: Path) -> None:
    written = (DOCS / "exchanges.md").read_text(encoding="utf-8")
    version = loader.version()
    if f"ccxt {version} " not in written:
        pytest.skip(f"docs/exchanges.md is of another ccxt than {version}: make docs")
    with md.Client(home=tmp_path, sim=False) as client:
        assert written == _maker().page(client.exchanges(), version), "make docs"


def test_every_spot_exchange_is_on_the_page() -> None:
    """That holds whichever ccxt it was made with: what is listed can be asked."""
    written = (DOCS / "exchanges.md").read_text(encoding="utf-8")
    operations, limits = written.split("\n## ")[1:3]
    listed = [line.split(" | ")[0].strip("| ") for line in operations.split("\n") if " | ●" in line]

    assert len(listed) > 80
    assert len(set(listed)) == len(listed)
    for name in listed:
        assert loader.is_exchange(name)
        assert f"\n| {name} | " in limits
