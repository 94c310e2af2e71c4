"""The HTTP server in front of the simulated exchanges."""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import asdict
from email.utils import formatdate
from typing import Any

from aiohttp import web

from marketdata.sim.clock import Clock
from marketdata.sim.dialects import binance, coinbaseexchange, kraken, okx
from marketdata.sim.dialects.dialect import Call, Dialect, RefusedError, Route, Venue
from marketdata.sim.faults import Fault, Faults
from marketdata.sim.listening import Listener
from marketdata.sim.log import Request
from marketdata.sim.recorded.echoes import Echoes
from marketdata.sim.recorded.playing import RawSession
from marketdata.sim.recorded.recording import Film
from marketdata.sim.recorded.reels import Reel
from marketdata.sim.sockets.open_sockets import Sockets
from marketdata.sim.sockets.streams import Session

DIALECTS: dict[str, Dialect] = {
    module.DIALECT.name: module.DIALECT for module in (binance, kraken, coinbaseexchange, okx)
}
HEADER = "X-Marketdata-Simulated"
PLAYS_HEADER = "X-Marketdata-Plays"
"""Identifies a simulated history: servers with the same value have the same candles."""

_CONTROL = "/_sim"
_HTML = "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>"
_NO_FAULT = Fault()
_fault: ContextVar[Fault] = ContextVar("fault", default=_NO_FAULT)
"""The faults of the running task's request."""
_record: ContextVar[Request] = ContextVar("record")
"""The log entry of the running task's request."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Server:
    """Serves ``venues`` and ``films`` on one port, and notes requests in ``log``.

    ``sockets`` sends frames. ``films`` are recordings by exchange: with any, no other exchange is
    served, and with several, paths begin with an exchange's name.
    """

    def __init__(
        self,
        venues: Mapping[str, Venue],
        films: Mapping[str, Film],
        clock: Clock,
        faults: Faults,
        log: deque[Request],
        sockets: Sockets,
        plays: str,
    ) -> None:
        self.sockets = sockets
        self._films = films
        self._plays = plays
        self._clock = clock
        self._faults = faults
        self._log = log
        self._weights: dict[str, tuple[int, int]] = {}
        self._stopping = asyncio.Event()
        app = web.Application(middlewares=[self._watch])
        app.on_response_prepare.append(self._mark)
        for name, venue in venues.items():
            dialect = DIALECTS[name]
            prefix, opened = self.prefix(name), dialect.open(venue)
            source = films[name].source if name in films else dialect.source(venue)
            for route in dialect.routes:
                app.router.add_get(prefix + route.path, self._handler(dialect, route, opened))
            for socket in dialect.sockets:
                session = functools.partial(socket.session, source)
                app.router.add_get(prefix + socket.path, self._upgrade(name, session))
        for name, film in films.items():
            for path, reel in film.frames.items() if name not in venues else ():
                opener = functools.partial(_raw, reel, film.echoes[path])
                app.router.add_get(self.prefix(name) + path, self._upgrade(name, opener))
        app.router.add_get(f"{_CONTROL}/info", self._info)
        app.router.add_get(f"{_CONTROL}/requests", self._requests)
        app.router.add_delete(f"{_CONTROL}/requests", self._forget)
        app.router.add_get(f"{_CONTROL}/sockets", self._list_sockets)
        app.router.add_get(f"{_CONTROL}/faults", self._list_faults)
        app.router.add_post(f"{_CONTROL}/faults", self._add_fault)
        app.router.add_delete(f"{_CONTROL}/faults", self._clear_faults)
        self._listener = Listener(
            web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=1)
        )

    def prefix(self, name: str) -> str:
        """Return the prefix of an exchange's paths."""
        return f"/{name}" if len(self._films) > 1 else ""

    async def start(self, host: str, port: int) -> str:
        """Listen on ``host`` and ``port`` (0: a free one) and return the base URL."""
        return await self._listener.start(host, port)

    async def stop(self) -> None:
        """Close the port and every connection, also those that hang."""
        self._stopping.set()
        await self.sockets.stop()
        await self._listener.stop()

    def _handler(self, dialect: Dialect, route: Route, opened: Any) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            fault = _fault.get()
            now = self._clock.now() - round(fault.stale * 1000)
            call = Call(request.query, request.match_info, now, fault.short)
            weight, status = 1, 200
            try:
                body = route.answer(opened, call)
                weight = route.weight if isinstance(route.weight, int) else route.weight(call)
            except RefusedError as refusal:
                body, status = refusal.body, refusal.status
            if dialect.weighed:
                call.headers[dialect.weighed] = str(self._weigh(dialect.name, weight))
            return _json(body, status, call.headers)

        return handle

    def _upgrade(self, name: str, session: Callable[[Call], Session]) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            response = web.WebSocketResponse(autoping=False, compress=False, timeout=1)
            if not response.can_prepare(request):
                return _json(self._error(name, 400), 400, {})
            began = time.perf_counter()
            call = Call(request.query, request.match_info, self._clock.now())
            opened = session(call)
            await response.prepare(request)
            record = _record.get()
            record.status, record.ms = response.status, _since(began)
            await self.sockets.serve(request, response, record, opened)
            return response

        return handle

    async def _mark(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers[HEADER] = "1"
        response.headers[PLAYS_HEADER] = self._plays
        # Clients use it to decide whether a candle is closed, so it must be the exchange's time.
        response.headers["Date"] = formatdate(self._clock.now() / 1000, usegmt=True)

    def _weigh(self, name: str, weight: int) -> int:
        minute = self._clock.now() // 60_000
        since, used = self._weights.get(name, (minute, 0))
        used = used + weight if since == minute else weight
        self._weights[name] = (minute, used)
        return used

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_CONTROL):
            return await handler(request)
        name, path = self._site(request.path)
        record = Request(name, request.method, path, dict(request.query))
        self._log.append(record)
        _record.set(record)
        began = time.perf_counter()
        fault = self._faults.meet(name, path)
        _fault.set(fault or _NO_FAULT)
        response: web.StreamResponse | None
        if fault is None:
            response = await self._answer(request, handler, record)
        else:
            response = await self._misbehave(fault, request, handler, record)
        if record.ms is None:
            record.ms = _since(began)
        if response is None:
            if request.transport is not None:
                request.transport.close()
            return web.Response()
        record.status = response.status
        return response

    async def _misbehave(
        self, fault: Fault, request: web.Request, handler: Handler, record: Request
    ) -> web.StreamResponse | None:
        """Return the answer that ``fault`` makes of it; None is a connection that is dropped."""
        if fault.latency:
            await self._wait(fault.latency)
        if fault.hang:
            await self._stopping.wait()
            return None
        if fault.drop == "request":
            return None
        if fault.status is None:
            whole: web.StreamResponse = await self._answer(request, handler, record)
        else:
            whole = _json(self._error(record.exchange, fault.status), fault.status, {})
        if fault.retry_after is not None:
            whole.headers["Retry-After"] = f"{fault.retry_after:g}"
        if not isinstance(whole, web.Response):
            return whole
        if fault.drop == "body":
            await _half(request, whole)
            return None
        if fault.body:
            _spoil(fault, whole)
        return whole

    async def _answer(
        self, request: web.Request, handler: Handler, record: Request
    ) -> web.StreamResponse:
        film = self._films.get(record.exchange)
        if film is not None and "Upgrade" not in request.headers:
            now = self._clock.now() - round(_fault.get().stale * 1000)
            recorded = film.answer(record.path, record.query, now)
            if recorded is not None:
                status, body = recorded
                return web.Response(text=body, status=status, content_type="application/json")
        try:
            return await handler(request)
        except web.HTTPException as error:
            told = self._error(record.exchange, error.status) or {"error": error.reason}
            return _json(told, error.status, {})

    def _error(self, name: str, status: int) -> object:
        return DIALECTS[name].error(status) if name in DIALECTS else {}

    def _site(self, path: str) -> tuple[str, str]:
        """Return whose path it is, and the path as the exchange itself knows it."""
        for name in self._films:
            prefix = self.prefix(name)
            if not prefix or path.startswith(prefix + "/"):
                return name, path.removeprefix(prefix)
        found = [
            (len(prefix), name)
            for name, dialect in DIALECTS.items()
            for prefix in dialect.prefixes
            if not self._films and (path == prefix or (prefix != "/" and path.startswith(prefix)))
        ]
        return (max(found)[1] if found else "", path)

    async def _wait(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _info(self, _request: web.Request) -> web.StreamResponse:
        names = list(self._films or DIALECTS)
        return _json({"now": self._clock.now(), "exchanges": names}, 200, {})

    async def _requests(self, _request: web.Request) -> web.StreamResponse:
        return _json([asdict(record) for record in self._log.copy()], 200, {})

    async def _list_sockets(self, _request: web.Request) -> web.StreamResponse:
        return _json([asdict(record) for record in self.sockets.records.copy()], 200, {})

    def forget(self) -> None:
        """Count the weight of requests from nothing on."""
        self._weights.clear()

    async def _forget(self, _request: web.Request) -> web.StreamResponse:
        self._log.clear()
        return web.Response(status=204)

    async def _list_faults(self, _request: web.Request) -> web.StreamResponse:
        return _json([asdict(fault) for fault in self._faults.list()], 200, {})

    async def _add_fault(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        try:
            if text.lstrip().startswith("{"):
                fault = self._faults.add(Fault.from_mapping(json.loads(text)))
            else:
                fault = self._faults.add(text.strip())
        except ValueError as error:
            return _json({"error": str(error)}, 400, {})
        return _json(asdict(fault), 201, {})

    async def _clear_faults(self, _request: web.Request) -> web.StreamResponse:
        self._faults.clear()
        return web.Response(status=204)


def _raw(reel: Reel, echoes: Echoes, _call: Call) -> Session:
    return RawSession(reel, echoes)


def _since(began: float) -> float:
    return (time.perf_counter() - began) * 1000


def _json(body: object, status: int, headers: dict[str, str]) -> web.Response:
    text = json.dumps(body, separators=(",", ":"))
    return web.Response(text=text, status=status, headers=headers, content_type="application/json")


def _spoil(fault: Fault, response: web.Response) -> None:
    body = response.body
    whole = body if isinstance(body, bytes) else b""
    if fault.body == "html":
        response.content_type = "text/html"
        response.body = _HTML.format(response.reason).encode()
    elif fault.body == "empty":
        response.body = b""
    elif fault.body == "truncated":
        response.body = whole[: len(whole) // 2]
    else:
        response.body = whole.replace(b":", b"=", 1).replace(b"[", b"<", 1)


async def _half(request: web.Request, whole: web.Response) -> None:
    """Announce the whole body, and send the first half of it."""
    body = whole.body if isinstance(whole.body, bytes) else b""
    cut = web.StreamResponse(status=whole.status, headers=whole.headers)
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
