"""A release says the same of itself everywhere."""

import importlib.util
import re
import subprocess
import tomllib
from datetime import date
from pathlib import Path
from types import ModuleType

import pytest
import yaml

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
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (cited["version"], cited["date-released"]) == RELEASES[0]
    assert cited["license"] == PROJECT["license"]


def test_what_comes_next_has_a_section_before_the_releases() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert -1 < text.index("## [Unreleased]") < text.index(f"## [{RELEASES[0][0]}]")


def test_only_what_was_run_is_claimed() -> None:
    claimed = {one for one in PROJECT["classifiers"] if "::" in one}
    assert {one for one in claimed if one.startswith("Operating System")} == {
        "Operating System :: POSIX :: Linux"
    }
    minors = sorted(int(one.rpartition(".")[2]) for one in claimed if "Python :: 3." in one)
    assert minors == [11, 12, 13]


def test_addresses_stand_in_one_place() -> None:
    known = set(PROJECT["urls"].values())
    for name in ("README.md", "server.json", "CITATION.cff", "SECURITY.md"):
        found = set(re.findall(r"https?://[\w./-]+", (ROOT / name).read_text()))
        hosts = ("pypi.org/project/ccxt-marketdata", "readthedocs.io", "github.io")
        ours = {url for url in found if any(host in url for host in hosts)}
        assert ours <= known, name


def test_the_package_index_gets_links_and_pictures_that_work_there() -> None:
    spec = importlib.util.spec_from_file_location("readme", ROOT / "release" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    readme = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme)
    text = "See [a page](docs/a.md).\n\n![A chart](docs/images/a.png)\n"
    assert readme.description(text, None, "1.0").strip() == "See a page."
    assert readme.description(text, "https://example.org/code/", "1.0") == (
        "See [a page](https://example.org/code/blob/v1.0/docs/a.md).\n\n"
        "![A chart](https://example.org/code/raw/v1.0/docs/images/a.png)\n"
    )


def _check() -> ModuleType:
    spec = importlib.util.spec_from_file_location("check", ROOT / "release" / "check.py")
    assert spec is not None
    assert spec.loader is not None
    check = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check)
    return check


def test_each_target_that_is_named_has_a_rule() -> None:
    # For a name that is phony and has no rule, make does nothing and succeeds.
    lines = (ROOT / "Makefile").read_text().replace("\\\n", " ").splitlines()
    rules = {
        name
        for line in lines
        if re.match(r"[a-z]", line)
        for name in line.partition(":")[0].split()
    }
    named = {name for line in lines if line.startswith(".PHONY:") for name in line.split()[1:]}
    for file in (ROOT / ".github/workflows/release.yml", ROOT / "CONTRIBUTING.md"):
        named |= set(re.findall(r"(?:`|run: )make ([a-z-]+)", file.read_text()))
    assert named <= rules


def test_releases_are_checked_and_audited_by_the_program_that_does_it() -> None:
    def commands(target: str) -> str:
        # As if the environment were newer than what it is made of, so that nothing is installed.
        line = ["make", "--dry-run", "-o", ".venv/.ready", "-o", ".node/python/.ready", target]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert "python release/check.py --audit\n" in commands("audit")
    assert "python release/check.py\n" in commands("release-check")


def test_what_could_not_be_audited_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    check = _check()
    # Nothing answers: neither an index nor anybody else.
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        check.audit()
    # What an index does not know would be left out without it.
    assert "--strict" in failed.value.cmd


def test_unsafe_code_is_a_failure(tmp_path: Path) -> None:
    check = _check()
    safe, unsafe = tmp_path / "safe.py", tmp_path / "unsafe.py"
    safe.write_text("print(1)\n")
    unsafe.write_text("import subprocess\nsubprocess.run(input(), shell=True)\n")
    check.scan(str(safe))
    with pytest.raises(subprocess.CalledProcessError):
        check.scan(str(safe), str(unsafe))


def test_the_workflow_publishes_what_was_checked_and_attested() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/release.yml").read_text())["jobs"]
    assert jobs["publish"]["needs"] == "build"
    assert jobs["publish"]["permissions"] == {"id-token": "write"}
    steps = [step for job in jobs.values() for step in job["steps"]]
    assert {"run": "make release-check"} in steps
    assert {"run": "make audit"} in steps
    used = {step["uses"].partition("@")[0] for step in steps if "uses" in step}
    assert {
        "actions/attest-build-provenance",
        "actions/attest-sbom",
        "pypa/gh-action-pypi-publish",
    } <= used


def test_every_form_is_yaml() -> None:
    files = sorted((ROOT / ".github").rglob("*.yml"))
    assert len(files) == 3
    for file in files:
        assert isinstance(yaml.safe_load(file.read_text()), dict)


def test_releases_are_dated_and_descend() -> None:
    versions = [tuple(map(int, version.split("."))) for version, _ in RELEASES]
    dates = [date.fromisoformat(day) for _, day in RELEASES]
    assert versions == sorted(set(versions), reverse=True)
    assert dates == sorted(dates, reverse=True)


def test_every_dependency_has_a_lower_bound_and_none_is_pinned() -> None:
    extras = PROJECT["optional-dependencies"]
    assert set(extras) == {"cluster", "frames", "history", "notebook", "server", "telemetry", "all"}
    listed = [*PROJECT["dependencies"], *(one for extra in extras.values() for one in extra)]
    for dependency in listed:
        assert re.search(r">=\d", dependency) or dependency.startswith("ccxt-marketdata[")
        assert "==" not in dependency.partition(";")[0]
