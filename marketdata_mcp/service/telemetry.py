"""Sends the traces of OpenTelemetry: the protocol's SDK makes a span of each message.

OpenTelemetry's own variables configure it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from marketdata.errors import MissingExtraError

__all__ = ["export_traces"]

_LAST_SECONDS = 1.0
"""Maximum seconds to send the last spans if the collector cannot be reached."""


def export_traces(name: str, version: str) -> Callable[[], None]:
    """Start sending traces; return a function that sends the rest. Raises `MissingExtraError`."""
    try:
        from opentelemetry import trace
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise MissingExtraError("Sending traces", "telemetry") from None
    named = {"service.name": os.environ.get("OTEL_SERVICE_NAME", name), "service.version": version}
    provider = TracerProvider(resource=Resource.create(named))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)

    def finish() -> None:
        # Not all versions have a time limit for this, and it retries.
        thread = threading.Thread(target=provider.shutdown, daemon=True)
        thread.start()
        thread.join(_LAST_SECONDS)

    return finish
