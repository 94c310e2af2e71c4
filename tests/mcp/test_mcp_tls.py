"""TLS, and the addresses to listen on: conflicting options are refused in one line."""

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2
import pytest
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_doors import COMMAND, ERAS, PATIENCE, content, environment, finish
from mcp_loopback import TICKER, Peer, ask, connected, exchange, get
from mcp_operated import Operated, certificate, operated

HTTP = ("--http", "127.0.0.1:0")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate and its key."""
    return certificate(tmp_path / "tls")


def _options(files: tuple[Path, Path]) -> tuple[str, ...]:
    return ("--tls-cert", str(files[0]), "--tls-key", str(files[1]))


async def _secured(server: Operated, trusted: ssl.SSLContext) -> Peer:
    return Peer(*await asyncio.open_connection("127.0.0.1", server.port, ssl=trusted))


def _run(home: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    # Without a terminal, as for a service: nobody can be asked for a password.
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment(home),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE,
        start_new_session=True,
    )


# ---------------------------------------------------------------------- TLS


@pytest.mark.parametrize("era", ERAS)
def test_the_sdks_client_connects(home: Path, files: tuple[Path, Path], era: str) -> None:
    trusted = ssl.create_default_context(cafile=str(files[0]))

    async def work() -> None:
        async with operated(home, "--sim", *_options(files)) as server:
            assert server.url.startswith("https://127.0.0.1:")
            async with (
                httpx2.AsyncClient(verify=trusted) as http,
                Client(streamable_http_client(server.url, http_client=http), mode=era) as client,
            ):
                answered = await client.call_tool("get_ticker", TICKER["arguments"])
                assert content(answered)["pair"] == "BTC/USDT"

    finish(work())


def test_unencrypted_connections_are_closed_without_a_log_line(
    home: Path, files: tuple[Path, Path]
) -> None:
    trusted = ssl.create_default_context(cafile=str(files[0]))
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname = False
    old.verify_mode = ssl.CERT_NONE
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("AES128-SHA")

    async def work() -> None:
        async with operated(home, "--sim", "--log-json", *_options(files)) as server:
            for sent in (get("/healthz"), b"\x16\x03\x01\x02\x00\x01", 100 * b"\xff", b""):
                async with connected(server.port) as peer:
                    peer.writer.write(sent)
                    peer.writer.write_eof()
                    await peer.is_closed()
            for context in (ssl.create_default_context(), old):
                with pytest.raises((ssl.SSLError, ConnectionError)):
                    await _secured(server, context)
            peer = await _secured(server, trusted)
            assert (await peer.asks(get("/healthz"))).status == 200
            peer.writer.transport.abort()
            assert await server.ends() == 0
        assert [one for one in server.records if one["logger"] != "marketdata_mcp"] == []

    finish(work())


def test_it_ends_cleanly_with_clients_connected(home: Path, files: tuple[Path, Path]) -> None:
    trusted = ssl.create_default_context(cafile=str(files[0]))

    async def work() -> None:
        async with operated(home, "--sim", *_options(files)) as server, connected(server.port):
            peers = [await _secured(server, trusted) for _ in range(3)]
            for peer in peers:
                assert (await peer.asks(ask("tools/call", **TICKER))).status == 200
            peers[1].writer.write(get("/healthz")[:20])
            peers[2].writer.write(
                ask("subscriptions/listen", notifications={"resourcesListChanged": True})
            )
            await peers[2].reader.readuntil(b"acknowledged")
            assert await server.ends() == 0
            for peer in peers:
                peer.writer.transport.abort()
        assert len(server.lines) == 1, server.lines

    finish(work())


def _missing(folder: Path) -> tuple[Path, Path]:
    return folder / "nothing.pem", folder / "nothing.key"


def _of_another(folder: Path) -> tuple[Path, Path]:
    return certificate(folder / "one")[0], certificate(folder / "other")[1]


def _no_key(folder: Path) -> tuple[Path, Path]:
    return (certificate(folder)[0],) * 2


def _garbage(folder: Path) -> tuple[Path, Path]:
    (folder / "garbage").write_bytes(bytes(range(256)))
    return (folder / "garbage",) * 2


def _folder(folder: Path) -> tuple[Path, Path]:
    return folder, certificate(folder)[1]


def _with_a_password(folder: Path) -> tuple[Path, Path]:
    return certificate(folder, b"open sesame")


@pytest.mark.parametrize(
    "make", [_missing, _of_another, _no_key, _garbage, _folder, _with_a_password]
)
def test_unusable_files_are_one_line_and_2(
    home: Path, tmp_path: Path, make: Callable[[Path], tuple[Path, Path]]
) -> None:
    done = _run(home, *HTTP, "--sim", *_options(make(tmp_path)))
    assert done.returncode == 2
    assert done.stderr.startswith("marketdata-mcp: ")
    assert str(tmp_path) in done.stderr
    assert done.stderr.count("\n") == 1, done.stderr


# ---------------------------------------------------------------------- who may ask


@pytest.mark.parametrize("host", ["0.0.0.0:0", "[::]:0", "10.1.2.3:0", "data.example:80"])
def test_it_refuses_to_listen_where_anybody_could_connect(home: Path, host: str) -> None:
    done = _run(home, "--sim", "--http", host)
    assert done.returncode == 2
    assert done.stderr.startswith("marketdata-mcp: refuses to listen on ")
    assert "--access" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("options", [("--access",), ("--allow-remote", "data.example")])
def test_allow_remote_permits_it(tmp_path: Path, options: tuple[str, ...]) -> None:
    async def work() -> None:
        async with operated(tmp_path, "--http", "0.0.0.0:0", "--sim", *options) as server:
            assert (await exchange(server.port, get("/healthz"))).status == 200
            expected = 401 if options == ("--access",) else 200
            assert (await exchange(server.port, ask("tools/list"))).status == expected

    finish(work())


WRONG: list[tuple[str, ...]] = [
    ("--access",),
    ("--allow-remote", "data.example"),
    ("--redis", "redis://127.0.0.1:6379/0"),
    ("--sse",),
    ("--tls-cert", "cert.pem", "--tls-key", "key.pem"),
    ("--tls-key", "key.pem"),
    ("--policy", "policy.toml"),
    (*HTTP, "--policy", "policy.toml"),
    (*HTTP, "--tls-cert", "cert.pem"),
    (*HTTP, "--tls-key", "key.pem"),
]


@pytest.mark.parametrize("options", WRONG, ids=" ".join)
def test_conflicting_options_are_one_line_and_2(home: Path, options: tuple[str, ...]) -> None:
    done = _run(home, "--sim", *options)
    assert done.returncode == 2
    assert done.stderr.startswith("marketdata-mcp: --")
    assert " go" in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
