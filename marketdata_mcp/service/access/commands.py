"""``marketdata-mcp access``: accounts, keys and usage from the shell."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from marketdata.errors import InternalError, InvalidParameterError
from marketdata.settings import Settings
from marketdata_mcp.service.access.accounts import Account, AwayError, Key, Used, moment
from marketdata_mcp.service.access.places import policy_of, store_of
from marketdata_mcp.service.access.registry import Registry
from marketdata_mcp.service.access.tiers import Policy

__all__ = ["app"]

T = TypeVar("T")

app = typer.Typer(help="Manage accounts, keys, tiers and usage.", no_args_is_help=True)
_account = typer.Typer(help="Accounts, which have a quota and a rate limit.", no_args_is_help=True)
_key = typer.Typer(help="Keys: shown once, stored as hashes.", no_args_is_help=True)
app.add_typer(_account, name="account")
app.add_typer(_key, name="key")

_SPAN = re.compile(r"(\d{1,6})(m|h|d|w)")
_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_LONGEST = 100 * 366 * 86400.0

_Policy = Annotated[
    Path | None,
    typer.Option("--policy", metavar="FILE", help="Tiers; else policy.toml in MARKETDATA_HOME."),
]
_Redis = Annotated[
    str | None,
    typer.Option("--redis", metavar="URL", help="Where accounts are kept (MARKETDATA_REDIS)."),
]
_Json = Annotated[bool, typer.Option("--json", help="One JSON object a line.")]
_Name = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Name of the account.")]
_MaybeName = Annotated[str | None, typer.Argument(metavar="[ACCOUNT]", help="Only this account.")]
_KeyId = Annotated[str, typer.Argument(metavar="KEY", help="Id of the key, or the key.")]
_Tier = Annotated[str, typer.Option("--tier", help="Name of the tier.")]


def _done(
    policy: Path | None, redis: str | None, work: Callable[[Registry, Policy], Awaitable[T]]
) -> T:
    settings = Settings.from_environment(redis=redis)
    chosen = policy_of(settings, policy)

    async def run() -> T:
        store = store_of(settings)
        try:
            return await work(Registry(chosen, store), chosen)
        except AwayError:
            where = "Redis" if settings.redis else f"{settings.folder()}"
            raise InternalError(
                f"The accounts cannot be reached in {where}. `marketdata-mcp doctor --access` says "
                "more."
            ) from None
        finally:
            await store.close()

    return asyncio.run(run())


# ---------------------------------------------------------------------------- accounts


@_account.command("add")
def add_account(
    name: _Name,
    tier: _Tier = "pioneer",
    policy: _Policy = None,
    redis: _Redis = None,
    as_json: _Json = False,
) -> None:
    """Make an account."""
    account = _done(policy, redis, lambda registry, _: registry.add_account(name, tier))
    _show([_account_row(account)], as_json)


@_account.command("list")
def list_accounts(policy: _Policy = None, redis: _Redis = None, as_json: _Json = False) -> None:
    """List all accounts."""
    found = _done(policy, redis, lambda registry, _: registry.accounts())
    _show([_account_row(account) for account, _ in found], as_json)


@_account.command("tier")
def set_tier(
    name: _Name,
    tier: Annotated[str, typer.Argument(help="Name of the tier.")],
    policy: _Policy = None,
    redis: _Redis = None,
    as_json: _Json = False,
) -> None:
    """Change the tier of an account, from its next call on."""
    account = _done(policy, redis, lambda registry, _: registry.set_tier(name, tier))
    _show([_account_row(account)], as_json)


@_account.command("suspend")
def suspend(
    name: _Name, policy: _Policy = None, redis: _Redis = None, as_json: _Json = False
) -> None:
    """Suspend an account, from its next call on."""
    account = _done(policy, redis, lambda registry, _: registry.suspend(name))
    _show([_account_row(account)], as_json)


@_account.command("resume")
def resume(
    name: _Name, policy: _Policy = None, redis: _Redis = None, as_json: _Json = False
) -> None:
    """End a suspension."""
    account = _done(policy, redis, lambda registry, _: registry.suspend(name, suspended=False))
    _show([_account_row(account)], as_json)


# ---------------------------------------------------------------------------- keys


@_key.command("add")
def add_key(
    name: _Name,
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="SPAN",
            help="Expire after this time, such as 90d or 12h. [default: never]",
        ),
    ] = None,
    policy: _Policy = None,
    redis: _Redis = None,
) -> None:
    """Make a key and print it; it is shown only once."""
    lasts = None if expires is None else _span(expires)
    shown, key = _done(policy, redis, lambda registry, _: registry.add_key(name, label, lasts))
    _hand_over(shown, key)


@_key.command("list")
def list_keys(
    name: _MaybeName = None, policy: _Policy = None, redis: _Redis = None, as_json: _Json = False
) -> None:
    """List keys by their ids."""
    found = _done(policy, redis, lambda registry, _: registry.keys(name))
    _show([_key_row(key, state) for key, state in found], as_json)


@_key.command("revoke")
def revoke(key: _KeyId, policy: _Policy = None, redis: _Redis = None) -> None:
    """Revoke a key: the next call with it is refused, on every machine."""
    ended = _done(policy, redis, lambda registry, _: registry.revoke(key))
    typer.echo(f"revoked {ended.id} of {ended.account}")


@_key.command("rotate")
def rotate(
    key: _KeyId,
    keep: Annotated[
        str | None,
        typer.Option(
            "--keep",
            metavar="SPAN",
            help="Keep the old key valid for this time, such as 24h or 7d.",
        ),
    ] = None,
    policy: _Policy = None,
    redis: _Redis = None,
) -> None:
    """Make a key that replaces another, and print it; it is shown only once."""
    kept = 0.0 if keep is None else _span(keep)
    shown, made = _done(policy, redis, lambda registry, _: registry.rotate(key, kept))
    _hand_over(shown, made)


# ---------------------------------------------------------------------------- usage, tiers


@app.command("usage")
def usage(
    name: _MaybeName = None, policy: _Policy = None, redis: _Redis = None, as_json: _Json = False
) -> None:
    """Show the usage of accounts in this minute and this week."""

    async def work(registry: Registry, chosen: Policy) -> list[dict[str, Any]]:
        if name is not None:
            account = await registry.account(name)
            return [_usage_row(account, await registry.used(name), chosen)]
        return [_usage_row(account, used, chosen) for account, used in await registry.accounts()]

    _show(_done(policy, redis, work), as_json)


@app.command("tiers")
def tiers(policy: _Policy = None) -> None:
    """Print the current tiers as a policy file, for editing."""
    typer.echo(policy_of(Settings.from_environment(), policy).to_toml(), nl=False)


# ---------------------------------------------------------------------------- output


def _account_row(account: Account) -> dict[str, Any]:
    return {
        "account": account.name,
        "tier": account.tier,
        "state": "suspended" if account.suspended else "active",
        "createdAt": moment(account.created_at),
    }


def _key_row(key: Key, state: str) -> dict[str, Any]:
    return {
        "key": key.id,
        "account": key.account,
        "state": state,
        "createdAt": moment(key.created_at),
        "expiresAt": None if key.expires_at is None else moment(key.expires_at),
        "label": key.label,
    }


def _usage_row(account: Account, used: Used, policy: Policy) -> dict[str, Any]:
    tier = policy.tiers.get(account.tier)
    return {
        "account": account.name,
        "tier": account.tier,
        "minute": used.minute,
        "minuteLimit": None if tier is None else tier.calls_a_minute,
        "week": used.week,
        "weekLimit": None if tier is None else tier.weekly_units,
    }


def _hand_over(shown: str, key: Key) -> None:
    typer.echo(shown)
    typer.echo(f"key {key.id} of {key.account}: this is shown once, keep it safe.", err=True)


def _show(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            typer.echo(json.dumps({name: one for name, one in row.items() if one is not None}))
        return
    if not rows:
        typer.echo("none", err=True)
        return
    table = [[*rows[0]], *([_plain(one) for one in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        typer.echo("  ".join(cells).rstrip())


def _plain(value: Any) -> str:
    text = "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
    return "".join(one for one in text if one.isprintable())


def _span(text: str) -> float:
    found = _SPAN.fullmatch(text)
    seconds = 0.0 if found is None else int(found[1]) * _SECONDS[found[2]]
    if not 0 < seconds <= _LONGEST:
        raise InvalidParameterError(
            f"A duration is a number and m, h, d or w, such as 24h or 90d, and "
            f"100 years at most; was {text[:20]!r}."
        )
    return seconds
