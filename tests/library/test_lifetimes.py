"""Calls from anywhere leave nothing behind: threads, forks, loops, notebooks, Ctrl-C."""

from __future__ import annotations

from pathlib import Path

import nbclient
import nbformat
import pytest

from .programs import run


def test_a_program_with_many_calls_ends_quietly(tmp_path: Path) -> None:
    program = """
        import asyncio
        import os
        import marketdata as md
        from marketdata._requests.portal import portal

        print(md.ticker("BTC/USDT").pair)

        never_used, never_awaited = md.Client(), md.AsyncClient()
        never_closed = md.Client()
        print(never_closed.ticker("ETH/USDT").pair)

        with md.Client() as client:
            print(client.ticker("SOL/USDT").pair)
        print(client.ticker("BTC/EUR").pair)

        async def main():
            print(md.quote("BTC/USDT").pair)
            print((await md.AsyncClient().quote("ETH/USDT")).pair)

        asyncio.run(main())

        try:
            md.ticker("NOPE/USDT")
        except md.PairNotSupportedError as error:
            print(error.code)

        async def deadlock():
            md.ticker("BTC/USDT")

        try:
            portal().call(deadlock())
        except RuntimeError as error:
            print(error)

        for exchange in ("kraken", "okx"):
            os.environ["MARKETDATA_EXCHANGE"] = exchange
            print(md.ticker("BTC/USDT").exchange)
    """
    assert run(program, tmp_path).splitlines() == [
        "BTC/USDT",
        "ETH/USDT",
        "SOL/USDT",
        "BTC/EUR",
        "BTC/USDT",
        "ETH/USDT",
        "PAIR_NOT_SUPPORTED",
        "A blocking call was made on the event loop that has to run it.",
        "kraken",
        "okx",
    ]


def test_an_unclosed_async_client_serves_loop_after_loop(tmp_path: Path) -> None:
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


def test_clients_dropped_on_a_running_loop(tmp_path: Path) -> None:
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


def test_a_forked_child_has_its_own_connections_and_leaves_its_parents_alone(
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
    assert "3 candles" in last[3]["text/html"]
    assert not [
        output
        for cell in notebook.cells
        for output in cell.outputs
        if output.get("name") == "stderr"
    ]
