"""Responses of 50 MB are not read to their end, from any exchange."""

from __future__ import annotations

import asyncio
import os
import tracemalloc
import zlib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import WSMessage, WSMsgType

from marketdata import DataUnavailableError
from marketdata._exchanges.bodies import LARGEST, LARGEST_FRAME
from marketdata._exchanges.lines import LineMethods

from .asking import ASKED, Case, World, offences, spot
from .loopback import MEBIBYTE, Body, endless, large

EVERYTHING = "HOSTILE" in os.environ
"""Whether all exchanges get each body; else a few do, whose requests are made in different ways."""


def run(home: Path, body: Body, exchanges: tuple[str, ...]) -> tuple[list[Case], int, int]:
    """Ask each exchange once, one after the other.

    Gives what was sent, and the memory that a request took: some calls make several at a time.
    """

    async def ask() -> tuple[list[Case], int, int]:
        async with World.begun(home, exchanges) as world:
            world.loopback.body = body
            cases, peak = [], 0
            tracemalloc.start()
            for number, exchange in enumerate(exchanges):
                operation, given = ASKED[number % len(ASKED)]
                before = tracemalloc.get_traced_memory()[0]
                tracemalloc.reset_peak()
                cases.append(await world.asks(exchange, operation, given))
                taken = tracemalloc.get_traced_memory()[1] - before
                peak = max(peak, taken // max(1, cases[-1].requests))
            return cases, world.loopback.sent, peak

    try:
        return asyncio.run(ask())
    finally:
        tracemalloc.stop()


def test_what_a_header_tells_is_refused_at_once(home: Path) -> None:
    [body] = (one for one in large() if one.says)
    names = spot(home)
    run(home, body, names)  # imports what the first calls need, which is not what is measured
    cases, _, peak = run(home, body, names)

    assert offences(cases) == []
    assert peak < MEBIBYTE


@pytest.mark.parametrize("body", [one for one in large() if not one.says], ids=str)
def test_the_rest_of_a_large_answer_is_not_read(home: Path, body: Body) -> None:
    names = spot(home)
    cases, sent, peak = run(home, body, names if EVERYTHING else names[:: len(names) // 8])

    assert offences(cases) == []
    refused = [one.came for one in cases if one.requests and one.operation != "status"]
    assert refused
    for error in refused:
        assert isinstance(error, DataUnavailableError)
        assert f"more than {LARGEST} MiB" in error.message
        assert not error.retryable
    # What is in the sockets' buffers has been sent, too.
    assert sent <= sum(one.requests for one in cases) * (LARGEST + 8) * MEBIBYTE
    assert peak < (LARGEST + 12) * MEBIBYTE


def test_what_is_just_small_enough_is_read(home: Path) -> None:
    body = Body("39 MiB of one text", parts=endless(b'"', b"a", LARGEST - 1))
    cases, sent, _ = run(home, body, spot(home)[1:3])

    assert sent > (LARGEST - 1) * MEBIBYTE * sum(one.requests for one in cases) > 0
    for case in cases:
        assert isinstance(case.came, DataUnavailableError)
        assert "MiB" not in case.came.message


def _packed(text: bytes, *, has_header: bool) -> bytes:
    pack = zlib.compressobj(9, zlib.DEFLATED, 31 if has_header else -15)
    return pack.compress(text) + pack.flush()


@pytest.mark.parametrize("has_header", [True, False])
def test_a_packed_frame_is_unpacked_up_to_a_bound(has_header: bool) -> None:
    class OfCcxt:
        def __init__(self, *_: object) -> None:
            pass

        def handle_message(self, message: WSMessage) -> None:
            raise AssertionError(f"it would unpack all of {message.type}")

    class Line(LineMethods, OfCcxt):
        pass

    heard: list[object] = []
    connector: Any = SimpleNamespace(
        transport=SimpleNamespace(recorder=None),
        is_exact=False,
        handle_message=lambda _, frame: heard.append(frame),
        on_error=None,
        on_close=None,
    )
    line = Line(connector, "wss://example.org", {})
    line.gunzip, line.inflate, line.decompressBinary = has_header, not has_header, True

    def comes(data: bytes) -> None:
        line.handle_message(WSMessage(WSMsgType.BINARY, data, None))

    comes(_packed(b'{"a": 1}', has_header=has_header))
    assert (heard, line.unreadable) == ([{"a": 1}], 0)
    bomb = _packed(b" " * 200 * MEBIBYTE, has_header=has_header)
    assert len(bomb) < MEBIBYTE
    tracemalloc.start()
    try:
        comes(bomb)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * LARGEST_FRAME * MEBIBYTE
    comes(b"neither one nor the other")
    assert (heard, line.unreadable) == ([{"a": 1}], 2)
