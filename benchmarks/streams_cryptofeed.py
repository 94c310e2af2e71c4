"""Order books with cryptofeed, in its own environment.

It is installed once and run by its interpreter: ``python -m benchmarks.streams_cryptofeed <what>``.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.streams_measure import Caller, Levels, Peer, measure


def install(cache: Path) -> Path:
    """Return the interpreter that has cryptofeed, after installing it if needed.

    Raises RuntimeError with the last line of output if the installation fails.
    """
    environment = cache / "cryptofeed"
    commands = environment / "bin"
    if not list(environment.glob("lib/*/site-packages/cryptofeed")):
        print(f"installing cryptofeed in {cache} ...", file=sys.stderr)
        for command in (
            [sys.executable, "-m", "venv", "--clear", environment],
            [commands / "pip", "install", "--quiet", "cryptofeed"],
        ):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stderr or done.stdout).strip().splitlines()
                raise RuntimeError(said[-1] if said else f"exit code {done.returncode}")
    return commands / "python"


class Cryptofeed(Peer):
    """Its handler with one feed, on uvloop as it recommends."""

    def __init__(self) -> None:
        from cryptofeed import FeedHandler

        self._handler = FeedHandler(config={"uvloop": True, "log": {"disabled": True}})

    async def open(self, base: str) -> None:
        from cryptofeed import connection
        from cryptofeed.exchanges import Binance

        # It accepts only encrypted addresses.
        connect = connection.connect
        connection.connect = lambda address, **more: connect(address.replace("wss:", "ws:"), **more)
        address = base.replace("http:", "wss:")
        [rest] = Binance.rest_endpoints
        rest.address = base
        Binance.websocket_endpoints = [connection.WebsocketEndpoint(address)]
        Binance.symbol_mapping()

    async def watch(self, callers: Mapping[str, Caller]) -> None:
        from cryptofeed.defines import L2_BOOK
        from cryptofeed.exchanges import Binance

        see = {pair.replace("/", "-"): caller.see for pair, caller in callers.items()}

        async def seen(book: Any, _received: float) -> None:
            see[book.symbol](book.sequence_number)
            self._last = book

        feed = Binance(symbols=list(see), channels=[L2_BOOK], callbacks={L2_BOOK: seen})
        self._handler.add_feed(feed)
        self._handler.run(start_loop=False, install_signal_handlers=False)

    def book(self) -> tuple[Levels, Levels]:
        sides = (self._last.book.bids, self._last.book.asks)
        return tuple([(float(p), float(s)) for p, s in one.to_dict().items()] for one in sides)

    async def close(self) -> None:
        await self._handler.stop_async()


if __name__ == "__main__":
    measure(Cryptofeed(), *sys.argv[1:])
