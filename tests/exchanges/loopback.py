"""A server on the loopback that sends the same response to every request."""

from __future__ import annotations

import asyncio
import gzip
import json
import queue
import threading
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from marketdata.sim.listening import close

MEBIBYTE = 2**20
CANARY = "Upstream5c4f1e"
"""A text that is the exchanges' own."""


@dataclass(frozen=True)
class Body:
    """What is answered."""

    name: str
    text: bytes = b""
    status: int = 200
    kind: str = "application/json"
    headers: tuple[str, ...] = ()
    parts: Callable[[], Iterator[bytes]] | None = None
    """Makes what comes behind the text, chunked, for as long as somebody reads it."""
    says: int | None = None
    """The length that the header tells, where it is not that of the text."""
    closes: bool = False
    """Whether the connection is closed instead."""
    hangs: bool = False
    """Whether nothing comes."""
    repeats: bool = False
    """Whether the request is said again, in the body, a header and the reason."""

    def __str__(self) -> str:
        return self.name

    def answer(self, request: str) -> bytes:
        """Return what is sent at once."""
        text, said, more = self.text, "Said", list(self.headers)
        if self.repeats:
            said = " ".join(request.split())
            more.append(f"X-Request: {said}")
            text = json.dumps(dict.fromkeys(("msg", "message", "error", "code"), said)).encode()
        length = len(text) if self.says is None else self.says
        size = "Transfer-Encoding: chunked" if self.parts else f"Content-Length: {length}"
        lines = [f"HTTP/1.1 {self.status} {said}", f"Content-Type: {self.kind}", size, *more]
        return "\r\n".join([*lines, "", ""]).encode() + text


def endless(begin: bytes, part: bytes, mebibytes: int) -> Callable[[], Iterator[bytes]]:
    def parts() -> Iterator[bytes]:
        yield begin
        whole = part * (MEBIBYTE // len(part))
        for _ in range(mebibytes):
            yield whole

    return parts


def _bomb() -> bytes:
    return gzip.compress(b"[" + b"[1,2,3]," * (MEBIBYTE * 50 // 8) + b"1]", 9)


HTML = "text/html; charset=utf-8"
PAGE = f"<!doctype html><html><title>Sorry</title><body>{CANARY}</body></html>".encode()
SAID = f'{{"msg": "{CANARY}", "error": "{CANARY}", "code": "{CANARY}"}}'.encode()

SMALL = (
    Body("nothing, and the connection closed", closes=True),
    Body("an empty body"),
    Body("500", SAID, 500),
    Body("404", SAID, 404),
    Body("HTML", PAGE, kind=HTML),
    Body("{}", b"{}"),
    Body("[]", b"[]"),
    Body("null", b"null"),
    Body('""', b'""'),
    Body("0", b"0"),
    Body("true", b"true"),
    Body("text", f'"{CANARY}"'.encode()),
    Body("nested", b"[" * 20_000 + b"]" * 20_000),
    Body("half a text", SAID[:-5]),
    Body("[[]]", b"[[]]"),
    Body("[{}]", b"[{}]"),
    Body("[null]", b"[null]"),
    Body("enveloped nothing", json.dumps(dict.fromkeys(("data", "result"))).encode()),
    Body(
        "enveloped {}", f'{{"data": {{}}, "result": {{}}, "code": "0", "msg": "{CANARY}"}}'.encode()
    ),
)
"""Bodies that are there at once."""


def large() -> tuple[Body, ...]:
    """Return bodies of more than anybody has to say."""
    return (
        Body("50 MB that the header tells", says=50_000_000),
        Body("50 MB of rows", parts=endless(b"[", b"[1, 2], ", 50)),
        Body("50 MB of HTML", parts=endless(PAGE, b"<p></p>\n", 50), kind=HTML),
        Body("50 MB of one text", parts=endless(b'"', b"a", 50)),
        Body("50 MB in a bomb", _bomb(), headers=("Content-Encoding: gzip",)),
    )


@dataclass
class Loopback:
    """Answers with ``body``; counts the requests by the first part of their paths."""

    body: Body = SMALL[0]
    port: int = 0
    requests: Counter[str] = field(default_factory=Counter)
    last: str = ""
    """The last request."""
    sent: int = 0
    """Bytes of large bodies that were taken off our hands."""
    open: set[asyncio.BaseTransport] = field(default_factory=set)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @classmethod
    @asynccontextmanager
    async def begun(cls) -> AsyncIterator[Loopback]:
        made = cls()
        loop = asyncio.get_running_loop()
        server = await loop.create_server(lambda: _Connection(made), "127.0.0.1", 0)
        made.port = server.sockets[0].getsockname()[1]
        try:
            yield made
        finally:
            await close(server)
            for transport in list(made.open):
                transport.abort()  # type: ignore[attr-defined]
            await server.wait_closed()


@contextmanager
def beside(body: Body) -> Iterator[Loopback]:
    """Yield such a server in a thread of its own, for processes to ask."""
    started: queue.SimpleQueue[tuple[Loopback, Callable[[], object]]] = queue.SimpleQueue()

    async def serve() -> None:
        async with Loopback.begun() as loopback:
            loopback.body = body
            loop, over = asyncio.get_running_loop(), asyncio.Event()
            started.put((loopback, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    loopback, end = started.get(timeout=30)
    try:
        yield loopback
    finally:
        end()
        thread.join()


class _Connection(asyncio.Protocol):
    def __init__(self, loopback: Loopback) -> None:
        self._loopback = loopback
        self._heard = b""
        self._sending: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._loopback.open.add(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._loopback.open.discard(self._transport)
        if self._sending is not None:
            self._sending.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        self._heard += data
        while b"\r\n\r\n" in self._heard:
            head, _, rest = self._heard.partition(b"\r\n\r\n")
            length = 0
            for line in head.lower().split(b"\r\n"):
                if line.startswith(b"content-length:"):
                    length = int(line[15:])
            if len(rest) < length:
                return
            self._heard = rest[length:]
            self._answer((head + b" " + rest[:length]).decode())

    def _answer(self, request: str) -> None:
        body = self._loopback.body
        self._loopback.requests[request.split("/")[1]] += 1
        self._loopback.last = request
        if body.hangs:
            return
        if body.closes:
            self._transport.close()
            return
        self._transport.write(body.answer(request))
        if body.parts is not None:
            self._sending = asyncio.ensure_future(self._stream(body.parts()))

    async def _stream(self, parts: Iterator[bytes]) -> None:
        for part in parts:
            self._transport.write(b"%x\r\n%b\r\n" % (len(part), part))
            self._loopback.sent += len(part)
            await self._writable.wait()
            await asyncio.sleep(0)
        self._transport.write(b"0\r\n\r\n")
