"""One exchange of ccxt is loaded here; a program that uses ccxt itself still finds all of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from .programs import run

USES = """
    import ccxt
    import ccxt.async_support as ccxt_async

    assert len(ccxt.exchanges) > 100
    assert ccxt.__version__ == ccxt_async.__version__
    assert ccxt.binance().id == ccxt_async.kraken.__name__.replace("kraken", "binance")
    assert issubclass(ccxt_async.binance, ccxt_async.Exchange)
    assert issubclass(ccxt.BadSymbol, ccxt.BaseError)
    assert {"binance", "kraken", "BadSymbol", "exchanges"} <= set(dir(ccxt))
    print("all there")
"""

ASKS = """
    import marketdata as md

    print(md.ticker("BTC/USDT").pair)
"""


@pytest.mark.parametrize(
    "parts", [(USES, ASKS), (ASKS, USES), (ASKS, USES, ASKS)], ids=["before", "after", "between"]
)
def test_ccxt_is_whole(parts: tuple[str, ...], tmp_path: Path) -> None:
    said = {USES: "all there\n", ASKS: "BTC/USDT\n"}
    assert run("".join(parts), tmp_path) == "".join(said[part] for part in parts)


def test_ccxt_imported_by_another_thread_at_the_same_time(tmp_path: Path) -> None:
    program = """
        import threading

        def use():
            import ccxt

            found.append(len(ccxt.exchanges))

        found = []
        threads = [threading.Thread(target=use) for _ in range(3)]
        for thread in threads:
            thread.start()
        import marketdata as md

        print(md.ticker("BTC/USDT").pair)
        for thread in threads:
            thread.join()
        print(len(set(found)), found[0] > 100)
    """
    assert run(program, tmp_path) == "BTC/USDT\n1 True\n"


@pytest.mark.parametrize(
    "statement",
    [
        "from ccxt import *",
        "import ccxt.pro; assert ccxt.pro.binance.__module__ == 'ccxt.pro.binance'",
        "from ccxt.async_support.kraken import kraken; import ccxt.async_support; "
        "assert ccxt.async_support.kraken is kraken",
        "from ccxt.base import errors; import ccxt; assert errors.BaseError is ccxt.BaseError",
        "import ccxt, importlib; importlib.reload(ccxt); assert ccxt.kraken.__name__ == 'kraken'",
        "import pickle, ccxt; assert pickle.loads(pickle.dumps(ccxt.BadSymbol)) is ccxt.BadSymbol",
    ],
)
def test_ways_to_import_it(statement: str, tmp_path: Path) -> None:
    program = f"import marketdata as md\nmd.ticker('BTC/USDT')\n{statement}\nprint('fine')\n"
    assert run(program, tmp_path) == "fine\n"


def test_a_name_that_ccxt_does_not_have_is_an_attribute_error(tmp_path: Path) -> None:
    program = """
        import marketdata as md
        md.ticker("BTC/USDT")
        import ccxt

        print(hasattr(ccxt, "nothing_of_this_name"), hasattr(ccxt, "__wrapped__"))
    """
    assert run(program, tmp_path) == "False False\n"


def test_a_ticker_loads_one_exchange_and_nothing_for_frames_or_agents(tmp_path: Path) -> None:
    program = """
        import sys
        import marketdata as md
        from marketdata.sim import SimulatedExchange

        with SimulatedExchange() as exchange, md.Client(endpoints=exchange.endpoints) as client:
            client.ticker("BTC/USDT")
        names = set(sys.modules)
        print(sorted(name for name in names if name.startswith("ccxt.async_support.b")))
        print([name for name in ("ccxt.kraken", "pandas", "polars", "mcp", "typer", "matplotlib")
               if name in names])
    """
    loaded = "['ccxt.async_support.base', 'ccxt.async_support.base.exchange', "
    first, second = run(program, tmp_path).splitlines()
    assert first.startswith(loaded)
    assert first.endswith("'ccxt.async_support.binance']")
    assert second == "[]"
