"""What a test needs of the machine or of the source tree that a fresh clone may lack."""

import stat
import sys
from pathlib import Path

import pytest

import marketdata
from marketdata._charts.page import is_built

__all__ = ["NEEDS_CHART", "NEEDS_OTHERS", "is_built"]

NEEDS_CHART = pytest.mark.skipif(not is_built(), reason="the chart page is not built: make chart")


def _is_open(path: Path) -> bool:
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.parents)


NEEDS_OTHERS = pytest.mark.skipif(
    not all(map(_is_open, (Path(marketdata.__file__), Path(sys.executable)))),
    reason="other users may not read this folder, so that no program can run as one of them",
)
