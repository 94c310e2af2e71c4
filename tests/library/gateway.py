"""A real server between the connectors and a simulated exchange that can change responses."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Self

import aiohttp
from aiohttp import web

from marketdata.sim.listening import Listener


@dataclass
class Answer:
    """The response to the caller."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Change = Callable[[Answer], Answer]

_KEPT = ("date", "x-marketdata-simulated", "retry-after", "cb-before", "cb-after")


class Gateway:
    """Passes requests on to ``upstream``, and each response to the first rule for its path.

    ``requests`` holds method and path of each request, ``proxied`` the absolute addresses that
    were asked for: HTTP clients send these to a proxy.
    """

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream
        self._rules: list[tuple[str, Change]] = []
        self.requests: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.url = ""
        self.held, self.left = threading.Event(), threading.Event()
        self._hold: str | None = None

    def change(self, path: str, change: Change) -> None:
        """Let ``change`` alter the responses to paths like ``path``; the newest rule is first."""
        self._rules.insert(0, (path, change))

    def hold(self, path: str) -> None:
        """Never answer paths like ``path``.

        ``held`` is set when such a request is there, ``left`` when its caller has gone.
        """
        self._hold = path

    def answer(self, path: str, body: Any, *, status: int = 200, **more: Any) -> None:
        """Answer paths like ``path`` with a body: bytes, text, or anything as JSON."""
        if isinstance(body, str):
            body = body.encode()
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.change(path, lambda _: Answer(sent, status, **more))

    def edit(self, path: str, edit: Callable[[Any], Any]) -> None:
        """Alter the JSON of responses to paths like ``path``; None keeps changes made in place."""

        def change(answer: Answer) -> Answer:
            sent = answer.json
            edited = edit(sent)
            answer.body = json.dumps(sent if edited is None else edited).encode()
            return answer

        self.change(path, change)

    def __enter__(self) -> Self:
        ready = threading.Event()
        self._thread = threading.Thread(target=asyncio.run, args=(self._serve(ready),), daemon=True)
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._leave = asyncio.get_running_loop(), asyncio.Event()
        async with aiohttp.ClientSession() as session:

            async def handle(request: web.Request) -> web.Response:
                return await self._pass(session, request)

            server = web.Server(handle, access_log=None, handler_cancellation=True)
            listener = Listener(web.ServerRunner(server, shutdown_timeout=0.1))
            self.url = await listener.start()
            ready.set()
            await self._leave.wait()
            await listener.stop()

    async def _pass(self, session: aiohttp.ClientSession, request: web.BaseRequest) -> web.Response:
        self.requests.append(f"{request.method} {request.raw_path}")
        self.headers.append(dict(request.headers))
        if self._hold is not None and fnmatchcase(request.path, self._hold):
            self.held.set()
            try:
                await asyncio.Event().wait()
            finally:
                self.left.set()
        async with session.get(self._upstream + request.path_qs) as response:
            kept = {k: v for k, v in response.headers.items() if k.lower() in _KEPT}
            answer = Answer(await response.read(), response.status, kept, response.content_type)
        change = next((to for path, to in self._rules if fnmatchcase(request.path, path)), None)
        if change is not None:
            answer = change(answer)
        return web.Response(
            body=answer.body,
            status=answer.status,
            headers=answer.headers,
            content_type=answer.content_type,
        )
