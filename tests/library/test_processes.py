"""Forks, threads, signals and the end of a program: whole programs with warnings as errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from waiting import happened

from marketdata.sim import SimulatedExchange

from .conftest import Run
from .gateway import Gateway
from .programs import said


def test_threads_that_start_at_once_share_one_client(sim: SimulatedExchange, python: Run) -> None:
    program = """
        import threading
        import marketdata as md

        together, found = threading.Barrier(8), []

        def ask():
            together.wait()
            found.append(md.ticker("BTC/USDT").pair)

        threads = [threading.Thread(target=ask) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print(found.count("BTC/USDT"))
    """
    assert python(program) == "8\n"
    paths = [request.path.rpartition("/")[2] for request in sim.requests]
    assert paths.count("exchangeInfo") == 1
    # Those that asked while another was asking have its answer.
    assert 1 <= paths.count("24hr") <= 8


def test_a_child_without_requests_ends_quietly(python: Run) -> None:
    program = """
        import os, sys
        import marketdata as md

        client = md.Client()
        client.ticker("BTC/USDT")
        child = os.fork()
        if child == 0:
            client.close()
            del client
            sys.exit(0)
        print(os.waitpid(child, 0)[1], client.ticker("BTC/USDT").pair)
    """
    assert python(program) == "0 BTC/USDT\n"


def test_children_of_children(python: Run) -> None:
    program = """
        import os, sys
        import marketdata as md

        for generation in range(2):
            print(generation, md.ticker("BTC/USDT").pair, flush=True)
            child = os.fork()
            if child:
                sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        print("last", md.ticker("BTC/USDT").pair, flush=True)
    """
    assert python(program) == "".join(f"{one} BTC/USDT\n" for one in (0, 1, "last"))


def test_a_fork_during_requests_of_other_threads(python: Run) -> None:
    program = """
        import os, sys, threading
        import marketdata as md

        md.ticker("BTC/USDT")
        over = threading.Event()

        def ask():
            while not over.is_set():
                md.ticker("BTC/USDT")

        threads = [threading.Thread(target=ask) for _ in range(3)]
        for thread in threads:
            thread.start()
        codes = []
        for _ in range(6):
            child = os.fork()
            if child == 0:
                os._exit(0 if md.ticker("ETH/USDT").pair == "ETH/USDT" else 1)
            codes.append(os.waitpid(child, 0)[1])
        over.set()
        for thread in threads:
            thread.join()
        print(codes, md.ticker("SOL/USDT").pair)
    """
    assert python(program) == "[0, 0, 0, 0, 0, 0] SOL/USDT\n"


def test_a_fork_inside_a_running_loop(python: Run) -> None:
    program = """
        import asyncio, os, sys
        import marketdata as md

        client = md.AsyncClient()

        async def main():
            print((await client.ticker("BTC/USDT")).pair, flush=True)
            child = os.fork()
            if child == 0:
                print(md.ticker("ETH/USDT").pair, flush=True)
                os._exit(0)
            print(os.waitpid(child, 0)[1], flush=True)
            print((await client.ticker("SOL/USDT")).pair)

        asyncio.run(main())
    """
    assert python(program) == "BTC/USDT\nETH/USDT\n0\nSOL/USDT\n"


def test_processes_created_while_connections_are_open(python: Run) -> None:
    program = """
        import multiprocessing
        import marketdata as md

        def ask(pair, answers):
            with md.Client() as own:
                first = own.pairs()[0].pair
                answers.put((pair, client.ticker(pair).pair, md.quote(pair).pair, first))

        client = md.Client()
        client.ticker("BTC/USDT")
        md.ticker("BTC/USDT")
        context = multiprocessing.get_context("fork")
        answers = context.SimpleQueue()
        processes = [
            context.Process(target=ask, args=(pair, answers)) for pair in ("BTC/USDT", "ETH/USDT")
        ]
        for process in processes:
            process.start()
        print(sorted(answers.get() for _ in processes))
        for process in processes:
            process.join()
        print([process.exitcode for process in processes])
        print(client.ticker("BTC/USDT").pair, md.ticker("BTC/USDT").pair)
    """
    assert python(program).splitlines() == [
        "[('BTC/USDT', 'BTC/USDT', 'BTC/USDT', 'ADA/USDT'), "
        "('ETH/USDT', 'ETH/USDT', 'ETH/USDT', 'ADA/USDT')]",
        "[0, 0]",
        "BTC/USDT BTC/USDT",
    ]


def interrupted(program: str, gateway: Gateway, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """Run a program, send it SIGINT once its request hangs, and give how it ended."""
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(program))
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", str(file)],
        env={**os.environ, "MARKETDATA_ENDPOINTS": json.dumps({"binance": gateway.url})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        happened(gateway.held)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.communicate()
    return subprocess.CompletedProcess([], process.returncode, out, err)


@pytest.mark.cold
def test_ctrl_c_ends_a_hanging_call_and_its_request(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("*/24hr")
    program = """
        import marketdata as md

        try:
            md.ticker("BTC/USDT")
        except KeyboardInterrupt:
            print("interrupted")
        print(md.orderbook("BTC/USDT", 5).pair)
    """
    done = interrupted(program, gateway, tmp_path)

    assert (done.returncode, done.stdout, said(done.stderr)) == (0, "interrupted\nBTC/USDT\n", "")
    happened(gateway.left)


@pytest.mark.cold
def test_an_uncaught_ctrl_c_ends_the_program(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("*/24hr")
    done = interrupted("import marketdata as md\nmd.ticker('BTC/USDT')\n", gateway, tmp_path)
    assert done.returncode in (-signal.SIGINT, 130, 1)
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert done.stderr.count("Traceback") == 1
    happened(gateway.left)


@pytest.mark.cold
def test_ctrl_c_in_asyncio(gateway: Gateway, tmp_path: Path) -> None:
    gateway.hold("*/24hr")
    program = """
        import asyncio
        import marketdata as md

        async def main():
            async with md.AsyncClient() as client:
                await client.ticker("BTC/USDT")

        try:
            asyncio.run(main())
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = interrupted(program, gateway, tmp_path)

    assert (done.returncode, done.stdout, said(done.stderr)) == (0, "interrupted\n", "")
    happened(gateway.left)


def test_the_program_ends_during_a_request_of_a_thread(gateway: Gateway) -> None:
    gateway.hold("*/24hr")
    program = """
        import sys, threading
        import marketdata as md

        def ask():
            try:
                client.ticker("BTC/USDT")
            except BaseException:
                pass

        client = md.Client(endpoints={"binance": sys.argv[1]}, timeout=3600)
        client.pairs()
        threading.Thread(target=ask, daemon=True).start()
        sys.stdin.readline()
        print("over")
    """
    process = subprocess.Popen(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), gateway.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        happened(gateway.held)
        out, err = process.communicate("\n", timeout=60)
    finally:
        process.kill()
    assert (process.returncode, out, said(err)) == (0, "over\n", "")


def test_calls_at_the_very_end_of_a_program(python: Run) -> None:
    program = """
        import atexit
        import marketdata as md

        def last():
            try:
                print(md.ticker("ETH/USDT").pair)
            except RuntimeError as error:
                print("too late:", error)

        atexit.register(last)
        print(md.ticker("BTC/USDT").pair)
    """
    first, last = python(program).splitlines()
    assert first == "BTC/USDT"
    assert last == "ETH/USDT" or last.startswith("too late: ")


def test_an_uncaught_error_is_one_traceback(python: Run, sim: SimulatedExchange) -> None:
    done = subprocess.run(
        [
            *(sys.executable, "-X", "dev", "-W", "error", "-c"),
            "import marketdata as md; md.ticker('NOPE/USDT')",
        ],
        env={**os.environ, "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert "During handling" not in done.stderr
    last = done.stderr.rstrip().rpartition("\n")[2]
    assert last.startswith("marketdata.errors.PairNotSupportedError: binance has no active")
