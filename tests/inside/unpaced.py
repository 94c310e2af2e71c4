"""Requests and messages without the budgets that exchanges are to be spared by."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from marketdata._exchanges.connector import Connector


async def _throttle(self: Any, cost: Any = None) -> None:
    """Stand in for the request budget."""


def requests(patch: pytest.MonkeyPatch) -> None:
    """Make the requests of this process without a budget."""
    patch.setattr(Connector, "throttle", _throttle)


def messages(patch: pytest.MonkeyPatch) -> None:
    """Send the messages of this process's streams without a budget."""
    from marketdata._exchanges.sockets import StreamConnector

    line = StreamConnector.client

    def client(self: Any, url: str) -> Any:
        made = line(self, url)
        made.throttle = partial(_throttle, made)
        return made

    patch.setattr(StreamConnector, "client", client)
