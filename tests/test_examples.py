"""Every example runs as its users would run it, on the simulated exchange."""

import os
import subprocess
import sys
from pathlib import Path

import nbclient
import nbformat
import pytest
import warm
from built import NEEDS_CHART

from marketdata.operations import OPERATIONS

EXAMPLES = Path(__file__).parents[1] / "examples"
NOTEBOOK = EXAMPLES / "notebook.ipynb"
SCRIPTS = sorted(path for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh"))


@pytest.fixture(autouse=True)
def _simulated(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, on_path: str) -> None:
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path))
    monkeypatch.setenv("PATH", on_path, prepend=os.pathsep)


def _run(script: Path) -> subprocess.CompletedProcess[str]:
    program = ["bash"] if script.suffix == ".sh" else [sys.executable, *warm.DEVELOPMENT]
    environment = dict(os.environ)
    if script.name == "demo.py":  # brings a simulated exchange of its own
        del environment["MARKETDATA_SIM"]
    return subprocess.run(
        [*program, str(script)], env=environment, capture_output=True, text=True, timeout=120
    )


def test_nothing_in_the_folder_is_left_out() -> None:
    known = {path.name for path in [*SCRIPTS, NOTEBOOK]}
    assert {path.name for path in EXAMPLES.iterdir() if path.name[0] not in "._"} == known


def _calls_every_tool(output: str) -> None:
    tools = [operation.tool for operation in OPERATIONS if operation.tool is not None]
    tools += ["watch_start", "watch_read", "watch_stop", "watch_list", "get_usage"]
    lines = output.splitlines()
    assert sorted(line.partition(":")[0] for line in lines) == sorted(tools)
    assert not [line for line in lines if "refused" in line]


def _shows_the_same_ticker_twice(output: str) -> None:
    assert "SIMULATED" in output
    assert output.rstrip().endswith("Both say the same.")


SHOWN = {"mcp_client.py": _calls_every_tool, "demo.py": _shows_the_same_ticker_twice}
"""What some scripts show beside that they run."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
def test_a_script_runs(script: Path) -> None:
    done = _run(script)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    # The pipes show what an error looks like, which is the only line on stderr of any example.
    # The event loop's debug mode also tells of slow steps on a busy machine.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("Executing <")]
    assert len(errors) == (1 if script.suffix == ".sh" else 0), errors
    SHOWN.get(script.name, str)(done.stdout)


def test_what_scripts_show_is_looked_at() -> None:
    assert SHOWN.keys() <= {script.name for script in SCRIPTS}


@NEEDS_CHART
def test_the_notebook_runs_in_a_real_kernel() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not [cell for cell in notebook.cells if cell.get("outputs")]
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.output_type == "error"]
    shown = [kind for output in outputs for kind in output.get("data", {})]
    assert "text/html" in shown
    assert "image/png" in shown
