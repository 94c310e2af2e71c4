"""Logs in lines of JSON, with the id of the request and without secrets."""

from __future__ import annotations

import logging
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from marketdata_mcp.service.bounds import request_id
from marketdata_mcp.service.log_writer import LogWriter
from marketdata_mcp.service.observe import Observed

__all__ = ["CallLog", "quiet", "write_json"]

_NOISY = ("mcp.server.sse", "mcp.server.transport_security")
"""Loggers that log the text of clients."""
_STRANGERS = ("Invalid HTTP request received.", "Unsupported upgrade request.")
"""uvicorn's messages about malformed requests, which anyone can cause in any number."""


class _Lines(JsonFormatter):
    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        name = request_id.get()
        if name is not None:
            log_data["requestId"] = name


def write_json(level: int) -> None:
    """Write all logs to stderr as JSON."""
    handler = LogWriter()
    names = {"levelname": "level", "name": "logger"}
    handler.setFormatter(
        _Lines("%(levelname)s %(name)s %(message)s", rename_fields=names, timestamp="time")
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # They log each request to an exchange, and details of the protocol's layers.
    for name in ("httpx2", "mcp", "sse_starlette", "uvicorn"):
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def quiet() -> None:
    """Keep the text of clients out of logs; their responses have the same errors."""
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger("uvicorn.error").addFilter(_is_ours)


def _is_ours(record: logging.LogRecord) -> bool:
    return record.msg not in _STRANGERS


class CallLog:
    """Writes a line for each call."""

    def __init__(self) -> None:
        self._logger = logging.getLogger("marketdata_mcp.calls")

    def called(self, call: Observed) -> None:
        """Write one down."""
        if not self._logger.isEnabledFor(logging.INFO):
            return
        more: dict[str, Any] = {
            "tool": call.name,
            "code": call.code,
            "ms": round(call.seconds * 1000, 3),
        }
        if call.caller is not None and call.caller.tier is not None:
            more |= {"account": call.caller.account, "key": call.caller.key, "units": call.units}
        self._logger.info("call", extra=more)
