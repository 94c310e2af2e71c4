"""Traces for a collector with OTLP over HTTP."""

import asyncio
import gzip
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple

import pytest
from mcp_admin import command
from mcp_doors import COMMAND, ENVELOPE, PATIENCE, finish, running
from mcp_doors import request as line
from mcp_live import until
from mcp_loopback import HANDSHAKE, MODERN, VERSIONS, ask, exchange, message, post, with_headers
from mcp_operated import operated
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from raw_server import listening
from waiting import taking_at_most

CANARY = "CANARY5C4F1E"
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Span(NamedTuple):
    """A span and its sender."""

    name: str
    trace: str
    parent: str
    attributes: dict[str, str]
    service: dict[str, str]


class Collector:
    """The spans that a collector received."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.bodies: list[bytes] = []

    @property
    def spans(self) -> list[Span]:
        """All spans, in the order in which they came."""
        return [span for body in self.bodies for span in _spans(body)]

    def named(self, name: str) -> list[Span]:
        """Those of a name."""
        return [span for span in self.spans if span.name == name]


def _spans(body: bytes) -> Iterator[Span]:
    def named(pairs: Any) -> dict[str, str]:
        return {one.key: one.value.string_value for one in pairs}

    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = named(resource.resource.attributes)
        for scope in resource.scope_spans:
            for one in scope.spans:
                attributes = named(one.attributes)
                trace, parent = one.trace_id.hex(), one.parent_span_id.hex()
                yield Span(one.name, trace, parent, attributes, service)


@contextmanager
def _collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            is_packed = self.headers.get("Content-Encoding") == "gzip"
            collector.bodies.append(gzip.decompress(body) if is_packed else body)
            self.send_response(200 if self.path == "/v1/traces" else 404)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield collector
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize("variable", VARIABLES)
def test_calls_are_spans_that_continue_the_clients_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path))
    assert command("access", "account", "add", CANARY, "--tier", "hero")[0] == 0
    key = command("access", "key", "add", CANARY)[1].strip()
    meta = {**ENVELOPE, "traceparent": f"00-{TRACE}-{SPAN}-01", "tracestate": "a=b"}

    async def work(collector: Collector) -> None:
        url = collector.url + ("" if variable == VARIABLES[0] else "/v1/traces")
        settings = {variable: url, "OTEL_BSP_SCHEDULE_DELAY": "50", "OTEL_SERVICE_NAME": "shop"}
        async with operated(tmp_path, "--sim", "--access", **settings) as server:

            async def calls(version: str, **arguments: Any) -> None:
                params = {"name": "get_ticker", "arguments": arguments, "_meta": meta}
                body = message("tools/call", 7, **params)
                named = {"Mcp-Method": "tools/call", "Mcp-Name": "get_ticker"}
                asked = post(body, version=version, **(named if version == MODERN else {}))
                asked = with_headers(asked, Authorization=f"Bearer {key}")
                assert (await exchange(server.port, asked)).status == 200

            for version in VERSIONS:
                await calls(version, pair="BTC/USDT")
                await calls(version, pair=f"{CANARY}/USDT", exchange="binance")
                await calls(version, pair="BTC/USDT", window=CANARY)
            await until(lambda: len(collector.named("tools/call get_ticker")) == 6)
        for span in collector.named("tools/call get_ticker"):
            assert (span.trace, span.parent) == (TRACE, SPAN)
            assert span.attributes["mcp.method.name"] == "tools/call"
            assert span.attributes["gen_ai.tool.name"] == "get_ticker"
            assert span.attributes["mcp.protocol.version"] in (MODERN, HANDSHAKE)
            assert span.service["service.name"] == "shop"
            assert span.service["service.version"]
        # Neither what was asked, nor of whom, nor with what key.
        sent = b"".join(collector.bodies)
        for canary in (CANARY, CANARY.lower(), "USDT", key[4:14], key[15:]):
            assert canary.encode() not in sent

    with _collector() as collector:
        finish(work(collector))


def test_the_last_spans_are_sent_before_the_end(home: Path) -> None:
    async def work(collector: Collector) -> None:
        settings = {VARIABLES[0]: collector.url, "OTEL_BSP_SCHEDULE_DELAY": "60000"}
        async with operated(home, "--sim", **settings) as server:
            assert (await exchange(server.port, ask("tools/list"))).status == 200
            assert collector.spans == []
            assert await server.ends() == 0
        [span] = collector.named("tools/list")
        assert span.service["service.name"] == "marketdata-mcp"
        assert span.parent == ""

    with _collector() as collector:
        finish(work(collector))


def test_stdio_has_traces_too(home: Path) -> None:
    with (
        _collector() as collector,
        running([str(COMMAND), "--sim"], home, **{VARIABLES[0]: collector.url}) as process,
    ):
        out, err = process.communicate(line(1, "tools/list"), PATIENCE)
        assert (process.returncode, err) == (0, b"")
        assert json.loads(out)["result"]["tools"]
        assert len(collector.named("tools/list")) == 1


@pytest.mark.parametrize("is_there", [True, False])
def test_a_silent_collector_delays_nothing(home: Path, is_there: bool) -> None:
    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def work() -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # Nobody listens there as long as it is bound.
            async with listening(take) as silent:
                port = silent if is_there else closed.getsockname()[1]
                url = f"http://127.0.0.1:{port}"
                async with operated(home, "--sim", "--log-json", **{VARIABLES[0]: url}) as server:
                    for _ in range(3):
                        assert (await exchange(server.port, ask("tools/list"))).status == 200
                    with taking_at_most(3):
                        assert await server.ends() == 0
        assert not any("exc_info" in one for one in server.records)

    finish(work())


@pytest.mark.parametrize("is_wanted", [False, True])
def test_telemetry_is_imported_only_if_enabled(home: Path, is_wanted: bool) -> None:
    variables = {"PYTHONPROFILEIMPORTTIME": "1", "OTEL_SERVICE_NAME": "shop"}

    async def work(collector: Collector) -> None:
        more = {VARIABLES[0]: collector.url} if is_wanted else {}
        async with operated(home, "--sim", **variables, **more) as server:
            assert (await exchange(server.port, ask("tools/list"))).status == 200
            await server.ends()
        log = "\n".join(server.lines)
        assert "opentelemetry.trace" in log
        assert ("opentelemetry.sdk" in log) is is_wanted
        assert ("opentelemetry.exporter" in log) is is_wanted

    with _collector() as collector:
        finish(work(collector))
