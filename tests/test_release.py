"""A release says the same of itself everywhere."""

import re
import tomllib
from datetime import date
from pathlib import Path

import marketdata

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RELEASES = re.findall(
    r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$",
    (ROOT / "CHANGELOG.md").read_text(),
    re.MULTILINE,
)


def test_the_version_is_one() -> None:
    assert PROJECT["version"] == marketdata.__version__ == RELEASES[0][0]


def test_releases_are_dated_and_descend() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _ in RELEASES]
    dates = [date.fromisoformat(day) for _, day in RELEASES]
    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_every_dependency_has_a_lower_bound_and_none_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {"cluster", "frames", "history", "server", "telemetry", "all"}
    listed = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    for dependency in listed:
        assert re.search(r">=\d", dependency) or dependency.startswith("ccxt-marketdata[")
        assert "==" not in dependency
