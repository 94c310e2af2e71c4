"""Calls from anywhere, and nothing left behind: threads, forks, loops, notebooks, Ctrl-C."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import nbclient
import nbformat
import pytest

from marketdata.sim import SimulatedExchange

from .programs import run


def test_functions_and_a_client_that_nobody_closes(tmp_path: Path) -> None:
    program = """
        import marketdata as md

        client = md.Client()
        print(md.ticker("BTC/USDT").pair, client.ticker("ETH/USDT").pair)
    """
    assert run(program, tmp_path) == "BTC/USDT ETH/USDT\n"


def test_an_async_client_that_nobody_closes_serves_loop_after_loop(tmp_path: Path) -> None:
    program = """
        import asyncio
        import marketdata as md

        client = md.AsyncClient()

        async def main():
            print((await client.ticker("BTC/USDT")).pair)

        asyncio.run(main())
        asyncio.run(main())
    """
    assert run(program, tmp_path) == "BTC/USDT\n" * 2


def test_clients_that_are_dropped_while_their_loop_goes_on(tmp_path: Path) -> None:
    program = """
        import asyncio
        import gc
        import marketdata as md

        async def main():
            for pair in ("BTC/USDT", "ETH/USDT"):
                print((await md.AsyncClient().ticker(pair)).pair)
                gc.collect()

        asyncio.run(main())
        for pair in ("BTC/USDT", "ETH/USDT"):
            print(md.Client().ticker(pair).pair)
            gc.collect()
    """
    assert run(program, tmp_path) == "BTC/USDT\nETH/USDT\n" * 2


def test_a_client_goes_on_after_close(tmp_path: Path) -> None:
    program = """
        import marketdata as md

        with md.Client() as client:
            print(client.ticker("BTC/USDT").pair)
        print(client.ticker("ETH/USDT").pair)
    """
    assert run(program, tmp_path) == "BTC/USDT\nETH/USDT\n"


def test_blocking_calls_inside_a_running_loop(tmp_path: Path) -> None:
    program = """
        import asyncio
        import marketdata as md

        async def main():
            print(md.ticker("BTC/USDT").pair)
            print((await md.AsyncClient().ticker("ETH/USDT")).pair)

        asyncio.run(main())
    """
    assert run(program, tmp_path) == "BTC/USDT\nETH/USDT\n"


def test_many_threads_share_one_client(tmp_path: Path) -> None:
    program = """
        from concurrent.futures import ThreadPoolExecutor
        import marketdata as md

        with ThreadPoolExecutor(8) as threads:
            tickers = list(threads.map(lambda _: md.ticker("BTC/USDT"), range(40)))
        print(len(tickers), {ticker.pair for ticker in tickers})
    """
    assert run(program, tmp_path) == "40 {'BTC/USDT'}\n"


def test_a_forked_child_has_connections_of_its_own_and_leaves_its_parents_alone(
    tmp_path: Path,
) -> None:
    program = """
        import gc
        import os
        import sys
        import marketdata as md

        client = md.Client()
        first = client.ticker("BTC/USDT")
        child = os.fork()
        if child == 0:
            print(client.ticker("ETH/USDT").pair, flush=True)
            del client
            gc.collect()
            sys.exit(0)
        print(os.waitpid(child, 0)[1])
        print([client.ticker("BTC/USDT").pair for _ in range(3)])
    """
    assert run(program, tmp_path) == "ETH/USDT\n0\n['BTC/USDT', 'BTC/USDT', 'BTC/USDT']\n"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(method: str, tmp_path: Path) -> None:
    program = f"""
        import multiprocessing
        import marketdata as md

        def ask(pair):
            return md.ticker(pair).pair

        if __name__ == "__main__":
            md.ticker("BTC/USDT")
            with multiprocessing.get_context("{method}").Pool(2) as workers:
                print(workers.map(ask, ["BTC/USDT", "ETH/USDT", "SOL/USDT"]))
    """
    assert run(program, tmp_path) == "['BTC/USDT', 'ETH/USDT', 'SOL/USDT']\n"


def test_an_error_leaves_nothing_open(tmp_path: Path) -> None:
    program = """
        import marketdata as md

        try:
            md.ticker("NOPE/USDT")
        except md.PairNotSupportedError as error:
            print(error.code)
    """
    assert run(program, tmp_path) == "PAIR_NOT_SUPPORTED\n"


def test_a_blocking_call_on_the_loop_that_serves_it_is_refused(tmp_path: Path) -> None:
    program = """
        import marketdata as md
        from marketdata._portal import portal

        async def deadlock():
            md.ticker("BTC/USDT")

        try:
            portal().call(deadlock())
        except RuntimeError as error:
            print(error)
    """
    assert "would have to serve it" in run(program, tmp_path)


def test_the_environment_is_read_again_when_it_has_changed(tmp_path: Path) -> None:
    program = """
        import os
        import marketdata as md

        os.environ["MARKETDATA_EXCHANGE"] = "kraken"
        print(md.ticker("BTC/USDT").exchange)
        os.environ["MARKETDATA_EXCHANGE"] = "okx"
        print(md.ticker("BTC/USDT").exchange)
    """
    assert run(program, tmp_path) == "kraken\nokx\n"


def test_ctrl_c_ends_a_call_that_hangs(sim: SimulatedExchange) -> None:
    sim.faults.add("binance:*/ticker/24hr:hang=1")
    program = textwrap.dedent(
        f"""
        import marketdata as md

        client = md.Client("binance", endpoints={sim.endpoints!r}, timeout=600)
        client.pairs()
        print("asking", flush=True)
        try:
            client.ticker("BTC/USDT")
        except KeyboardInterrupt:
            print("interrupted")
        """
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "asking\n"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out, err) == (0, "interrupted\n", "")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_cells_of_a_real_notebook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETDATA_SIM", "1")
    cells = [
        "import marketdata as md\nmd.ticker('BTC/USDT').pair",
        "await md.AsyncClient().ticker('ETH/USDT')\nmd.quote('ETH/USDT').pair",
        "[md.ticker(pair).pair for pair in ('BTC/USDT', 'SOL/USDT')]",
        "md.candles('BTC/USDT', limit=3)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(one) for one in cells])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    last = [cell.outputs[-1]["data"] for cell in notebook.cells]
    assert [shown["text/plain"] for shown in last[:3]] == [
        "'BTC/USDT'",
        "'ETH/USDT'",
        "['BTC/USDT', 'SOL/USDT']",
    ]
    assert "3 bars" in last[3]["text/html"]
    assert not [
        output
        for cell in notebook.cells
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]
