"""One background event loop for callers that do not await.

The loop runs in a daemon thread, started by the first call, replaced after a fork. It is never
the loop of a notebook or of the caller's own coroutine, so a blocking call works in both.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_LONGEST_END = 5.0
"""Seconds that a cancelled call or a stopped loop has to end."""

_ENDING = "The program is ending; no more calls are possible."

_lock = threading.Lock()
_portal: Portal | None = None
_stopped = False
"""Whether the program is ending."""


class Portal:
    """A running event loop in a thread of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._ended: Future[None] = Future()
        self._thread = threading.Thread(target=self._serve, name="marketdata-loop", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # from Python 3.12 on, at the interpreter's end
            self.loop.close()
            raise RuntimeError(_ENDING) from None

    def _serve(self) -> None:
        try:
            with contextlib.closing(self.loop):
                asyncio.set_event_loop(self.loop)
                try:
                    self.loop.run_forever()
                finally:
                    self._end()
        except BaseException as error:  # noqa: BLE001 - passed to those who wait for the end
            self._ended.set_exception(error)
        else:
            self._ended.set_result(None)

    def _end(self) -> None:
        """End the loop's remaining tasks, then its asynchronous generators.

        `asyncio.run` would also start a thread that waits for the loop's worker threads. From
        Python 3.12 on none can be started any more when the interpreter ends, which is when this
        runs; the interpreter waits for the workers itself.
        """
        left = asyncio.all_tasks(self.loop)
        for task in left:
            task.cancel()
        if left:
            self.loop.run_until_complete(asyncio.wait(left))
        self.loop.run_until_complete(self.loop.shutdown_asyncgens())

    @property
    def is_over(self) -> bool:
        """Whether the loop has ended, for example because code on it raised SystemExit."""
        return self._ended.done()

    def call(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop and wait for it; Ctrl-C cancels it, and waits for its end.

        Raises RuntimeError on the loop's own thread, where it would wait forever.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("A blocking call was made on the event loop that has to run it.")
        ended = threading.Event()
        call = _signalling(coroutine, ended)
        try:
            future = asyncio.run_coroutine_threadsafe(call, self.loop)
        except RuntimeError:
            call.close()
            coroutine.close()
            raise RuntimeError(_ENDING) from None
        try:
            return future.result()
        finally:
            if not future.done():
                future.cancel()
                # Data received so far may still have to be stored.
                ended.wait(timeout=_LONGEST_END)

    def stop(self) -> None:
        """End the loop, cancel its tasks, and wait for its thread.

        Raises the error that ended the loop, if there was one.
        """
        with contextlib.suppress(RuntimeError):  # closed since
            self.loop.call_soon_threadsafe(self.loop.stop)
        with contextlib.suppress(TimeoutError):
            self._ended.result(timeout=_LONGEST_END)
        self._thread.join(timeout=_LONGEST_END)


async def _signalling(coroutine: Coroutine[Any, Any, T], ended: threading.Event) -> T:
    """Await a coroutine, and signal its end to other threads in any case."""
    try:
        return await coroutine
    finally:
        ended.set()


def portal() -> Portal:
    """Return the process's portal; it is started at first use, and again if its loop has ended."""
    global _portal
    if _portal is None or _portal.is_over:
        with _lock:
            if _portal is None or (_portal.is_over and not _stopped):
                _portal = Portal()
    return _portal


def _stop_at_exit() -> None:
    global _stopped
    _stopped = True
    if _portal is not None and not _portal.is_over:
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
