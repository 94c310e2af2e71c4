"""Builds what a release publishes and checks it, without publishing: ``make release-check``.

Source distribution, wheel, bundle, `server.json` and a list of what is in it (SBOM, CycloneDX) go
into ``dist/``. With ``--audit`` it looks only for known vulnerabilities in what the package brings
along, which takes the internet: ``make audit``.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from importlib import metadata
from pathlib import Path

import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "release"))

import chart  # noqa: E402 - needs the line before
import mcpb  # noqa: E402 - needs the line before
import registry  # noqa: E402

PACKAGES = ("_ccxt_marketdata.py", "marketdata", "marketdata_cli", "marketdata_mcp")
_LARGEST = 2**20
"""Bytes that a file of the source distribution may have."""


def run(*command: str | Path) -> None:
    """Run a program of this environment; end where it does not succeed."""
    program = Path(sys.executable).with_name(str(command[0]))
    print("$", *command, flush=True)
    subprocess.run([program, *command[1:]], check=True, cwd=ROOT)


def depended_on() -> list[str]:
    """Name what the package with all extras brings along, in the versions that are installed."""
    found: dict[str, str] = {}
    left = [(mcpb.project()["name"], frozenset({"", "all"}))]
    seen = set()
    while left:
        one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        name, extras = one
        for text in metadata.requires(name) or ():
            wanted = Requirement(text)
            marker = wanted.marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
                found[wanted.name] = metadata.version(wanted.name)
                left.append((wanted.name, frozenset({"", *wanted.extras})))
    found.pop(mcpb.project()["name"], None)
    return [f"{name}=={version}" for name, version in sorted(found.items())]


def audit() -> None:
    """Look for known vulnerabilities; a package that could not be looked up is a failure."""
    with tempfile.TemporaryDirectory() as folder:
        listed = Path(folder) / "requirements.txt"
        listed.write_text("\n".join(depended_on()) + "\n", "utf-8")
        run("pip-audit", "--strict", "--no-deps", "--disable-pip", "--requirement", listed)


def scan(*packages: str) -> None:
    """Look for unsafe code; a finding of medium severity or more is a failure."""
    # SQL that is put together holds names of ours alone; each place has its reason for ruff (S608).
    run("bandit", "--quiet", "--recursive", "-ll", "--skip", "B608", *packages)


def main() -> None:
    """Build and check everything."""
    if sys.argv[1:] == ["--audit"]:
        audit()
        return
    dist = ROOT / "dist"
    shutil.rmtree(dist, ignore_errors=True)
    scan(*PACKAGES)
    run("pyproject-build", "--no-isolation", "--outdir", dist)
    run("twine", "check", "--strict", *sorted(dist.glob("ccxt_marketdata-*")))
    [source] = dist.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = archive.getnames()
        large = [one.name for one in archive.getmembers() if one.size > _LARGEST]
    assert not large, large
    [wheel] = dist.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = archive.namelist()
    for name in chart.FILES:
        wanted = (chart.BUNDLE / Path(name).name).as_posix()
        assert wanted in packed, f"the wheel lacks {wanted}"
        assert any(one.endswith(wanted) for one in names), f"the sdist lacks {wanted}"
    assert not any("/tests/cassettes/" in name or "/benchmarks/" in name for name in names)
    bundle = mcpb.build(dist)
    server = json.loads((ROOT / "server.json").read_text("utf-8"))
    done = registry.completed(server, mcpb.project().get("urls", {}), bundle)
    (dist / "server.json").write_text(json.dumps(done, indent=2) + "\n", "utf-8")
    sbom = dist / "sbom.cdx.json"
    listed = dist / "requirements.txt"
    listed.write_text("\n".join(depended_on()) + "\n", "utf-8")
    about = ("--pyproject", "pyproject.toml", "--output-reproducible")
    run("cyclonedx-py", "requirements", *about, "--output-file", sbom, listed)
    listed.unlink()
    assert json.loads(sbom.read_text("utf-8"))["bomFormat"] == "CycloneDX"
    for file in sorted((ROOT / ".github").rglob("*.yml")):
        yaml.safe_load(file.read_text("utf-8"))
    print(*sorted(one.name for one in dist.iterdir()), sep="\n")


if __name__ == "__main__":
    main()
