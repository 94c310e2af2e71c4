"""Runs the short suite on every interpreter that the machine has: ``make interpreters``.

Looks for Python 3.11 and newer on PATH and below pyenv's folder, says which were found, and gives
each an environment of its own with the package without extras.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).parents[1]
SUITE = ROOT / "tests" / "platforms" / "test_interpreter.py"
OLDEST, NEWEST = 11, 14
"""Minor versions that are looked for."""


def candidates(name: str) -> list[Path]:
    """Name the files that may be this interpreter, those on PATH first."""
    folders = [Path(folder) for folder in os.environ.get("PATH", "").split(os.pathsep) if folder]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    folders += sorted(pyenv.glob("versions/*/bin"))
    return [folder / name for folder in folders if (folder / name).is_file()]


def version(program: Path) -> str | None:
    """Return an interpreter's version; None where it does not run, as a shim of pyenv may not."""
    ask = "import platform, venv; print(platform.python_version())"
    try:
        done = subprocess.run(
            [program, "-c", ask], capture_output=True, text=True, timeout=60, check=False
        )
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def found() -> dict[int, tuple[str, Path]]:
    """Return one interpreter of each minor version, with its full version."""
    known: dict[int, tuple[str, Path]] = {}
    for minor in range(OLDEST, NEWEST + 1):
        for program in candidates(f"python3.{minor}"):
            if (full := version(program)) and full.startswith(f"3.{minor}."):
                known[minor] = (full, program)
                break
    return known


def check(uv: str, minor: int, program: Path) -> tuple[bool, str]:
    """Run the suite on one interpreter; tell whether it passed, and what was said."""
    environment = {**os.environ, "VIRTUAL_ENV": str(ROOT / f".venv-3.{minor}")}
    # Options meant for the whole suite name plugins that are not installed here.
    environment.pop("PYTEST_ADDOPTS", None)
    place = environment["VIRTUAL_ENV"]
    make = [uv, "venv", "--quiet", "--clear", "--python", str(program), place]
    # The suite starts dozens of processes; each would compile what it imports.
    install = [uv, "pip", "install", "--quiet", "--compile-bytecode", str(ROOT), "pytest>=8.3"]
    suite = [f"{place}/bin/python", "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
    said = []
    for command in (make, install, suite):
        done = subprocess.run(
            command,
            env=environment,
            cwd=ROOT / "tests",
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said.append(done.stdout)
        if done.returncode:
            return False, "".join(said)
    return True, "".join(said)


def main() -> int:
    """Run the suite everywhere, and give the exit code."""
    known = found()
    failed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = {
            minor: pool.submit(check, sys.argv[1], minor, program)
            for minor, (_, program) in known.items()
        }
        for minor in range(OLDEST, NEWEST + 1):
            if minor not in known:
                print(f"Python 3.{minor}: not found", flush=True)
                continue
            full, program = known[minor]
            passed, said = runs[minor].result()
            print(f"Python {full}: {program}\n{said}", end="", flush=True)
            if not passed:
                failed.append(full)
    if failed:
        print(f"failed on Python {', '.join(failed)}")
    return int(bool(failed) or not known)


if __name__ == "__main__":
    sys.exit(main())
