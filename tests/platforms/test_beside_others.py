"""Beside other distributions that install a package `marketdata`, too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import marketdata
from _ccxt_marketdata import DISTRIBUTION, others


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A folder into which another distribution has been installed."""
    package = tmp_path / "marketdata"
    package.mkdir()
    (package / "__init__.py").write_text('__version__ = "9"\n')
    (package / "client.py").write_text("class Client: ...\n")
    about = tmp_path / "another_vendor-9.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: another-vendor\nVersion: 9\n")
    (about / "RECORD").write_text("marketdata/__init__.py,,\nmarketdata/client.py,,\n")
    return tmp_path


@pytest.mark.parametrize("front", ["marketdata_cli", "marketdata_mcp"])
def test_a_front_end_over_another_library_says_whose_it_is(elsewhere: Path, front: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {front}; {front}.main()", "--version"],
        env={**os.environ, "PYTHONPATH": str(elsewhere)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=elsewhere,
    )
    assert done.returncode == 1
    said = done.stderr.splitlines()[-1]
    assert said.startswith("ImportError: The package 'marketdata' at ")
    assert "comes from another-vendor, not from ccxt-marketdata." in said
    assert "pip uninstall another-vendor" in said
    assert "pip install --force-reinstall ccxt-marketdata" in said


def test_the_other_distribution_is_found_and_ours_is_not_one(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert others() == []
    monkeypatch.syspath_prepend(elsewhere)
    assert others() == ["another-vendor"]


def test_the_library_knows_its_distribution() -> None:
    assert marketdata.__distribution__ == DISTRIBUTION
