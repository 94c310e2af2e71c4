"""A server that accepts tokens of an outside issuer: tiers by scope, discovery of the issuer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from access_doors import Desk, Server, bearer, call, request, send, serving
from access_issuer import AUDIENCE, Issuer, issuing
from mcp.client.auth.utils import (
    build_protected_resource_metadata_discovery_urls,
    extract_field_from_www_auth,
    extract_resource_metadata_from_www_auth,
    extract_scope_from_www_auth,
)
from mcp.shared.auth import ProtectedResourceMetadata

from marketdata_mcp.service.access.tiers import Policy

METADATA = "/.well-known/oauth-protected-resource"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with issuing() as running:
        yield running


@pytest.fixture(scope="module")
def server(issuer: Issuer, home: Path) -> Iterator[Server]:
    (home / "policy.toml").write_text(Policy(oauth=issuer.policy).to_toml())
    with serving(home, "--sim", "--sse", "--log-json") as started:
        yield started


def test_a_scope_gives_a_tier(server: Server, issuer: Issuer, name: str) -> None:
    for scope, tier in (
        ("md:free", "pioneer"),
        ("md:plus", "explorer"),
        ("md:pro", "hero"),
        ("md:pro md:free", "hero"),
        ("md:free md:plus openid", "explorer"),
    ):
        token = issuer.token(sub=name, scope=scope)
        assert call(server.url, token, "get_usage").content["tier"] == tier
    # The same account, whatever its scopes are.
    usage = call(server.url, issuer.token(sub=name), "get_usage").content
    assert usage["minute"]["used"] == 6
    assert (
        call(server.url, issuer.token(sub=f"{name}x"), "get_usage").content["minute"]["used"] == 1
    )


@pytest.mark.parametrize("scope", [None, "", "openid", "md:PRO", "md:pro-x", "hero"])
def test_a_token_without_a_scope(server: Server, issuer: Issuer, name: str, scope: str) -> None:
    reply = call(server.url, issuer.token(sub=name, scope=scope), "get_usage")
    assert (reply.status, reply.code) == (403, "FORBIDDEN")
    assert reply.error["details"]["scopes"] == ["md:free", "md:plus", "md:pro"]
    told = _answer(reply.headers["WWW-Authenticate"])
    assert extract_field_from_www_auth(told, "error") == "insufficient_scope"
    assert extract_scope_from_www_auth(told) == "md:free md:plus md:pro"


def _answer(header: str) -> httpx2.Response:
    return httpx2.Response(403, headers={"WWW-Authenticate": header})


def test_clients_find_the_issuer(server: Server, issuer: Issuer) -> None:
    for reply in (
        send(server.url, "tools/list"),
        send(server.url, "tools/list", headers=bearer("a.b.c")),
        send(server.url, "tools/list", headers=bearer(issuer.token(exp=1))),
        request(f"{server.root}/sse"),
    ):
        assert (reply.status, reply.code) == (401, "UNAUTHORIZED")
        told = _answer(reply.headers["WWW-Authenticate"])
        place = extract_resource_metadata_from_www_auth(told)
        assert place == f"https://data.example{METADATA}/md/mcp"
    # Where that leads, and where clients look that are not told.
    paths = {one.split("data.example")[1] for one in _discovery(place)}
    assert paths == {f"{METADATA}/md/mcp", METADATA}
    for path in (*paths, f"{METADATA}/mcp"):
        found = request(server.root + path)
        assert found.status == 200
        metadata = ProtectedResourceMetadata.model_validate_json(found.text)
        assert str(metadata.resource) == AUDIENCE
        assert [str(one).rstrip("/") for one in metadata.authorization_servers] == [issuer.url]
        assert metadata.scopes_supported == ["md:free", "md:pro", "md:plus"]
        assert metadata.bearer_methods_supported == ["header"]
        assert issuer.policy.jwks_url not in found.text


def _discovery(place: str | None) -> list[str]:
    found: list[str] = build_protected_resource_metadata_discovery_urls(place, AUDIENCE)
    return found


def test_a_subject_is_suspended(server: Server, issuer: Issuer, desk: Desk, name: str) -> None:
    token, other = issuer.token(sub=name), issuer.token(sub=f"{name}x")
    desk.do(lambda registry: registry.suspend(f"oauth:{name}"))
    reply = call(server.url, token, "get_usage")
    assert (reply.status, reply.code) == (403, "FORBIDDEN")
    assert "insufficient_scope" not in str(reply.headers)
    assert call(server.url, other, "get_usage").code == "OK"
    desk.do(lambda registry: registry.suspend(f"oauth:{name}", suspended=False))
    assert call(server.url, token, "get_usage").code == "OK"


def test_keys_and_tokens_are_different_accounts(
    server: Server, issuer: Issuer, desk: Desk, name: str
) -> None:
    key = desk.newcomer(name, "explorer")
    token = issuer.token(sub=name)
    watch = call(server.url, key, "watch_start", kind="ticker", pair="BTC/USDT").content["watch"]
    assert call(server.url, token, "watch_read", watch=watch).code == "INVALID_PARAMETER"
    assert call(server.url, token, "watch_list").content == {"watches": []}
    assert call(server.url, key, "watch_stop", watch=watch).code == "OK"
    assert call(server.url, token, "get_usage").content["week"]["used"] == 2
    assert call(server.url, key, "get_usage").content["week"]["used"] == 2


def test_no_token_is_anywhere(server: Server, issuer: Issuer, home: Path, name: str) -> None:
    good, bad = issuer.token(sub=name), issuer.token("attacker")
    replies = [call(server.url, token, "get_usage") for token in (good, bad, f"{good}x")]
    calls = [json.loads(line) for line in server.lines if f'"oauth:{name}"' in line]
    assert [(one["tool"], one["key"]) for one in calls] == [("get_usage", "an-agent")]
    held = "".join(str(one.headers) + one.text for one in replies) + "".join(server.lines)
    files = b"".join(file.read_bytes() for file in home.rglob("*") if file.is_file())
    for token in (good, bad):
        for part in token.split(".")[1:]:
            assert part not in held
            assert part.encode() not in files
