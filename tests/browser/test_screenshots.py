"""The pictures in docs/images are what the displays look like now."""

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.browser import pictures
from tests.browser.chromium import FOLDER

ROOT = Path(__file__).parents[2]


@pytest.mark.skipif(not (FOLDER / "chromium").exists(), reason="there is no Chromium: make browser")
def test_a_picture_in_the_docs_can_be_made_anew(tmp_path: Path) -> None:
    command = [sys.executable, "site/screenshots.py", str(tmp_path), "comparison"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    made = sorted(file.name for file in tmp_path.glob("*.png"))
    assert made == ["comparison-dark.png", "comparison-light.png"]
    for name in made:
        found, wanted = (
            Image.open(folder / name).convert("RGB")
            for folder in (tmp_path, ROOT / "docs" / "images")
        )
        assert pictures.difference(found, wanted) <= pictures.OFF, f"make screenshots: {name}"
