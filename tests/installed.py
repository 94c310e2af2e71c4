"""What must hold where only the package is installed, without extras: run by ``make package``."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path

PROGRAMS = Path(sys.executable).parent


def run(*command: str) -> str:
    return subprocess.run(
        [PROGRAMS / command[0], *command[1:]], check=True, capture_output=True, text=True
    ).stdout


def refusal(convert: Callable[[], object]) -> str:
    try:
        convert()
    except ImportError as error:
        return str(error)
    raise AssertionError(f"{convert.__name__} works without the extra that it needs")


def main() -> None:
    for package in ("marketdata", "marketdata_cli", "marketdata_mcp"):
        assert files(package).joinpath("py.typed").is_file(), package

    import marketdata as md

    assert PROGRAMS.parent in Path(md.__file__).parents, "the source tree was imported instead"
    assert run("marketdata", "--version").split()[-1] == md.__version__
    assert run("marketdata-mcp", "--version").split()[-1] == md.__version__
    assert json.loads(run("marketdata", "--sim", "ticker", "BTC/USDT"))["simulated"] is True

    client = md.Client(sim=True)
    assert len(client.candles("BTC/USDT", "1h", start="-5h", end="-1h")) == 4  # stored nowhere
    assert "ccxt-marketdata[history]" in refusal(client.history.list)
    day = client.candles("BTC/USDT", limit=3)
    for convert in (day.to_pandas, day.to_polars, day.to_arrow, day.plot):
        said = refusal(convert)
        assert "pip install 'ccxt-marketdata[frames]'" in said
        assert "\n" not in said
    said = refusal(lambda: client.live_chart("BTC/USDT"))
    assert "pip install 'ccxt-marketdata[notebook]'" in said
    page = day.chart().html
    assert "TradingView" in page
    assert len(page.encode()) < 255_000
    print("the package works as installed, without extras")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as home:
        os.environ["MARKETDATA_HOME"] = home
        main()
