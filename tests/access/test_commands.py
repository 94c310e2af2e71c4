"""``marketdata-mcp access`` as an operator runs it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from access_doors import PATIENCE, environment
from redis_server import RedisServer

from marketdata_mcp.service.access import keys
from marketdata_mcp.service.command import admin

KEY = re.compile(r"mdk_[a-z0-9]{10}_[A-Za-z0-9]{32}[0-9a-f]{8}")


class Ended(NamedTuple):
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def rows(self) -> list[dict[str, Any]]:
        """What --json has printed."""
        assert (self.code, self.err) == (0, "")
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def key(self) -> str:
        """A key that was made: alone on stdout, with a word for its owner on stderr."""
        assert self.code == 0, self.err
        assert KEY.fullmatch(self.out.removesuffix("\n"))
        assert re.fullmatch(
            rf"key {self.out[4:14]} of \S+: this is shown once, keep it safe\.\n", self.err
        )
        return self.out.strip()

    @property
    def problem(self) -> str:
        """One line that says what is wrong; nothing else."""
        assert self.out == ""
        assert re.fullmatch(r"marketdata-mcp: [^\n]+[.?]\n", self.err)
        assert "Traceback" not in self.err
        return self.err


class Operator:
    """Somebody at a shell; what the shell starts may run in this process, where that is shown."""

    def __init__(self, home: Path, *options: str, spawns: bool = False) -> None:
        self.home = home
        self.options = options
        self.spawns = spawns
        self.seen: list[Ended] = []

    def __call__(self, *arguments: str | bytes, **variables: str) -> Ended:
        run = self._spawned if self.spawns else self._here
        texts = [os.fsdecode(one) for one in (*arguments, *self.options)]
        self.seen.append(run(["access", *texts], environment(self.home, **variables)))
        return self.seen[-1]

    def _spawned(self, arguments: list[str], variables: dict[str, str]) -> Ended:
        ended = subprocess.run(
            [sys.executable, "-m", "marketdata_mcp", *arguments],
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            env=variables,
        )
        return Ended(ended.returncode, ended.stdout.decode(), ended.stderr.decode())

    def _here(self, arguments: list[str], variables: dict[str, str]) -> Ended:
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.MonkeyPatch.context() as patch,
        ):
            for name in [one for one in os.environ if one.startswith("MARKETDATA_")]:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            with pytest.raises(SystemExit) as end:
                admin.run(arguments)
        return Ended(int(end.value.code or 0), out.getvalue(), err.getvalue())


def moment(text: str) -> datetime:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", text)
    return datetime.fromisoformat(text)


@pytest.fixture(params=["sqlite", "redis"])
def operator(request: pytest.FixtureRequest, tmp_path: Path) -> Operator:
    """Somebody without accounts."""
    if request.param == "sqlite":
        return Operator(tmp_path, spawns=True)
    server: RedisServer = request.getfixturevalue("redis")
    with server.client() as client:
        client.flushall()
    return Operator(tmp_path, "--redis", server.url)


def test_the_life_of_an_account(operator: Operator) -> None:
    assert operator("account", "list") == (0, "", "none\n")
    [made] = operator("account", "add", "acme", "--tier", "adventurer", "--json").rows
    assert abs(moment(made.pop("createdAt")) - datetime.now(UTC)) < timedelta(minutes=1)
    assert made == {"account": "acme", "tier": "adventurer", "state": "active"}
    shown = operator("key", "add", "acme", "--label", "ci", "--expires", "90d").key
    rotated = operator("key", "rotate", shown, "--keep", "24h").key
    again = operator("key", "rotate", rotated[4:14]).key
    assert operator("key", "revoke", again[4:14]) == (0, f"revoked {again[4:14]} of acme\n", "")
    listed = operator("key", "list", "acme", "--json").rows
    assert [(one["key"], one["state"]) for one in listed] == [
        (shown[4:14], "active"),
        (rotated[4:14], "revoked"),
        (again[4:14], "revoked"),
    ]
    assert {(one["account"], one["label"]) for one in listed} == {("acme", "ci")}
    ends = [moment(one["expiresAt"]) - moment(one["createdAt"]) for one in listed]
    assert ends[0] < timedelta(hours=25)
    assert ends[1:] == [timedelta(days=90)] * 2
    [row] = operator("account", "tier", "acme", "hero", "--json").rows
    assert (row["tier"], row["state"]) == ("hero", "active")
    [row] = operator("account", "suspend", "acme", "--json").rows
    assert row["state"] == "suspended"
    [row] = operator("account", "resume", "acme", "--json").rows
    assert row["state"] == "active"
    for name in ((), ("acme",)):
        [row] = operator("usage", *name, "--json").rows
        assert row == {
            "account": "acme",
            "tier": "hero",
            "minute": 0,
            "minuteLimit": 600,
            "week": 0,
            "weekLimit": 1_250_000,
        }
    table = operator("usage").out.splitlines()
    assert [line.split() for line in table] == [
        ["account", "tier", "minute", "minuteLimit", "week", "weekLimit"],
        ["acme", "hero", "0", "600", "0", "1,250,000"],
    ]
    # Each key was shown once, by the command that made it.
    for key in (shown, rotated, again):
        assert sum(key[15:47] in one.out + one.err for one in operator.seen) == 1
        digest = keys.digest(key[15:47])
        assert not [one for one in operator.seen if digest in one.out + one.err]


WRONG: list[tuple[tuple[str | bytes, ...], int, str]] = [
    (("account", "add", "a b"), 2, "An account's name"),
    (("account", "add", "oauth:me"), 2, "An account's name"),
    (("account", "add", "acme"), 2, "An account 'acme' exists already"),
    (("account", "add", "other", "--tier", "heroo"), 2, "Did you mean hero?"),
    (("account", "tier", "acme", "nothing"), 2, "There is no tier 'nothing'"),
    (("account", "tier", "acne", "hero"), 2, "Did you mean acme?"),
    (("account", "suspend", "nobody"), 2, "There is no account 'nobody'"),
    (("account", "suspend", b"oauth:\xff"), 2, "There is no account"),
    (("usage", b"\xff\xfe"), 2, "There is no account"),
    (("usage", "nobody"), 2, "There is no account"),
    (("key", "list", "nobody"), 2, "There is no account"),
    (("key", "add", "nobody"), 2, "There is no account"),
    (("key", "add", "acme", "--expires", "soon"), 2, "A duration"),
    (("key", "add", "acme", "--expires", "0d"), 2, "A duration"),
    (("key", "add", "acme", "--expires", "-1d"), 2, "A duration"),
    (("key", "add", "acme", "--expires", "999999w"), 2, "A duration"),
    (("key", "add", "acme"), 1, "Tier pioneer has 1 active keys"),
    (("key", "rotate", "nothing"), 2, "There is no key 'nothing'"),
    (("key", "rotate", "nothing", "--keep", "1y"), 2, "A duration"),
    (("key", "revoke", ""), 2, "There is no key ''"),
    (("key", "revoke", b"\xff"), 2, "There is no key"),
    (("key", "revoke"), 2, "Try 'marketdata-mcp access key revoke --help'"),
    (("nothing",), 2, "Try 'marketdata-mcp access --help'"),
    (("usage", "--policy", "nothing.toml"), 2, "nothing.toml cannot be read"),
    (("usage", "--redis", "http://127.0.0.1"), 2, "redis://"),
    (("usage", "--redis", "redis://:pass-word@127.0.0.1:9/0?x=1"), 2, "an unknown option"),
    (("usage", "--redis", "redis://:pass-word@127.0.0.1:9/0"), 1, "cannot be reached in Redis"),
]


def test_what_is_wrong_is_one_line(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    assert operator("account", "add", "acme").code == 0
    for arguments, code, said in WRONG[:1]:
        ended = Operator(tmp_path, spawns=True)(*arguments)
        assert ended.code == code
        assert said in ended.problem
    key = operator("key", "add", "acme", "--label", b"l\xffabel\n").key
    damaged = f"{key[:30]}x{key[31:]}" if key[30] != "x" else f"{key[:30]}y{key[31:]}"
    for arguments, code, said in WRONG:
        ended = operator(*arguments)
        assert ended.code == code, arguments
        assert said in ended.problem, arguments
        assert "pass-word" not in ended.err
    ended = operator("key", "revoke", f"mdk_{'a' * 10}_{key[15:]}")
    assert ended.code == 2
    assert key[15:20] not in ended.problem
    # Of a key that was damaged on its way, the id is enough.
    assert operator("key", "revoke", damaged).code == 0
    [row] = operator("key", "list", "--json").rows
    assert (row["state"], row["label"]) == ("revoked", "label")
    ended = operator("key", "rotate", key)
    assert ended.code == 2
    assert f"{key[4:14]} is revoked" in ended.problem


def test_a_file_that_is_damaged_or_in_the_way(tmp_path: Path) -> None:
    file = tmp_path / "access.sqlite"
    file.write_bytes(b"no database" * 99)
    for arguments in (("account", "list"), ("account", "add", "acme"), ("usage", "acme")):
        ended = Operator(tmp_path)(*arguments)
        assert ended.code == 1
        assert "cannot be reached in" in ended.problem
    assert file.read_bytes() == b"no database" * 99


def test_tiers_are_printed_as_a_file_to_be_edited(tmp_path: Path) -> None:
    operator = Operator(tmp_path)
    shipped = operator("tiers")
    assert (shipped.code, shipped.err) == (0, "")
    edited = shipped.out.replace("weekly_units = 6000\n", "weekly_units = 12\n")
    (tmp_path / "policy.toml").write_text(edited)
    assert operator("tiers").out == edited
    assert operator("account", "add", "acme").code == 0
    [row] = operator("usage", "--json").rows
    assert row["weekLimit"] == 12
    (tmp_path / "policy.toml").write_text("[tiers.pioneer]\nkeys = -1\n")
    for arguments in (("tiers",), ("usage",), ("key", "list")):
        ended = operator(*arguments)
        assert ended.code == 2
        assert f"{tmp_path / 'policy.toml'}, tiers.pioneer.keys: " in ended.problem


def test_redis_by_variable(tmp_path: Path, redis: RedisServer) -> None:
    operator = Operator(tmp_path)
    with redis.client() as client:
        client.flushall()
    assert operator("account", "add", "acme", MARKETDATA_REDIS=redis.url).code == 0
    assert [
        one["account"]
        for one in Operator(tmp_path, "--redis", redis.url)("account", "list", "--json").rows
    ] == ["acme"]
    assert not list(tmp_path.iterdir())
    assert operator("account", "list") == (0, "", "none\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--access",), "--access goes with --http"),
        (("--http", "127.0.0.1:0", "--policy", "x.toml"), "--policy goes with --access"),
        (("--http", "127.0.0.1:0", "--access", "--policy", "x.toml"), "x.toml cannot be read"),
        (
            ("--http", "127.0.0.1:0", "--redis", "redis://127.0.0.1/0?x=1", "--access"),
            "an unknown option",
        ),
        (("--http", "0.0.0.0:0"), "refuses to listen"),
    ],
)
def test_a_server_that_does_not_start(
    tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "marketdata_mcp", *arguments],
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=PATIENCE,
        text=True,
        env=environment(tmp_path),
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1
