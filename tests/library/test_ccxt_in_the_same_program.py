"""One exchange of ccxt is loaded here; a program that uses ccxt itself still finds all of it."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from marketdata.sim import SimulatedExchange

from .programs import run

pytestmark = pytest.mark.cold

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


@pytest.mark.parametrize("parts", [(USES, ASKS), (ASKS, USES, ASKS)], ids=["before", "between"])
def test_ccxt_is_complete(parts: tuple[str, ...], tmp_path: Path) -> None:
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
    "use",
    [
        "from ccxt import *\nassert binance().id == 'binance' and len(exchanges) > 100",
        # One after the other; what is asked for last has all of ccxt loaded.
        """
        from ccxt.base import errors
        import ccxt
        assert errors.BaseError is ccxt.BaseError

        from ccxt.async_support.kraken import kraken
        import ccxt.async_support
        assert ccxt.async_support.kraken is kraken

        import pickle
        assert pickle.loads(pickle.dumps(ccxt.BadSymbol)) is ccxt.BadSymbol
        error = pickle.loads(pickle.dumps(ccxt.RateLimitExceeded("wait")))
        assert isinstance(error, errors.NetworkError) and isinstance(error, ccxt.BaseError)
        assert isinstance(errors.BadSymbol("x"), ccxt.async_support.BadRequest)

        import ccxt.pro
        assert ccxt.pro.binance.__module__ == "ccxt.pro.binance"
        assert issubclass(ccxt.pro.kraken, ccxt.async_support.kraken)

        assert not hasattr(ccxt, "nothing_of_this_name") and not hasattr(ccxt, "__wrapped__")
        assert len(ccxt.exchanges) == len(ccxt.async_support.exchanges) > 100
        import importlib
        importlib.reload(ccxt)
        assert ccxt.kraken.__name__ == "kraken"
        """,
    ],
    ids=["star", "in parts"],
)
def test_ways_to_import_it(use: str, tmp_path: Path) -> None:
    program = "import marketdata as md\nmd.ticker('BTC/USDT')\n" + textwrap.dedent(use)
    assert run(program + "\nprint('fine')\n", tmp_path) == "fine\n"


def test_threads_that_load_all_of_ccxt_at_once(tmp_path: Path) -> None:
    program = """
        import threading
        import marketdata as md

        md.ticker("BTC/USDT")
        import ccxt
        import ccxt.async_support

        together, failures = threading.Barrier(8), []

        def use(package):
            together.wait()
            try:
                assert len(package.exchanges) > 100 and package.kraken and package.__version__
                assert "okx" in dir(package)
            except Exception as error:
                failures.append(repr(error))

        threads = [
            threading.Thread(target=use, args=(package,))
            for package in (ccxt, ccxt.async_support) * 4
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(failures, md.ticker("BTC/USDT", exchange="okx").pair)
    """
    assert run(program, tmp_path) == "[] BTC/USDT\n"


def test_ccxt_itself_works_in_the_same_program(tmp_path: Path, sim: SimulatedExchange) -> None:
    program = f"""
        import asyncio
        import marketdata as md

        client = md.Client("kraken", endpoints={sim.endpoints!r})
        first = client.ticker("BTC/USDT").last

        import ccxt
        import ccxt.async_support

        def moved(exchange):
            exchange.urls["api"] = dict.fromkeys(exchange.urls["api"], {sim.url!r})
            return exchange

        print(moved(ccxt.kraken()).fetch_ticker("BTC/USDT")["last"] == first)

        async def main():
            exchange = moved(ccxt.async_support.kraken())
            try:
                return (await exchange.fetch_ticker("BTC/USDT"))["last"]
            finally:
                await exchange.close()

        print(asyncio.run(main()) == first, client.ticker("BTC/USDT").last == first)
    """
    assert run(program, tmp_path, MARKETDATA_SIM="") == "True\nTrue True\n"


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
