"""The files in `deploy/`: the proxy in front of two real replicas, and the others."""

import json
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import mcp_fleet
import pytest
import yaml
from mcp import Client
from mcp.client.sse import sse_client
from mcp_doors import COMMAND, PATIENCE, content, finish, request
from mcp_fleet import DEPLOY, Fleet, free_port, replica
from mcp_live import BTC
from servers import NEEDS_NGINX, NGINX

import marketdata

ANALYZE = shutil.which("systemd-analyze")

needs_nginx = pytest.mark.skipif(NGINX is None, reason=NEEDS_NGINX)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Two replicas and the proxy before them."""
    with mcp_fleet.fleet(tmp_path_factory.mktemp("fleet")) as started:
        yield started


# ---------------------------------------------------------------------- the proxy


@pytest.mark.parametrize("era", ["auto", "legacy"])
def test_calls_pass_the_proxy(fleet: Fleet, era: str) -> None:
    async def work() -> dict[str, Any]:
        async with fleet.client(fleet.keys[0], era) as client:
            return content(await client.call_tool("get_ticker", {"pair": "BTC/USDT"}))

    assert finish(work())["pair"] == "BTC/USDT"


def test_a_key_is_always_routed_to_the_replica_with_its_watches(fleet: Fleet) -> None:
    async def work() -> None:
        for key in fleet.keys[:4]:
            async with fleet.client(key) as client:
                asked = {"kind": "ticker", "pair": "BTC/USDT"}
                watch = content(await client.call_tool("watch_start", asked))["watch"]
            for _ in range(3):  # a connection of its own each time
                async with fleet.client(key) as client:
                    content(await client.call_tool("watch_read", {"watch": watch}))
            async with fleet.client(key) as client:
                content(await client.call_tool("watch_stop", {"watch": watch}))

    finish(work())


def test_keys_are_spread_over_the_replicas(fleet: Fleet) -> None:
    async def work() -> None:
        async with fleet.http() as http:
            # Refused keys are spread like any others, and there can be as many as one likes.
            for number in range(40):
                headers = {"Authorization": f"Bearer nobody-{number}"}
                body = request(1, "tools/list")
                said = await http.post("/mcp", content=body, headers={**_FRAMED, **headers})
                assert said.status_code == 401

    before = [fleet.metric(one, "marketdata_mcp_refused_total") for one in (0, 1)]
    finish(work())
    after = [fleet.metric(one, "marketdata_mcp_refused_total") for one in (0, 1)]
    assert all(late > early for late, early in zip(after, before, strict=True))


_FRAMED = {
    "Content-Type": "application/json",
    "Accept": "application/json, text/event-stream",
    "MCP-Protocol-Version": "2026-07-28",
    "Mcp-Method": "tools/list",
}


def test_events_arrive_while_the_stream_is_open(fleet: Fleet) -> None:
    async def work() -> None:
        async with fleet.client(fleet.keys[0]) as client:
            uri = f"{BTC}/ticker"
            async with client.listen(resource_subscriptions=[uri]) as listening:
                for _ in range(2):
                    assert (await anext(listening)).uri == uri

    finish(work())


def test_the_sse_transport_passes_the_proxy(fleet: Fleet) -> None:
    def trusting(**options: Any) -> httpx2.AsyncClient:
        options.pop("verify", None)
        return httpx2.AsyncClient(verify=fleet.trusted, **options)

    async def work() -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {fleet.keys[1]}"}
        door = sse_client(f"{fleet.url}/sse", headers, httpx_client_factory=trusting)
        async with Client(door, mode="legacy") as client:
            return content(await client.call_tool("get_ticker", {"pair": "BTC/USDT"}))

    assert finish(work())["pair"] == "BTC/USDT"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/healthz", 200),
        ("/readyz", 404),
        ("/metrics", 404),
        ("/metrics/", 404),
        ("//metrics", 404),
        ("/mcp/../metrics", 404),
        ("/mcp%2f..%2fmetrics", 404),
        ("/messages/..%2fmetrics", 404),
        ("/messages/../metrics", 404),
        ("/", 404),
        ("/.well-known/oauth-protected-resource/mcp", 404),  # no issuer is set up
    ],
)
def test_only_public_paths_can_be_reached_from_outside(
    path: str, status: int, fleet: Fleet
) -> None:
    # By hand: clients would put the path in order first.
    host, port = fleet.url.removeprefix("https://").split(":")
    with (
        socket.create_connection((host, int(port)), PATIENCE) as plain,
        fleet.trusted.wrap_socket(plain, server_hostname=host) as connection,
    ):
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
        assert int(connection.recv(4096).split()[1]) == status


def test_a_large_body_is_refused(fleet: Fleet) -> None:
    async def work() -> None:
        async with fleet.http(fleet.keys[0]) as http:
            for size, statuses in [((1 << 18) + 1, {413}), (1 << 17, {400, 413})]:
                answer = await http.post("/mcp", content=b" " * size, headers=_FRAMED)
                assert answer.status_code in statuses

    finish(work())


def test_another_host_name_is_refused(fleet: Fleet) -> None:
    async def work() -> int:
        async with fleet.http(fleet.keys[0]) as http:
            headers = {**_FRAMED, "Host": "example.org"}
            answer = await http.post("/mcp", content=request(1, "tools/list"), headers=headers)
            return answer.status_code

    assert finish(work()) == 421


@needs_nginx
def test_a_stopped_replica_does_not_fail_calls(tmp_path: Path) -> None:
    async def work(fleet: Fleet) -> None:
        for key in fleet.keys:
            async with fleet.client(key) as client:
                content(await client.call_tool("get_ticker", {"pair": "BTC/USDT"}))

    with mcp_fleet.fleet(tmp_path) as fleet:
        finish(work(fleet))
        fleet.replicas[0][1].kill()
        fleet.replicas[0][1].wait()
        finish(work(fleet))
        fleet.nginx.send_signal(signal.SIGQUIT)
        warned = fleet.nginx.communicate(timeout=PATIENCE)[1].splitlines()
    assert warned
    assert all(" upstream" in line for line in warned)  # and of its configuration nothing


# ---------------------------------------------------------------------- the other files


def test_the_health_check_of_the_image_follows_readyz(home: Path) -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    found = re.search(r"^HEALTHCHECK .*CMD (\[.*\])$", text, re.MULTILINE)
    assert found
    check = json.loads(found[1])
    assert check[0] == "python"
    assert "/readyz" in check[-1]
    free = free_port()
    with ExitStack() as stack:
        url, _ = replica(home, stack)
        for place, code in [(url.split("/")[2], 0), (f"127.0.0.1:{free}", 1)]:
            line = [sys.executable, *(part.replace("127.0.0.1:8000", place) for part in check[1:])]
            done = subprocess.run(line, stderr=subprocess.DEVNULL, timeout=PATIENCE, check=False)
            assert done.returncode == code


def test_the_image_is_built_from_existing_files() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    assert not re.search(r":latest\b|^FROM [a-z]+$", text, re.MULTILINE)
    base = re.findall(r"^ARG PYTHON=\S+@sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert len(base) == 1
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:${PYTHON}"}
    root = DEPLOY.parent
    lines = re.findall(r"^COPY (?!--)(.*) \S+$", text, re.MULTILINE)
    sources = [part for line in lines for part in line.split()]
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text().split()
    for source in sources:
        assert (root / source).exists()
        assert f"!{source}" in ignored
    build = tomllib.loads((root / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    assert set(build["targets"]["wheel"]["only-include"]) <= set(sources)
    assert text.rindex("USER 10001") < text.index("ENTRYPOINT")


@pytest.mark.parametrize("file", ["Dockerfile", "compose.yaml", "marketdata-mcp.service"])
def test_the_options_exist(file: str) -> None:
    help_text = subprocess.run(
        [COMMAND, "--help"], capture_output=True, text=True, timeout=PATIENCE, check=True
    ).stdout
    known = set(re.findall(r"--[a-z-]+", help_text))
    text = (DEPLOY / file).read_text()
    if file == "marketdata-mcp.service":
        found = re.search(r"^ExecStart=\S+ (.*)$", text, re.MULTILINE)
        assert found
        used = {part for part in shlex.split(found[1]) if part.startswith("--")}
    elif file == "Dockerfile":
        found = re.search(r"^CMD (\[.*\])$", text, re.MULTILINE)
        assert found
        used = {part for part in json.loads(found[1]) if part.startswith("--")}
    else:
        lines = re.findall(r"^ +- (--[a-z-]+)", text, re.MULTILINE)
        used = set(lines)
    assert used >= {"--http", "--access"}
    assert used <= known


def test_the_compose_file_is_valid() -> None:
    document = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    services = document["services"]
    assert set(services) == {"marketdata-1", "marketdata-2", "redis", "proxy"}
    for service in services.values():
        image = service["image"]
        assert re.fullmatch(r"[a-z-]+:\d[\w.-]*(@sha256:[0-9a-f]{64})?", image)
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        # The image of the server itself says who runs it.
        user = "10001" if "build" in service else service["user"]
        assert int(user.partition(":")[0]) > 0
        assert set(service["networks"]) <= set(document["networks"])
        for volume in service.get("volumes", ()):
            source = volume.split(":")[0]
            if not source.startswith("./"):
                assert source in document["volumes"]
        assert ("ports" in service) is (service is services["proxy"])
    replica = services["marketdata-1"]
    assert replica["image"] == f"marketdata-mcp:{marketdata.__version__}"
    assert replica["build"] == {"context": "..", "dockerfile": "deploy/Dockerfile"}
    assert "appendonly" in " ".join(services["redis"]["command"])
    assert document["networks"]["back"] == {"internal": True}
    upstreams = re.findall(r"server (\S+):8000;", (DEPLOY / "nginx.conf").read_text())
    assert upstreams == ["marketdata-1", "marketdata-2"]


@pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze, which is not installed")
def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "marketdata-mcp.service").read_text()
    unit = tmp_path / "marketdata-mcp.service"
    unit.write_text(text.replace("/opt/marketdata/bin/marketdata-mcp", str(COMMAND)))
    line = [str(ANALYZE), "verify", str(unit)]
    done = subprocess.run(line, capture_output=True, text=True, timeout=PATIENCE, check=False)
    ours = [one for one in done.stderr.splitlines() if unit.name in one]
    assert (done.returncode, ours) == (0, [])
