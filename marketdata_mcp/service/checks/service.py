"""Checks of a server's tiers, accounts, TLS and exposure."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from marketdata.doctor import Check
from marketdata.errors import MarketDataError
from marketdata_mcp.service.checks.found import Setup
from marketdata_mcp.service.listening import listen
from marketdata_mcp.setup.program import is_loopback

if TYPE_CHECKING:
    from marketdata.settings import Settings

_SOON = timedelta(days=21)


def policy(settings: Settings, file: Path | None) -> Check:
    """Read the current tiers."""
    from marketdata_mcp.service.access.places import policy_of

    try:
        tiers = ", ".join(policy_of(settings, file).tiers)
    except MarketDataError as error:
        return Check("fail", "policy", error.message.rstrip("."), "correct the file")
    return Check("ok", "policy", f"the tiers are {tiers}")


def accounts(settings: Settings) -> Check:
    """Check whether accounts can be read and calls be counted."""
    from marketdata_mcp.service.access.accounts import AwayError
    from marketdata_mcp.service.access.places import store_of

    async def look() -> int:
        store = store_of(settings)
        try:
            await store.check()
            return len(await store.accounts())
        finally:
            await store.close()

    try:
        found = asyncio.run(look())
    except AwayError:
        where = "Redis" if settings.redis else f"access.sqlite in {settings.folder()}"
        said = f"{where} cannot be read and written"
        return Check(
            "fail", "accounts", said, "make this user its owner, or restore it from a copy"
        )
    if found == 0:
        return Check("warn", "accounts", "there are none", "marketdata-mcp access account add NAME")
    return Check("ok", "accounts", f"there are {found}, and calls can be counted")


def tls(certificate: Path | None, key: Path | None) -> Check:
    """Check whether certificate and key match, and how long they are valid."""
    if certificate is None or key is None:
        return Check("fail", "tls", "one of two files is missing", "--tls-cert and --tls-key")
    import ssl

    from cryptography import x509

    try:
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
        key.read_bytes()
        # OpenSSL would ask for the password of an encrypted key, which the server cannot enter.
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, lambda: "")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            return Check("fail", "tls", f"{key} is not the key of {certificate}", "use its own key")
        said = f"{key} is not a key in PEM without a password"
        return Check("fail", "tls", said, "openssl pkey -in FILE -out NEW removes one")
    except OSError as error:
        said = f"{error.filename} cannot be read: {error.strerror}"
        return Check("fail", "tls", said, "make this user its owner")
    except ValueError:
        said = f"{certificate} is not a PEM certificate"
        return Check("fail", "tls", said, "openssl x509 -in FILE -out NEW converts it")
    ends = min(one.not_valid_after_utc for one in chain)
    begins = max(one.not_valid_before_utc for one in chain)
    now = datetime.now(UTC)
    if begins > now:
        said = f"{certificate} is not valid before {begins:%Y-%m-%d}"
        return Check("fail", "tls", said, "is the clock of this machine right?")
    if ends <= now:
        return Check("fail", "tls", f"{certificate} has expired on {ends:%Y-%m-%d}", "renew it")
    if ends - now < _SOON:
        return Check("warn", "tls", f"{certificate} expires on {ends:%Y-%m-%d}", "renew it")
    return Check("ok", "tls", f"{certificate} is valid until {ends:%Y-%m-%d}, and the key matches")


def port(host: str, port: int) -> Check:
    """Listen for a moment on the server's address."""
    try:
        listen(host, port).close()
    except OSError as error:
        reason = (error.strerror or "").partition(" (")[0]
        advice = "stop the program that listens there (perhaps this server), or use another port"
        return Check("fail", "address", f"cannot listen on {host}:{port}: {reason}", advice)
    return Check("ok", "address", f"{host}:{port} is free")


def exposure(setup: Setup, host: str) -> Check:
    """Check who can reach the server, and whether with a key and TLS."""
    if is_loopback(host):
        return Check("ok", "exposure", "only this machine can reach it")
    if not setup.access:
        if not setup.allow_remote:
            said = (
                f"it refuses to listen on {host}, where other machines could send requests without "
                "a key"
            )
            return Check("fail", "exposure", said, "--access, or --allow-remote NAME as well")
        return Check(
            "warn", "exposure", "everyone who can reach it may send requests", "--access wants keys"
        )
    if setup.tls_cert is None:
        said = "keys are sent unencrypted, unless a proxy in front of it speaks TLS"
        return Check("warn", "exposure", said, "--tls-cert and --tls-key, or see deploy/")
    return Check("ok", "exposure", "a key is required, and TLS encrypts it")
