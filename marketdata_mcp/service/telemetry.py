"""Traces by OpenTelemetry: the protocol's SDK makes a span of each message, this sends them.

OpenTelemetry's own variables say where to and how.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from marketdata.errors import MissingExtraError

__all__ = ["export_traces"]

_LAST_SECONDS = 1.0
"""Seconds that the last spans have to get to where they are sent, should that be away."""


def export_traces(name: str, version: str) -> Callable[[], None]:
    """Have traces sent, and give what sends the last of them; raises `MissingExtraError`."""
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
        # It takes no bound on its time in all versions, and it tries again and again.
        thread = threading.Thread(target=provider.shutdown, daemon=True)
        thread.start()
        thread.join(_LAST_SECONDS)

    return finish
