"""Traces by OpenTelemetry: the protocol's SDK makes a span of each message, this sends them.

OpenTelemetry's own variables say where to and how.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from marketdata.errors import MissingExtraError

__all__ = ["export_traces"]


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
    return provider.shutdown
