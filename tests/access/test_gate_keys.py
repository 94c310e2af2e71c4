"""Callers: invalid and expired keys, and the number of keys of an account."""

from __future__ import annotations

import zlib

import pytest
from access_gate import Gated, Serve

from marketdata.errors import InvalidParameterError, QuotaExceededError, UnauthorizedError
from marketdata_mcp.callers import Caller
from marketdata_mcp.service.access import keys


def test_what_is_no_key_in_force(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        await server.newcomer("hero")
        shown, other = server.keys["alice"], keys.generate()[0]
        name, secret = shown[4:14], shown[15:47]
        wrong = [
            None,
            "",
            shown,
            "Bearer",
            "Bearer ",
            f"Basic {shown}",
            f"Bearer{shown}",
            f"Bearer {shown} {shown}",
            f"Bearer {shown},{shown}",
            f"Bearer {shown[:-1]}",
            f"Bearer {shown[:20]} {shown[20:]}",
            f"Bearer {shown[:20]}\t{shown[20:]}",
            f"Bearer {shown.upper()}",
            f'Bearer "{shown}"',
            "Bearer sk-abcdefghijklmnopqrstuvwxyz",
            "Bearer eyJhbGciOiJub25lIn0.e30.",
            f"Bearer {other}",
            f"Bearer {_shown(name, 'A' * 32)}",
            f"Bearer {_shown('a' * 10, secret)}",
            f"Bearer mdk_{'a' * 9000}",
            f"Bearer {keys.digest(secret)}",
            f"Bearer mdk_{name}_{keys.digest(secret)}",
        ]
        for header in wrong:
            with pytest.raises(UnauthorizedError) as refused:
                await server.gate.identify(header)
            said = str(refused.value.to_dict())
            assert secret not in said
            assert keys.digest(secret) not in said
        for header in (f"Bearer {shown}", f"bearer {shown}", f" BEARER  {shown} "):
            caller = await server.gate.identify(header)
            assert caller == Caller("alice", "hero", name)

    serve(work)


def test_an_unknown_key_and_a_wrong_secret_are_told_the_same(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        await server.newcomer("hero")
        await server.newcomer("hero", "mallory")
        await server.registry.suspend("mallory")
        ids = (server.keys["alice"][4:14], server.keys["mallory"][4:14], "a" * 10)
        said = set()
        for name in ids:
            with pytest.raises(UnauthorizedError) as refused:
                await server.gate.identify(f"Bearer {_shown(name, 'A' * 32)}")
            said.add(str(refused.value.to_dict()))
        assert len(said) == 1

    serve(work)


def test_keys_that_expire_are_rotated_or_revoked(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        registry, now = server.registry, server.now

        async def state(shown: str) -> str:
            try:
                return (await server.gate.identify(f"Bearer {shown}")).account
            except UnauthorizedError as error:
                return error.message.split(" is ")[1].split(".")[0]

        await registry.add_account("alice", "adventurer")
        short, kept = await registry.add_key("alice", "agent \x07\u202e7", lasts=60)
        assert kept.label == "agent 7"
        assert await state(short) == "alice"
        server.now += 59.9
        assert await state(short) == "alice"
        server.now = now + 60
        assert await state(short) == "expired"

        first, kept = await registry.add_key("alice", "laptop", lasts=3600)
        second, made = await registry.rotate(kept.id, keep=30)
        assert (made.label, made.expires_at) == ("laptop", server.now + 3600)
        assert [await state(first), await state(second)] == ["alice", "alice"]
        server.now += 30
        assert [await state(first), await state(second)] == ["expired", "alice"]
        third, made = await registry.rotate(second)  # the key itself does as well
        assert [await state(second), await state(third)] == ["revoked", "alice"]
        await registry.revoke(made.id)
        await registry.revoke(made.id)
        assert await state(third) == "revoked"
        server.now -= 1e6  # nobody's clock brings it back
        assert await state(third) == "revoked"

    serve(work)


def test_how_many_keys_an_account_has(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        registry = server.registry
        await registry.add_account("alice", "adventurer")
        made = [(await registry.add_key("alice"))[1].id for _ in range(3)]
        with pytest.raises(QuotaExceededError):
            await registry.add_key("alice")
        made[0] = (await registry.rotate(made[0]))[1].id
        with pytest.raises(QuotaExceededError):
            await registry.add_key("alice")
        await registry.revoke(made[0])
        # A key that has ended cannot be rotated into one more.
        with pytest.raises(InvalidParameterError, match="revoked"):
            await registry.rotate(made[0])
        made[0] = (await registry.add_key("alice"))[1].id
        with pytest.raises(QuotaExceededError):
            await registry.add_key("alice")
        assert sum(state == "active" for _, state in await registry.keys("alice")) == 3

    serve(work)


def test_accounts_of_tokens_get_no_keys(serve: Serve) -> None:
    async def work(server: Gated) -> None:
        assert (await server.registry.suspend("oauth:somebody")).suspended
        with pytest.raises(InvalidParameterError):
            await server.registry.add_key("oauth:somebody")
        with pytest.raises(InvalidParameterError):
            await server.registry.set_tier("oauth:somebody", "hero")
        for name in ("oauth:", "oauth:\udcff", "somebody", ""):
            with pytest.raises(InvalidParameterError):
                await server.registry.suspend(name)
        for name in ("oauth:x", "", "a b", "-a", "a" * 65, "\u0661"):
            with pytest.raises(InvalidParameterError):
                await server.registry.add_account(name, "hero")

    serve(work)


def _shown(name: str, secret: str) -> str:
    return f"mdk_{name}_{secret}{zlib.crc32(f'{name}{secret}'.encode()):08x}"
