"""One background event loop for callers that do not await.

The loop runs in a daemon thread, started by the first call, replaced after a fork. It is never
the loop of a notebook or of the caller's own coroutine, so a blocking call works in both.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST_END = 5.0
"""Seconds for a call that was cancelled, or a loop that was stopped, to end."""

_lock = threading.Lock()
_portal: Portal | None = None


class Portal:
    """A running event loop in a thread of its own."""

    def __init__(self) -> None:
        ready: Future[asyncio.AbstractEventLoop] = Future()
        self._done = threading.Event()
        self._thread = threading.Thread(
            target=self._serve, args=(ready,), name="marketdata-loop", daemon=True
        )
        self._thread.start()
        self.loop = ready.result()

    def _serve(self, ready: Future[asyncio.AbstractEventLoop]) -> None:
        async def serve() -> None:
            self._stop = asyncio.Event()
            ready.set_result(asyncio.get_running_loop())
            await self._stop.wait()

        # asyncio.run ends what is left on the loop: tasks, asynchronous generators, executor.
        asyncio.run(serve())
        self._done.set()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; Ctrl-C cancels it, and waits for its end.

        Raises RuntimeError on the loop's own thread, where waiting would never end.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("A blocking call was made on the loop that would have to serve it.")
        ended = threading.Event()
        call = _signalling(coroutine, ended)
        try:
            future = asyncio.run_coroutine_threadsafe(call, self.loop)
        except RuntimeError:
            call.close()
            coroutine.close()
            raise RuntimeError("The program is ending; nothing is served any more.") from None
        try:
            return future.result()
        finally:
            if not future.done():
                future.cancel()
                # What it has got so far may still have to be stored.
                ended.wait(timeout=_LONGEST_END)

    def stop(self) -> None:
        """End the loop and wait for its thread; what runs on it is cancelled."""
        self.loop.call_soon_threadsafe(self._stop.set)
        self._done.wait(timeout=_LONGEST_END)
        self._thread.join(timeout=_LONGEST_END)


async def _signalling(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    """Await a coroutine, and tell other threads when it has ended, however it did."""
    try:
        return await coroutine
    finally:
        ended.set()


def portal() -> Portal:
    """Give the process's portal, started at first use."""
    global _portal
    if _portal is None:
        with _lock:
            if _portal is None:
                _portal = Portal()
    return _portal


def _stop_at_exit() -> None:
    if _portal is not None:
        _portal.stop()


def _forget_after_fork() -> None:
    # The child has the parent's loop but not the thread that ran it, and perhaps a held lock.
    global _portal, _lock
    _inherited.append(_portal)
    _portal, _lock = None, threading.Lock()


_inherited: list[Portal | None] = []
"""Loops of parent processes: closing them would close the parent's sockets' twins with a
warning, so they stay referenced."""

atexit.register(_stop_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_after_fork)
