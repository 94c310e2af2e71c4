"""Signals of the process, for event loops on every platform."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from typing import Any

__all__ = ["on_signal"]


def on_signal(number: int, react: Callable[..., Any], *arguments: Any) -> None:
    """Have the running loop call something when the process gets a signal.

    Only the main thread's loop can. Loops of Windows take no signals; there the interpreter does.
    """
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, react, *arguments)
    except NotImplementedError:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(react, *arguments))
