"""Charts from the shell: ``--open`` and ``--save``."""

import json
import re
from pathlib import Path

import pytest
from built import NEEDS_CHART

pytestmark = NEEDS_CHART

COMMANDS = ("candles", "orderbook", "compare", "consolidated")


def data(page: Path):
    [found] = re.findall(r'id="data">([^<]*)<', page.read_text("utf-8"))
    return json.loads(found)


@pytest.mark.parametrize("command", COMMANDS)
def test_save_writes_an_html_page(here, tmp_path, command):
    file = tmp_path / "chart.html"
    assert here(command, "BTC/USDT", "--save", str(file)) == (0, f"{file}\n", "")
    found = data(file)
    record = found[0] if command == "candles" else found
    assert record["pair"] == "BTC/USDT"
    assert record["simulated"] is True


def test_save_writes_a_picture_of_candles(here, tmp_path):
    file = tmp_path / "chart.png"
    assert here("candles", "BTC/USDT", "--save", str(file))[0] == 0
    assert file.read_bytes()[:4] == b"\x89PNG"


def test_open_opens_the_page_in_the_browser(here, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("webbrowser.open", seen.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    code, out, err = here("candles", "BTC/USDT", "-t", "1h", "--open")
    assert (code, err) == (0, "")
    [uri] = seen
    assert uri == Path(out.strip()).as_uri()
    assert data(Path(out.strip()))[0]["timeframe"] == "1h"


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("compare", "BTC/USDT", "--save", "x.png"), "--save writes .html here; was 'x.png'."),
        (("candles", "BTC/USDT", "--save", "x.svg"), "--save writes .html or .png here"),
        (("candles", "BTC/USDT", "--save", "/nowhere/x.html"), "/nowhere/x.html cannot be written"),
    ],
)
def test_an_unwritable_file_is_refused(here, line, said):
    code, out, err = here(*line)
    assert (code, out) == (2, "")
    assert err.startswith(f"error: INVALID_PARAMETER: {said}")
