"""Live records and progress in the cells of a real Jupyter kernel."""

import json
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from queue import Empty
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

import marketdata as md
from marketdata.sim import SimulatedExchange

NOW = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def kernel() -> Iterator[tuple[KernelManager, BlockingKernelClient]]:
    with SimulatedExchange(seed=3) as sim:
        variables = {**os.environ, "MARKETDATA_ENDPOINTS": json.dumps(sim.endpoints)}
        manager, client = start_new_kernel(env=variables)
        try:
            yield manager, client
        finally:
            client.stop_channels()
            manager.shutdown_kernel(now=True)


def messages(client: BlockingKernelClient, asked: str) -> Iterator[tuple[str, Any]]:
    """Return the output of a cell, until it is idle."""
    while True:
        try:
            message = client.get_iopub_msg(timeout=60)
        except Empty:
            raise AssertionError("the kernel says nothing") from None
        if message["parent_header"].get("msg_id") != asked:
            continue
        if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
            return
        yield message["msg_type"], message["content"]


@pytest.mark.parametrize("interrupted", ["signal", "cancelled"])
def test_a_live_book_is_updated_in_place_until_it_is_interrupted(
    kernel: tuple[KernelManager, BlockingKernelClient], interrupted: str
) -> None:
    manager, client = kernel
    call = {
        "signal": "md.watch_orderbook('BTC/USDT', depth=3).display()",
        "cancelled": "await md.AsyncClient().watch_orderbook('BTC/USDT', depth=3).display()",
    }[interrupted]
    asked = client.execute(f"import marketdata as md\n{call}")
    shown: list[tuple[str, str]] = []
    identity = set()
    errors = []
    for kind, content in messages(client, asked):
        if kind == "error":
            errors.append(content["ename"])
        if "data" not in content:
            continue
        shown.append((kind, content["data"]["text/html"]))
        identity.add(content["transient"]["display_id"])
        if len(shown) == 3:
            manager.interrupt_kernel()
    assert [kind for kind, _ in shown[:3]] == ["display_data", *["update_display_data"] * 2]
    assert len(identity) == 1
    assert all("order book" in page and "SIMULATED" in page for _, page in shown[:3])
    assert errors == ([] if interrupted == "signal" else ["CancelledError"])
    # The cell gave the subscription back.
    asked = client.execute("print(len(md.streams()))")
    assert [one["text"] for kind, one in messages(client, asked) if kind == "stream"] == ["0\n"]


def test_several_tickers_are_one_table_and_trades_a_list(
    kernel: tuple[KernelManager, BlockingKernelClient],
) -> None:
    manager, client = kernel
    for call, titles in (
        ("md.watch_ticker(['BTC/USDT', 'ETH/USDT']).display()", {"Tickers", "BTC/USDT"}),
        ("md.watch_trades('BTC/USDT').display()", {"trades, oldest first"}),
    ):
        asked, told = client.execute(f"import marketdata as md\n{call}"), False
        for _, content in messages(client, asked):
            page = content.get("data", {}).get("text/html", "")
            if not told and all(title in page for title in titles):
                told = True
                manager.interrupt_kernel()
        assert told


def test_a_download_shows_its_progress_and_removes_it(
    kernel: tuple[KernelManager, BlockingKernelClient], tmp_path: Any
) -> None:
    _, client = kernel
    asked = client.execute(
        f"""
        import marketdata as md
        from marketdata.models._display import notebook
        notebook._PATIENCE = notebook._PAUSE = 0.0
        found = md.Client(home={str(tmp_path)!r}).history.download(
            ["BTC/USDT"], "1m", start="2026-01-01", end="2026-01-08"
        )
        """
    )
    shown = [(kind, content) for kind, content in messages(client, asked) if "data" in content]
    assert {content["transient"]["display_id"] for _, content in shown} != set()
    pages = [content["data"]["text/html"] for _, content in shown]
    assert pages[-1] == ""
    assert len(pages) > 2
    assert all("binance BTC/USDT 1m" in page for page in pages[:-1])
    assert re.search(r"of 10,080", pages[0])


def test_nothing_is_shown_outside_a_notebook(capsys: pytest.CaptureFixture[str]) -> None:
    from marketdata._client.progress import in_notebook

    with in_notebook() as tell:
        assert tell is None
    with pytest.raises(md.DataUnavailableError, match="notebook"):
        md.watch_ticker("BTC/USDT").display()
    assert capsys.readouterr() == ("", "")
