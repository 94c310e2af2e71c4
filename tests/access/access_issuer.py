"""A token issuer on the loopback that can be down, slow or wrong."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from marketdata_mcp.service.access import tiers

AUDIENCE = "https://data.example/md/mcp"
SCOPES = {"md:free": "pioneer", "md:pro": "hero", "md:plus": "explorer"}


def private(name: str, kind: str = "EC") -> Any:
    """Return a private key, one for each name and kind."""
    return _made(name, kind)


@cache
def _made(_: str, kind: str) -> Any:
    if kind == "RSA":
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)
    if kind == "Ed25519":
        return ed25519.Ed25519PrivateKey.generate()
    return ec.generate_private_key(ec.SECP256R1())


def jwk(name: str, kind: str = "EC", **more: Any) -> dict[str, Any]:
    """Return the public part of a key as an issuer publishes it."""
    of = {"EC": ECAlgorithm, "RSA": RSAAlgorithm, "Ed25519": OKPAlgorithm}[kind]
    public: dict[str, Any] = of.to_jwk(private(name, kind).public_key(), as_dict=True)
    return {**public, "kid": name, "use": "sig", **more}


def encoded(part: bytes | dict[str, Any]) -> str:
    """Return a part of a token."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


class Issuer:
    """An issuer that runs."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.fetched: list[str] = []
        """The paths that were asked for."""
        self.jwks: Any = {"keys": [jwk("first")]}
        """What is published; bytes are sent as they are."""
        self.status = 200
        self.headers: dict[str, str] = {}
        self.loop: asyncio.Runner
        """For those who ask it, who may keep locks."""
        self.drip: float | None = None
        """Seconds between two bytes of the answer; None: all at once."""

    @property
    def policy(self) -> tiers.Issuer:
        """What a server has to know of it."""
        return tiers.Issuer(
            issuer=self.url, jwks_url=f"{self.url}/keys", audience=AUDIENCE, scopes=SCOPES
        )

    def claims(self, **more: Any) -> dict[str, Any]:
        """Return the claims of a good token; those that are None are left out."""
        now = int(time.time())
        claims = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "somebody",
            "iat": now,
            "exp": now + 300,
            "scope": "openid md:pro",
            "client_id": "an-agent",
            **more,
        }
        return {name: one for name, one in claims.items() if one is not None}

    def token(
        self,
        key: str = "first",
        kind: str = "EC",
        algorithm: str = "ES256",
        header: dict[str, Any] | None = None,
        **claims: Any,
    ) -> str:
        """Make a token, good unless something else is asked for."""
        headers = {"kid": key, "typ": "at+jwt", **(header or {})}
        return jwt.encode(self.claims(**claims), private(key, kind), algorithm, headers)


@contextmanager
def issuing() -> Iterator[Issuer]:
    """Run an issuer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            issuer.fetched.append(self.path)
            known = issuer.jwks
            body = known if isinstance(known, bytes) else json.dumps(known).encode()
            try:
                self.send_response(issuer.status)
                for name, value in issuer.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if issuer.drip is None:
                    self.wfile.write(body)
                else:
                    for byte in body:
                        self.wfile.write(bytes([byte]))
                        time.sleep(issuer.drip)
            except OSError:  # who asked has left
                self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        issuer = Issuer(f"http://127.0.0.1:{http.server_port}")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield issuer
        finally:
            issuer.drip = None
            http.shutdown()
            thread.join()
