"""Metrics in the format of Prometheus."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from marketdata_mcp.service.observe import Observed

if TYPE_CHECKING:
    from marketdata import AsyncClient, Upstream
    from marketdata_mcp.served import Served

__all__ = ["Metrics"]

_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


_OF_UPSTREAM = (
    ("requests", "Requests made to exchanges by calls.", CounterMetricFamily),
    ("shared", "Calls that shared the response to another call's request.", CounterMetricFamily),
    (
        "failures",
        "Requests without a response, or with HTTP 5xx, 418 or 429.",
        CounterMetricFamily,
    ),
    ("under_way", "Calls that an exchange has not answered yet.", GaugeMetricFamily),
    ("waiting", "Calls that wait for the limit of concurrent calls.", GaugeMetricFamily),
)
"""A field of `Upstream`, its description, and its type of metric."""


class Metrics(Collector):
    """The counters of one process. No label names an account or a key."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._upstream: list[Upstream] = []
        self.registry.register(self)
        self._calls = Counter(
            "marketdata_mcp_calls",
            "Calls by tool and by how they ended: OK, CANCELLED or an error code.",
            ["tool", "code"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "marketdata_mcp_call_seconds",
            "How long calls took, by tool.",
            ["tool"],
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self._units = Counter(
            "marketdata_mcp_units", "Units charged, by tier.", ["tier"], registry=self.registry
        )
        self._refused = Counter(
            "marketdata_mcp_refused",
            "Requests refused before the protocol saw them, by error code.",
            ["code"],
            registry=self.registry,
        )
        self._under_way = Gauge(
            "marketdata_mcp_requests_under_way",
            "HTTP requests under way, streams included.",
            registry=self.registry,
        )
        self._watches = Gauge(
            "marketdata_mcp_watches", "Watches that callers hold.", registry=self.registry
        )
        self._streams = Gauge(
            "marketdata_streams",
            "Streams that run, by exchange, kind and state.",
            ["exchange", "kind", "state"],
            registry=self.registry,
        )

    def called(self, call: Observed) -> None:
        """Count a finished call."""
        self._calls.labels(call.name, call.code).inc()
        self._seconds.labels(call.name).observe(call.seconds)
        if call.units and call.caller is not None:
            self._units.labels(call.caller.tier).inc(call.units)

    def refused(self, code: str) -> None:
        """Count a request that was refused before the protocol."""
        self._refused.labels(code).inc()

    def count_requests(self, under_way: Callable[[], int]) -> None:
        """Set the function that returns the number of requests in flight."""
        self._under_way.set_function(under_way)

    def text(self, served: Served) -> bytes:
        """Return all metrics as text."""
        self._watches.set(len(served.watches.lives))
        self._look_at_streams(served.client)
        self._upstream = served.client.upstream()
        return generate_latest(self.registry)

    def collect(self) -> Iterator[Metric]:
        """Return the metrics of exchanges (a collector's method)."""
        for name, about, kind in _OF_UPSTREAM:
            family = kind(f"marketdata_upstream_{name}", about, labels=["exchange"])
            for one in self._upstream:
                family.add_metric([one.exchange], getattr(one, name))
            yield family
        state = GaugeMetricFamily(
            "marketdata_upstream_breaker_open",
            "1 if an exchange kept failing and gets no requests, 0 otherwise.",
            labels=["exchange"],
        )
        budget = GaugeMetricFamily(
            "marketdata_upstream_budget_used_ratio",
            "Share of an exchange's request budget that is used, by all who share it.",
            labels=["exchange"],
        )
        for one in self._upstream:
            state.add_metric([one.exchange], one.breaker != "closed")
            if one.budget_used is not None:
                budget.add_metric([one.exchange], one.budget_used)
        yield from (state, budget)

    def _look_at_streams(self, client: AsyncClient) -> None:
        self._streams.clear()
        for stream in client.streams():
            self._streams.labels(stream.exchange, stream.kind, stream.state).inc()
