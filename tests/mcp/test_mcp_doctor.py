"""``marketdata-mcp doctor``: each problem that it can find, caused on purpose."""

import json
import os
import re
import socket
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from mcp_admin import command
from mcp_doors import COMMAND, PATIENCE, environment
from redis_server import RedisServer

from marketdata.sim import SimulatedExchange

Doctor = Callable[..., "Found"]


class Found:
    """The doctor's output and exit code."""

    def __init__(self, code: int, out: str) -> None:
        document = json.loads(out)
        self.code = code
        self.out = out
        self.checks: list[dict[str, Any]] = document["checks"]
        assert document["ok"] is (code == 0)
        assert code == int(any(one["state"] == "fail" for one in self.checks))
        for one in self.checks:
            assert set(one) == {"state", "check", "said", "advice"}
            assert one["advice"] or one["state"] == "ok", one
            assert "\n" not in one["said"]

    def of(self, check: str) -> list[tuple[str, str]]:
        return [(one["state"], one["said"]) for one in self.checks if one["check"] == check]

    def one(self, check: str) -> tuple[str, str]:
        (found,) = self.of(check)
        return found


@pytest.fixture
def doctor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """Run the command in this process, with a separate home and without requests to exchanges."""
    for name in [name for name in os.environ if name.startswith("MARKETDATA_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path / "home"))

    def run(*arguments: str, offline: bool = True) -> Found:
        more = ("--offline",) if offline else ()
        code, out, err = command("doctor", "--json", *more, *arguments)
        assert err == ""
        return Found(code, out)

    return run


def test_a_good_setup(home: Path) -> None:
    done = subprocess.run(
        [COMMAND, "doctor", "--sim", "--http", "127.0.0.1:0"],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"(ok  |warn)  [a-z ]{12}  \S.*", line), line
    assert "binance responds in" in done.stdout


def test_nothing_is_left_behind(doctor: Doctor, tmp_path: Path) -> None:
    assert doctor().code == 0
    assert list(tmp_path.iterdir()) == []


def test_versions_are_compared_with_the_requirements(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As installed, but with other wishes: this folder is looked into first.
    info = tmp_path / "ccxt_marketdata-9.dist-info"
    info.mkdir()
    info.joinpath("METADATA").write_text(
        "Metadata-Version: 2.4\nName: ccxt-marketdata\nVersion: 9\nRequires-Python: >=4\n"
        "Provides-Extra: server\nProvides-Extra: other\n"
        "Requires-Dist: pydantic<1\n"
        "Requires-Dist: no-such-package>=2\n"
        "Requires-Dist: no-such-system; sys_platform == 'nowhere'\n"
        "Requires-Dist: no-such-server; extra == 'server'\n"
        "Requires-Dist: no-such-other; extra == 'other'\n"
        "Requires-Dist: mcp<1; extra == 'other'\n"
        "Requires-Dist: typer\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    found = doctor("--http", "127.0.0.1:0")
    assert found.code == 1
    assert found.one("python")[0] == "fail"
    states = {said.split()[0]: state for state, said in found.of("packages")}
    assert states == {
        "pydantic": "fail",
        "no-such-package": "fail",
        "no-such-server": "fail",
        "mcp": "warn",
        "1": "ok",
    }


def test_an_unknown_variable(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MARKETDATA_TIMEOUTS", "5")
    monkeypatch.setenv("MARKETDATA_BINANC_API_KEY", "hush")
    monkeypatch.setenv("MARKETDATA_KRAKEN_SECRET", "hush")
    found = doctor()
    assert found.code == 0
    warned = [said for state, said in found.of("variables") if state == "warn"]
    assert [re.findall(r"MARKETDATA_\w+", said) for said in warned] == [
        ["MARKETDATA_BINANC_API_KEY", "MARKETDATA_BINANCE_API_KEY"],
        ["MARKETDATA_TIMEOUTS", "MARKETDATA_TIMEOUT"],
    ]
    assert "hush" not in found.out


@pytest.mark.parametrize(
    ("name", "value"),
    [("TIMEOUT", "soon"), ("REDIS", "http://:hush@nowhere"), ("ENDPOINTS", "hush")],
)
def test_an_invalid_value(
    name: str, value: str, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"MARKETDATA_{name}", value)
    state, said = doctor().one("variables")
    assert state == "fail"
    assert f"MARKETDATA_{name}" in said
    assert "hush" not in said


def test_a_home_that_cannot_be_written(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path / "file" / "home"))
    assert doctor().one("home")[0] == "fail"


@pytest.mark.parametrize("below", ["", "home"])
def test_a_home_that_is_a_link_to_nothing(
    below: str, doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unmounted")
    monkeypatch.setenv("MARKETDATA_HOME", str(tmp_path / "link" / below))
    state, said = doctor().one("home")
    assert state == "fail"
    assert f"{tmp_path / 'link'} is a link to nothing" in said


def test_few_open_files(home: Path) -> None:
    line = f"ulimit -n 256 && exec {COMMAND} doctor --offline"
    done = subprocess.run(
        ["bash", "-c", line],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert re.search(r"^warn  open files +only 256 .*LimitNOFILE", done.stdout, re.MULTILINE)


# ---------------------------------------------------------------------- where it listens


def test_an_address_in_use(doctor: Doctor) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        found = doctor("--http", f"127.0.0.1:{taken.getsockname()[1]}")
    assert found.one("address")[0] == "fail"


@pytest.mark.parametrize(
    ("host", "options", "state"),
    [
        ("127.0.0.1", [], "ok"),
        ("[::1]", [], "ok"),
        ("localhost", [], "ok"),
        ("0.0.0.0", [], "fail"),
        ("0.0.0.0", ["--allow-remote", "example.org"], "warn"),
        ("0.0.0.0", ["--access"], "warn"),
    ],
)
def test_exposure_to_other_machines(
    host: str, options: list[str], state: str, doctor: Doctor
) -> None:
    assert doctor("--http", f"{host}:0", *options).one("exposure")[0] == state


@pytest.fixture
def certificate(tmp_path: Path) -> Callable[..., list[str]]:
    """Return a function that makes a certificate and its key, as options."""

    def make(begins: int = -1, days: int = 90, password: bytes | None = None) -> list[str]:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.org")])
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(1)
            .not_valid_before(now + timedelta(days=begins))
            .not_valid_after(now + timedelta(days=days, hours=1))
            .sign(key, hashes.SHA256())
        )
        folder = tmp_path / f"tls{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        pem = serialization.Encoding.PEM
        lock = (
            serialization.BestAvailableEncryption(password)
            if password
            else serialization.NoEncryption()
        )
        kind = serialization.PrivateFormat.PKCS8
        (folder / "cert.pem").write_bytes(made.public_bytes(pem))
        (folder / "key.pem").write_bytes(key.private_bytes(pem, kind, lock))
        return ["--tls-cert", str(folder / "cert.pem"), "--tls-key", str(folder / "key.pem")]

    return make


@pytest.mark.parametrize(
    ("made", "state", "words"),
    [
        ({}, "ok", "is valid until"),
        ({"days": 20}, "warn", "expires on"),
        ({"days": 22}, "ok", "is valid until"),
        ({"begins": -9, "days": -1}, "fail", "has expired"),
        ({"begins": 2}, "fail", "is not valid before"),
        ({"password": b"hush"}, "fail", "without a password"),
    ],
)
def test_certificates(
    made: dict[str, Any],
    state: str,
    words: str,
    doctor: Doctor,
    certificate: Callable[..., list[str]],
) -> None:
    said = doctor(*certificate(**made)).one("tls")
    assert said[0] == state
    assert words in said[1]


def test_a_certificate_and_key_that_do_not_match(
    doctor: Doctor, certificate: Callable[..., list[str]], tmp_path: Path
) -> None:
    one, other = certificate(), certificate()
    junk = tmp_path / "junk"
    junk.write_bytes(b"\0\xff junk")
    missing = str(tmp_path / "missing.pem")
    for options, words in [
        ([*one[:2], *other[2:]], "is not the key of"),
        ([*one[:3], str(junk)], "is not a key in PEM"),
        (["--tls-cert", str(junk), *one[2:]], "is not a PEM certificate"),
        (["--tls-cert", missing, *one[2:]], f"{missing} cannot be read"),
        ([*one[:3], missing], f"{missing} cannot be read"),
        (one[:2], "one of two files is missing"),
        (one[2:], "one of two files is missing"),
    ]:
        state, said = doctor(*options).one("tls")
        assert state == "fail"
        assert words in said


# ---------------------------------------------------------------------- accounts, Redis


def test_tiers_and_accounts(doctor: Doctor, tmp_path: Path) -> None:
    found = doctor("--access")
    assert found.one("policy") == ("ok", "the tiers are pioneer, explorer, adventurer, hero")
    assert found.one("accounts")[0] == "warn"
    assert command("access", "account", "add", "acme")[0] == 0
    assert doctor("--access").one("accounts")[0] == "ok"
    (tmp_path / "home" / "policy.toml").write_text("[tiers.own]\nkeys = 2\n")
    assert doctor("--access").one("policy")[1].endswith(", own")
    (tmp_path / "bad.toml").write_text("[tiers.own]\nkeys = 'many'\n")
    state, said = doctor("--access", "--policy", str(tmp_path / "bad.toml")).one("policy")
    assert state == "fail"
    assert "bad.toml" in said


def test_accounts_that_cannot_be_read(doctor: Doctor, tmp_path: Path) -> None:
    assert doctor("--access").one("accounts")[0] == "warn"
    (tmp_path / "home" / "access.sqlite").write_bytes(b"not a database " * 1000)
    assert doctor("--access").one("accounts")[0] == "fail"


def test_redis(redis_server: RedisServer, doctor: Doctor) -> None:
    found = doctor("--redis", redis_server.url)
    assert [state for state, _ in found.of("redis")] == ["ok", "ok", "ok"]
    with redis_server.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        client.config_set("appendonly", "no")
        client.config_set("save", "")
    found = doctor("--redis", redis_server.url, "--access")
    assert found.code == 0
    assert [state for state, _ in found.of("redis")] == ["ok", "warn", "warn"]
    assert found.one("accounts")[0] == "warn"
    with redis_server.client() as client:
        client.config_set("save", "3600 1")
    assert doctor("--redis", redis_server.url).of("redis")[2][0] == "ok"


def test_redis_that_does_not_answer(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with RedisServer(password="hush") as server:
        away = server.url.replace("hush", "hush2")
        monkeypatch.setenv("MARKETDATA_REDIS", away)
        found = doctor("--access")
        assert found.one("redis") == ("fail", "it does not answer (authentication)")
        assert found.of("accounts") == []
        server.stop()
        found = doctor("--redis", server.url)
    assert found.one("redis") == ("fail", "it does not answer (connection)")
    assert "hush" not in found.out


# ---------------------------------------------------------------------- exchanges


def test_exchanges(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatedExchange() as exchange, socket.create_server(("127.0.0.1", 0)) as deaf:
        away = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        deaf.close()
        near = exchange.endpoints
        monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps({**near, "kraken": away}))
        found = doctor("--exchange", "binance,kraken", offline=False)
        assert [state for state, _ in found.of("exchange")] == ["ok", "warn"]
        found = doctor("--exchange", "kraken", offline=False)
        assert found.one("exchange")[0] == "fail"
        assert "EXCHANGE_UNAVAILABLE" in found.one("exchange")[1]


def test_a_wrong_clock(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    with SimulatedExchange(now=1_750_000_000_000) as exchange:
        monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(dict(exchange.endpoints)))
        state, said = doctor("--exchange", "binance", offline=False).one("exchange")
    assert state == "warn"
    assert re.search(r"clock is -\d+\.\d s from ours", said)


def test_an_unknown_exchange(doctor: Doctor) -> None:
    state, said = doctor("--sim", "--exchange", "binanc", offline=False).one("exchange")
    assert state == "fail"
    assert "binance" in said


@pytest.mark.parametrize(
    "arguments", [["--http", "8000"], ["--http", "127.0.0.1:99999"], ["--frobnicate"], ["more"]]
)
def test_a_wrong_call_is_one_line_and_2(arguments: list[str]) -> None:
    code, out, err = command("doctor", *arguments)
    assert (code, out) == (2, "")
    assert err.count("\n") == 1
