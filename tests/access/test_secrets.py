"""Keys, their digests, and data of other accounts are shown nowhere."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from access_doors import REPLIES, Desk, Server, bearer, call, request, send, until

from marketdata.sim import SimulatedExchange
from marketdata_mcp.service.access import keys


@dataclass
class Planted:
    """Two accounts, and what was told to each."""

    secrets: list[str]
    """Secrets of keys, whole and in halves, and whole keys."""
    digests: list[str]
    told: dict[str, list[str]]
    """Account to all that its keys were answered."""
    anybody: list[str]
    """What was answered without a key in force."""


def said(replies: list[Any]) -> list[str]:
    return [f"{one.status} {one.headers} {one.text}" for one in replies]


@pytest.fixture(scope="module")
def planted(server: Server, desk: Desk, simulator: SimulatedExchange) -> Planted:
    """Use keys in all the right and wrong ways."""
    shown: dict[str, str] = {}
    for name, label in (("canary-alice", "label-of-alice"), ("canary-bob", "label-of-bob")):
        desk.account(name, "adventurer")
        shown[name] = desk.key(name, label)[0]
    expired = desk.key("canary-alice", lasts=1e-6)[0]
    revoked = desk.key("canary-alice")[0]
    desk.do(lambda registry: registry.revoke(revoked))
    stranger = keys.generate()[0]
    every = [*shown.values(), expired, revoked, stranger]
    told = {}
    for name, key in shown.items():
        begin = len(REPLIES)
        simulator.faults.add("binance:*/depth:status=503")
        watch = call(server.url, key, "watch_start", kind="quote", pair="BTC/USDT")
        for tool, arguments in (
            ("get_usage", {}),
            ("get_ticker", {"pair": "BTC/USDT"}),
            ("get_ticker", {"pair": key}),
            ("get_ticker", {"pair": "BTC/USDT", "exchange": "nowhere"}),
            ("get_orderbook", {"pair": "BTC/USDT"}),
            ("get_candles", {"pair": "BTC/USDT", "start": "-400d"}),
            ("watch_read", {"watch": watch.content["watch"]}),
            ("watch_list", {}),
            (key, {}),
        ):
            for modern in (True, False):
                call(server.url, key, tool, modern=modern, **arguments)
        simulator.faults.clear()
        for method in ("tools/list", "resources/list", "server/discover", "nothing/known"):
            send(server.url, method, headers=bearer(key))
        for uri in ("market://binance/BTC-USDT/ticker", "market://nowhere/A-B/ticker", key):
            send(server.url, "resources/read", {"uri": uri}, headers=bearer(key))
        request(server.url, b"{", bearer(key))
        request(server.url, b"\xff" * 9, {**bearer(key), "Content-Type": "application/json"})
        told[name] = said(REPLIES[begin:])
    begin = len(REPLIES)
    for key in every:
        for header in (f"Basic {key}", key, f"Bearer {key[:-1]}", f"Bearer {key[:-9]} {key[-9:]}"):
            send(server.url, "tools/list", headers={"Authorization": header})
        request(f"{server.url}?key={key}", b"{}")
        request(f"{server.root}/messages/?session_id={key}", b"{}", bearer(key))
        request(f"{server.root}/{key}?key={key}")
        request(server.url, b"{}", {"Host": f"{key}.example"})
        request(server.url, b"{}", {"Origin": f"http://{key}.example"})
        request(f"{server.root}/sse?key={key}", None, {"Origin": f"http://{key}.example"})
    for key in (expired, revoked, stranger):
        call(server.url, key, "get_usage")
    request(f"{server.root}/readyz")
    request(f"{server.root}/metrics")
    parts = [keys.parse(key) for key in every]
    secrets = [one.secret for one in parts if one is not None]
    assert len(secrets) == len(every)
    return Planted(
        [part for one in secrets for part in (one[:16], one[16:])],
        [keys.digest(one) for one in secrets],
        told,
        said(REPLIES[begin:]),
    )


def test_no_answer_has_a_key_or_a_digest(planted: Planted) -> None:
    everything = [one for some in planted.told.values() for one in some] + planted.anybody
    for digest in planted.digests:
        assert not [one for one in everything if digest in one]
    for secret in planted.secrets:
        # What somebody sent in the place of an argument may be said to them again.
        assert not [one for one in planted.anybody if secret in one]
        assert {"INVALID_PARAMETER", "PAIR_NOT_SUPPORTED", "Unknown tool", "A resource is"} >= {
            _kind(one) for some in planted.told.values() for one in some if secret in one
        }


def _kind(reply: str) -> str:
    known = ("INVALID_PARAMETER", "PAIR_NOT_SUPPORTED", "Unknown tool", "A resource is")
    return next((one for one in known if one in reply), reply)


def test_no_account_hears_of_another(planted: Planted) -> None:
    names = list(planted.told)
    for name, other in (names, reversed(names)):
        for word in (other, f"label-of-{other[7:]}"):
            assert not [one for one in planted.told[name] if word in one]
    for word in (*names, "label-of-"):
        assert not [one for one in planted.anybody if word in one]


def test_no_line_of_the_log_has_a_key_or_a_digest(server: Server, planted: Planted) -> None:
    until(lambda: sum('"call"' in line for line in server.lines) >= 30)
    lines = list(server.lines)
    for text in planted.secrets + planted.digests:
        assert not [line for line in lines if text in line]
    assert not [line for line in lines if "Authorization" in line or "Bearer" in line]


def test_lines_of_the_log_tell_who_asked_what(server: Server, planted: Planted) -> None:
    calls = [
        one
        for one in (json.loads(line) for line in list(server.lines) if line.startswith("{"))
        if one.get("account") == "canary-alice"
    ]
    assert len({one["key"] for one in calls}) == 1
    assert all(re.fullmatch("[a-z0-9]{10}", one["key"]) for one in calls)
    assert all(re.fullmatch("[0-9a-f]{16}", one["requestId"]) for one in calls)
    spent = {
        (one["tool"], one["code"], one["units"])
        for one in calls
        if one["tool"] in ("get_ticker", "get_orderbook", "get_candles", "get_usage")
    }
    assert ("get_usage", "OK", 0) in spent
    assert ("get_ticker", "OK", 1) in spent
    assert ("get_orderbook", "EXCHANGE_UNAVAILABLE", 0) in spent
    assert ("get_candles", "HISTORY_LIMIT_EXCEEDED", 20) in spent


def test_no_metric_names_anybody(server: Server, planted: Planted) -> None:
    text = request(f"{server.root}/metrics").text
    assert "marketdata_mcp_refused_total" in text
    for word in (*planted.secrets, *planted.digests, *planted.told, "label-of-", "mdk_"):
        assert word not in text
    for name in re.findall(r'tool="([^"]*)"', text):
        assert re.fullmatch(r"[a-z_]+(/read)?", name)


def test_the_files_have_digests_only(home: Path, planted: Planted) -> None:
    held = {file.relative_to(home): file.read_bytes() for file in home.rglob("*") if file.is_file()}
    assert Path("access.sqlite") in held
    together = b"".join(held.values())
    for secret in planted.secrets:
        assert secret.encode() not in together
    for digest in planted.digests[:-1]:  # the last is of a key that nobody made here
        having = [str(file) for file, text in held.items() if digest.encode() in text]
        assert having
        assert all(name.startswith("access.sqlite") for name in having)
    for name in held:
        if str(name).startswith("access.sqlite"):
            assert (home / name).stat().st_mode & 0o077 == 0
