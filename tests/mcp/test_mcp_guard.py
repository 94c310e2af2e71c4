"""The undocumented parts of uvicorn that the connection guard relies on."""

import hashlib
import inspect
from importlib import metadata
from pathlib import Path

import pytest
import uvicorn
from packaging.requirements import Requirement
from uvicorn.protocols.http import h11_impl, httptools_impl

from marketdata_mcp.service import guard

RELIED_ON = (
    "connection_made",
    "connection_lost",
    "eof_received",
    "data_received",
    "on_message_begin",
    "on_header",
    "on_headers_complete",
    "on_message_complete",
    "on_response_complete",
    "timeout_keep_alive_handler",
    "pause_writing",
    "resume_writing",
    "shutdown",
)
"""Methods that `SlowClientGuard` overrides."""

READ = {
    "0.54.0": {
        "h11": "46488e165015f6f1",
        "httptools": "70e7393260abf01c",
    }
}
"""Versions of uvicorn whose source was read, and what it hashes to.

Where this fails for a newer one: read what has changed in these methods and in
`RequestResponseCycle`, compare with `marketdata_mcp/service/guard.py`, and add the version here.
"""

PROTOCOLS = {
    "h11": (h11_impl.H11Protocol, h11_impl.RequestResponseCycle),
    "httptools": (httptools_impl.HttpToolsProtocol, httptools_impl.RequestResponseCycle),
}


@pytest.mark.parametrize("parser", PROTOCOLS)
def test_the_reviewed_source_is_the_installed_one(parser: str) -> None:
    protocol, cycle = PROTOCOLS[parser]
    source = "".join(inspect.getsource(one) for one in (protocol, cycle))
    found = hashlib.sha256(source.encode()).hexdigest()[:16]
    known = READ.get(uvicorn.__version__, {}).get(parser)
    assert found == known, f"uvicorn {uvicorn.__version__}, {parser}: {found}; see READ"


def test_every_overridden_method_exists() -> None:
    own = inspect.getsource(guard)
    overridden = {name for name in RELIED_ON if f"def {name}(" in own}
    assert overridden == set(RELIED_ON)
    for name in RELIED_ON:
        assert hasattr(httptools_impl.HttpToolsProtocol, name), name
        if not name.startswith("on_") or name == "on_response_complete":
            assert hasattr(h11_impl.H11Protocol, name), name


def test_newer_versions_of_uvicorn_are_excluded() -> None:
    wanted = [Requirement(text) for text in metadata.requires("ccxt-marketdata") or ()]
    uvicorns = [one.specifier for one in wanted if one.name == "uvicorn"]
    assert uvicorns
    newest = max(READ)
    major, minor, _ = newest.split(".")
    for specifier in uvicorns:
        assert specifier.contains(newest)
        assert not specifier.contains(f"{major}.{int(minor) + 1}.0")


def test_nothing_else_subclasses_private_classes() -> None:
    package = Path(guard.__file__).parents[1]
    users = [
        one.name
        for one in package.rglob("*.py")
        if "uvicorn.protocols" in one.read_text() and one != Path(guard.__file__)
    ]
    assert users == []
