"""Sends concurrent commands to Redis together.

Otherwise a server with a thousand calls in flight would wait for a thousand connections in turn,
each of which costs more than the command. Commands of some turns of the event loop are sent
together, and those that arrive meanwhile are sent together after them. So a command costs less the
more there are.

Commands of calls that have begun are sent before those of new calls. Otherwise a thousand calls
would be in progress at once, and need memory.

The connection is kept, because taking one from a pool and returning it costs as much as a command.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, TypeAlias

from redis.asyncio import ConnectionPool
from redis.asyncio.connection import AbstractConnection
from redis.exceptions import RedisError, ResponseError

from marketdata_mcp.service.access.patience import others_come, within

__all__ = ["Batches"]

_AT_ONCE = 64
"""Maximum commands sent together: their callers continue in one turn of the event loop."""


_Question: TypeAlias = tuple[tuple[Any, ...], asyncio.Future[Any]]
_Waiting: TypeAlias = deque[_Question]


class Batches:
    """Sends commands to one Redis, for any number of callers on one event loop."""

    def __init__(self, pool: ConnectionPool, seconds: float) -> None:
        """`pool` makes the connection; `seconds` is the time limit, including connecting."""
        self._pool = pool
        self._seconds = seconds
        self._connection: AbstractConnection | None = None
        self._first: _Waiting = deque()
        self._waiting: _Waiting = deque()
        self._asking: asyncio.Task[None] | None = None

    async def ask(self, *command: Any, first: bool = False) -> Any:
        """Send a command, before others if it is `first`, and return its reply.

        Raises RedisError, OSError or TimeoutError.
        """
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        (self._first if first else self._waiting).append((command, answer))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answer

    async def _ask_all(self) -> None:
        try:
            while self._first or self._waiting:
                await others_come()
                await self._ask(self._taken())
        finally:
            self._asking = None

    def _taken(self) -> list[_Question]:
        """Take the next commands to send."""
        queues = [self._first] * len(self._first) + [self._waiting] * len(self._waiting)
        return [queue.popleft() for queue in queues[:_AT_ONCE]]

    async def _ask(self, batch: list[_Question]) -> None:
        found: list[Any]
        try:
            found = await within(self._seconds, self._sent([command for command, _ in batch]))
        except (RedisError, OSError) as error:
            if isinstance(error, TimeoutError):
                # Later commands have waited as long, and each batch would wait as long again.
                batch = [*batch, *self._first, *self._waiting]
                self._first.clear()
                self._waiting.clear()
            found = [error] * len(batch)
        except BaseException:
            for _, answer in batch:
                answer.cancel()
            raise
        for (_, answer), one in zip(batch, found, strict=True):
            if answer.done():  # its caller was cancelled
                continue
            if isinstance(one, Exception):
                answer.set_exception(one)
            else:
                answer.set_result(one)

    async def _sent(self, commands: list[tuple[Any, ...]]) -> list[Any]:
        if self._connection is None:
            self._connection = self._pool.make_connection()  # type: ignore[no-untyped-call]
        connection = self._connection
        await self._pool.ensure_connection(connection)
        # After an error or a cancellation, disconnect, so that no caller gets another's reply.
        await connection.send_packed_command(connection.pack_commands(commands))
        return [await _answer(connection) for _ in commands]

    async def close(self) -> None:
        """Ask no more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])
        while self._first or self._waiting:
            for _, answer in self._taken():
                answer.cancel()
        if self._connection is not None:
            await self._connection.disconnect()


async def _answer(connection: AbstractConnection) -> Any:
    """Read the next reply; an error reply is returned, too."""
    try:
        return await connection.read_response()
    except ResponseError as error:
        return error
