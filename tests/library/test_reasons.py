"""Why an exchange cannot be reached: a word for programs, a message, and no secret."""

from __future__ import annotations

import datetime
import errno
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

import marketdata as md
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway

FOUR = ("binance", "kraken", "okx", "coinbaseexchange")
SECRET = "Pw3-canary"


def refusal(client: md.Client) -> md.ExchangeUnavailableError:
    with pytest.raises(md.ExchangeUnavailableError) as caught:
        client.ticker("BTC/USDT")
    assert SECRET not in repr(caught.value) + str(caught.value.to_dict())
    return caught.value


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@contextmanager
def https(folder: Path) -> Iterator[tuple[str, Path]]:
    """A server with an untrusted certificate; yields its URL and the certificate."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                taken, _ = listener.accept()
            except OSError:
                return
            with taken, suppress(OSError):
                context.wrap_socket(taken, server_side=True).close()

    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serve, args=(listener,))
    thread.start()
    try:
        yield f"https://127.0.0.1:{listener.getsockname()[1]}", file
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("number", "retryable"), [(socket.EAI_NONAME, False), (socket.EAI_AGAIN, True)]
)
def test_a_name_that_is_not_resolved(
    sim: SimulatedExchange,
    connect: Factory,
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    retryable: bool,
) -> None:
    def getaddrinfo(*_: Any, **__: Any) -> Any:
        raise socket.gaierror(number, "upstream text")

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    client = connect(sim, endpoints={"binance": "http://binance.example"}, retries=2)
    error = refusal(client)
    assert (error.details["reason"], error.retryable) == ("name_not_resolved", retryable)
    assert error.details["attempts"] == (3 if retryable else 1)
    assert "Is this machine online?" in error.message
    assert "upstream" not in error.message


def test_a_refused_connection(connect: Factory, sim: SimulatedExchange) -> None:
    client = connect(sim, endpoints={"binance": f"http://127.0.0.1:{closed_port()}"}, retries=1)
    error = refusal(client)
    assert (error.details["reason"], error.retryable) == ("refused", True)
    assert error.details["attempts"] == 2
    assert "refuses the connection" in error.message


def test_an_untrusted_certificate(
    connect: Factory, sim: SimulatedExchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with https(tmp_path) as (url, _), https(other) as (_, elsewhere):
        error = refusal(connect(sim, endpoints={"binance": url}, retries=2))
        assert (error.details["reason"], error.retryable) == ("certificate_not_trusted", False)
        assert error.details["attempts"] == 1
        assert "set SSL_CERT_FILE to its certificate" in error.message
        monkeypatch.setenv("SSL_CERT_FILE", str(elsewhere))
        error = refusal(connect(sim, endpoints={"binance": url}))
        assert f"certificates in SSL_CERT_FILE ({elsewhere}) is its" in error.message


def test_a_port_without_tls(connect: Factory, sim: SimulatedExchange) -> None:
    url = sim.url.replace("http://", "https://")
    error = refusal(connect(sim, endpoints={"binance": url}))
    assert (error.details["reason"], error.retryable) == ("tls_failed", True)


@pytest.mark.parametrize(
    ("name", "scheme"), [("HTTP_PROXY", "http"), ("http_proxy", "http"), ("HTTPS_PROXY", "https")]
)
def test_an_unreachable_proxy(
    connect: Factory,
    sim: SimulatedExchange,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    scheme: str,
) -> None:
    monkeypatch.setenv(name, f"http://somebody:{SECRET}@127.0.0.1:{closed_port()}")
    client = connect(sim, endpoints={"binance": f"{scheme}://binance.example"}, retries=2)
    error = refusal(client)
    assert (error.details["reason"], error.retryable) == ("proxy_failed", False)
    assert error.details["attempts"] == 1
    assert f"the proxy in {name} cannot be reached" in error.message


@pytest.mark.parametrize(
    ("status", "tunnel", "said", "retryable"),
    [
        (407, False, "rejected the user and password", False),
        (407, True, "rejected the user and password", False),
        (502, True, "responds with HTTP 502", True),
    ],
)
def test_a_proxy_that_refuses_requests(
    connect: Factory,
    sim: SimulatedExchange,
    monkeypatch: pytest.MonkeyPatch,
    status: int,
    said: str,
    retryable: bool,
    tunnel: bool,
) -> None:
    scheme = "https" if tunnel else "http"

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as taken:
            taken.recv(65536)
            taken.sendall(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        port = listener.getsockname()[1]
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", f"http://me:{SECRET}@127.0.0.1:{port}")
        client = connect(sim, endpoints={"binance": f"{scheme}://binance.example"})
        error = refusal(client)
        thread.join()
    assert (error.details["reason"], error.retryable) == ("proxy_failed", retryable)
    assert f"the proxy in {scheme.upper()}_PROXY {said}" in error.message


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        (403, "location_refused", "refuses requests from this location"),
        (451, "location_refused", "refuses requests from this location"),
        (500, "server_error", "is failing (HTTP 500)"),
        (503, "server_error", "is failing (HTTP 503)"),
    ],
)
def test_a_status_has_the_reason(
    gateway: Gateway, connect: Factory, status: int, reason: str, said: str
) -> None:
    client = connect(gateway)
    client.pairs()
    gateway.answer("*/24hr", {"msg": "upstream text"}, status=status)
    error = refusal(client)
    assert error.details["reason"] == reason
    assert error.details["httpStatus"] == status
    assert said in error.message
    assert "upstream" not in error.message


def test_too_many_requests_have_a_retry_after(gateway: Gateway, connect: Factory) -> None:
    client = connect(gateway)
    client.pairs()
    gateway.answer("*/24hr", {"code": -1003}, status=429, headers={"Retry-After": "7"})
    error = refusal(client)
    assert (error.details["reason"], error.retry_after) == ("rate_limited", 7.0)
    assert "wait 7 s" in error.message


def test_an_exchange_under_maintenance(connect: Factory, gateway: Gateway) -> None:
    client = connect(gateway, "okx")
    client.pairs()
    gateway.answer("*/ticker*", {"code": "50001", "msg": "upstream", "data": []})
    error = refusal(client)
    assert (error.details["reason"], error.retryable) == ("maintenance", True)
    assert error.message == "okx is under maintenance. Try later."


def test_a_hanging_exchange(connect: Factory, sim: SimulatedExchange) -> None:
    connect(sim).pairs()
    sim.faults.add(exchange="binance", path="*/24hr", hang=True)
    error = refusal(connect(sim, timeout=0.2))
    assert (error.details["reason"], error.retryable) == ("timed_out", True)


def test_several_unreachable_exchanges_share_one_reason(
    connect: Factory, sim: SimulatedExchange
) -> None:
    url = f"http://127.0.0.1:{closed_port()}"
    client = connect(sim, FOUR, endpoints=dict.fromkeys(FOUR, url))
    error = refusal(client)
    assert error.message == (
        "None of the exchanges could be reached: connections are refused (binance, kraken, okx, "
        "coinbaseexchange); `marketdata doctor` looks for the cause, HTTPS_PROXY sets a proxy, "
        "and --sim (sim=True) needs no internet."
    )
    assert error.details["reason"] == "refused"
    assert set(error.details["exchanges"]) == set(FOUR)


def test_several_unreachable_exchanges_with_two_reasons(
    connect: Factory, sim: SimulatedExchange
) -> None:
    sim.faults.add(exchange="kraken", path="*", status=451)
    url = f"http://127.0.0.1:{closed_port()}"
    client = connect(sim, ("binance", "kraken"), endpoints={"binance": url})
    error = refusal(client)
    assert (
        "connections are refused (binance); requests from this location are refused (kraken);"
        in (error.message)
    )
    assert "reason" not in error.details
    with pytest.raises(md.ExchangeUnavailableError, match=r"could be reached: conn.* \(binance\);"):
        client.consolidated_orderbook("BTC/USDT", exchanges=["binance", "kraken"])


# ------------------------------------------------------------------ settings that are wrong


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (f"me:{SECRET}@127.0.0.1:3128", "the scheme is missing"),
        ("127.0.0.1:3128", "the scheme is missing"),
        (f"socks5://me:{SECRET}@127.0.0.1:1080", "socks5 is not a supported kind of proxy"),
        (f"http://me:{SECRET}@127.0.0.1:99999", "the port is a number from 1 to 65535"),
        ("http://:3128", "the host is missing"),
    ],
)
def test_an_invalid_proxy_names_its_variable(
    connect: Factory,
    sim: SimulatedExchange,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    said: str,
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(md.InvalidParameterError) as caught:
        connect(sim).ticker("BTC/USDT")
    assert caught.value.message.startswith(f"{name}: {said}")
    assert caught.value.details == {"parameter": name}
    assert SECRET not in str(caught.value)


def test_the_simulated_exchange_ignores_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{closed_port()}")
    with md.Client(sim=True) as client:
        assert client.ticker("BTC/USDT").pair == "BTC/USDT"


@pytest.mark.parametrize(
    ("content", "said"), [(None, "there is no file"), ("no certificate", "has no PEM certificate")]
)
def test_an_invalid_file_of_certificates_names_its_variable(
    connect: Factory,
    sim: SimulatedExchange,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    content: str | None,
    said: str,
) -> None:
    file = tmp_path / "trusted.pem"
    if content is not None:
        file.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    client = connect(sim, endpoints={"binance": "https://binance.example"}, retries=2)
    with pytest.raises(md.InvalidParameterError) as caught:
        client.ticker("BTC/USDT")
    assert caught.value.message.startswith("SSL_CERT_FILE: ")
    assert said in caught.value.message
    assert caught.value.details["parameter"] == "SSL_CERT_FILE"


def test_no_route_to_the_network(
    connect: Factory, sim: SimulatedExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    from marketdata._exchanges.reasons import why_unreachable

    for number in (errno.ENETUNREACH, errno.EHOSTUNREACH):
        why = why_unreachable(OSError(number, "upstream"))
        assert why is not None
        assert (why.reason, why.retryable) == ("no_route", True)
