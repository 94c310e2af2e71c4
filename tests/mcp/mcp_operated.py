"""Server processes as an operator sees them: their log, line by line, and their certificate."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcp_doors import COMMAND, PATIENCE, environment

_SERVING = re.compile(r"serving (https?://[^\s\"]+/mcp)")


@dataclass
class Operated:
    """A server process."""

    process: asyncio.subprocess.Process
    url: str = ""
    lines: list[str] = field(default_factory=list)
    """Its output on stderr."""

    @property
    def port(self) -> int:
        """Its port."""
        return urlsplit(self.url).port or 0

    @property
    def records(self) -> list[dict[str, Any]]:
        """Its log; fails if a line is not JSON."""
        return [json.loads(line) for line in self.lines]

    @property
    def calls(self) -> list[dict[str, Any]]:
        """The calls in its log."""
        return [one for one in self.records if one["logger"] == "marketdata_mcp.calls"]

    async def ends(self) -> int:
        """Stop it, and return its exit status."""
        if self.process.returncode is None:
            self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@asynccontextmanager
async def operated(
    home: Path, *arguments: str, program: str | None = None, **variables: str
) -> AsyncIterator[Operated]:
    """Start a server, or a `program` that calls `marketdata_mcp.main` itself."""
    command = [str(COMMAND)] if program is None else [sys.executable, "-c", program]
    options = arguments if "--http" in arguments else ("--http", "127.0.0.1:0", *arguments)
    process = await asyncio.create_subprocess_exec(
        *command,
        *options,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=environment(home, **variables),
        limit=1 << 20,
    )
    server = Operated(process)
    serves = asyncio.Event()

    async def read() -> None:
        assert process.stderr is not None
        async for line in process.stderr:
            server.lines.append(line.decode().removesuffix("\n"))
            if found := _SERVING.search(server.lines[-1]):
                server.url = found[1]
                serves.set()
        serves.set()

    reading = asyncio.create_task(read())
    try:
        await asyncio.wait_for(serves.wait(), PATIENCE)
        assert server.url, server.lines
        yield server
    finally:
        await server.ends()
        await reading


def certificate(folder: Path, password: bytes | None = None) -> tuple[Path, Path]:
    """Make a certificate for the loopback, and its key; return their files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "marketdata")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .sign(key, hashes.SHA256())
    )
    kept = (
        serialization.NoEncryption()
        if password is None
        else serialization.BestAvailableEncryption(password)
    )
    pem = serialization.Encoding.PEM
    folder.mkdir(parents=True, exist_ok=True)
    files = folder / "cert.pem", folder / "key.pem"
    files[0].write_bytes(made.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, kept))
    return files
