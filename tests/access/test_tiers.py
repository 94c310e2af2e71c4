"""Policy files: the shipped one, changes by an operator, and errors with their place."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from marketdata.errors import InvalidParameterError
from marketdata.settings import Settings
from marketdata_mcp.service.access.places import policy_of
from marketdata_mcp.service.access.tiers import SHIPPED, Issuer, Policy, Tier

OAUTH = """
[oauth]
issuer = "https://login.example"
jwks_url = "https://login.example/keys"
audience = "https://data.example/mcp"
[oauth.scopes]
"""


def read(folder: Path, text: str | bytes) -> Policy:
    file = folder / "policy.toml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return Policy.read(file)


def test_what_is_shipped() -> None:
    limits = {
        name: (
            tier.weekly_units,
            None if tier.exchanges is None else len(tier.exchanges),
            tier.history_days,
            (tier.near_units, tier.far_units),
            tier.keys,
            tier.calls_a_minute,
        )
        for name, tier in SHIPPED.items()
    }
    assert limits["pioneer"][:3] + limits["pioneer"][4:] == (6_000, 3, 0, 1, 600)
    assert limits["explorer"] == (30_000, 8, 90, (5, 20), 1, 600)
    assert limits["adventurer"] == (150_000, None, 365, (5, 20), 3, 600)
    assert limits["hero"] == (1_250_000, None, 3 * 365, (1, 1), 10, 600)
    three, eight = SHIPPED["pioneer"].exchanges, SHIPPED["explorer"].exchanges
    assert three is not None
    assert eight is not None
    assert set(three) < set(eight)


def test_what_a_file_does_not_say_stays_as_shipped(tmp_path: Path) -> None:
    policy = read(tmp_path, "[tiers.pioneer]\nweekly_units = 7\n[tiers.own]\nhistory_days = 1\n")
    assert policy.tier("pioneer") == SHIPPED["pioneer"].model_copy(update={"weekly_units": 7})
    assert policy.tier("explorer") == SHIPPED["explorer"]
    assert policy.tier("own") == Tier(history_days=1)
    assert [*policy.tiers] == [*SHIPPED, "own"]


def test_a_tier_may_have_every_exchange(tmp_path: Path) -> None:
    policy = read(tmp_path, '[tiers.pioneer]\nexchanges = "all"\n')
    assert policy.tier("pioneer").exchanges is None


def test_where_the_file_is_looked_for(tmp_path: Path) -> None:
    settings = Settings.from_environment(home=tmp_path)
    assert policy_of(settings, None) == Policy()
    (tmp_path / "policy.toml").write_text("near_days = 3")
    assert policy_of(settings, None).near_days == 3
    (tmp_path / "other.toml").write_text("near_days = 4")
    assert policy_of(settings, tmp_path / "other.toml").near_days == 4


WRONG = {
    "near_dais = 3": "near_dais",
    "near_days = -1": "near_days",
    "near_days = 1.5": "near_days",
    "near_days = 2024-01-01": "near_days",
    "near_days = 99_999_999_999": "near_days",
    "tiers = 5": "tiers",
    "tiers.pioneer = 5": "tiers.pioneer",
    "[tiers.pioneer]\nwekly_units = 5": "tiers.pioneer.wekly_units",
    "[tiers.pioneer]\nweekly_units = -5": "tiers.pioneer.weekly_units",
    "[tiers.pioneer]\nweekly_units = true": "tiers.pioneer.weekly_units",
    '[tiers.pioneer]\nweekly_units = "600"': "tiers.pioneer.weekly_units",
    f"[tiers.pioneer]\nweekly_units = {10**30}": "tiers.pioneer.weekly_units",
    "[tiers.hero]\ncalls_a_minute = 0": "tiers.hero.calls_a_minute",
    "[tiers.hero]\nhistory_days = 9_999_999_999": "tiers.hero.history_days",
    "[tiers.hero]\nfar_units = nan": "tiers.hero.far_units",
    "[tiers.hero]\nkeys = [1]": "tiers.hero.keys",
    '[tiers.hero]\nexchanges = "binance"': "tiers.hero.exchanges",
    "[tiers.hero]\nexchanges = []": "tiers.hero.exchanges",
    '[tiers.hero]\nexchanges = ["kraken", "Binance"]': "tiers.hero.exchanges.1",
    '[tiers."a b"]\nkeys = 1': "tiers.a b",
    '[tiers."x.y"]\nkeys = 1': "tiers.x.y",
    '[oauth]\nissuer = "https://login.example"': "oauth.jwks_url",
    OAUTH: "oauth.scopes",
    f'{OAUTH}read = "heroo"': "oauth.scopes.read",
    f'{OAUTH}"re ad" = "hero"': "oauth.scopes.re ad",
    f"{OAUTH}read = 3": "oauth.scopes.read",
}


@pytest.mark.parametrize(("text", "place"), WRONG.items())
def test_an_error_names_the_file_and_the_place(tmp_path: Path, text: str, place: str) -> None:
    with pytest.raises(InvalidParameterError) as wrong:
        read(tmp_path, text)
    assert str(wrong.value).startswith(f"{tmp_path / 'policy.toml'}, {place}")
    assert "\n" not in str(wrong.value)


@pytest.mark.parametrize(
    "text",
    ["near_days = 1\nnear_days = 2", "[[[", "a = " + "[" * 10_000, b"\xff\xfe", b"a = \x00"],
)
def test_what_is_not_toml(tmp_path: Path, text: str | bytes) -> None:
    with pytest.raises(InvalidParameterError, match=r"policy\.toml is not TOML: ."):
        read(tmp_path, text)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for place in (tmp_path / "nothing.toml", tmp_path):
        with pytest.raises(InvalidParameterError) as wrong:
            Policy.read(place)
        assert str(place) in str(wrong.value)
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (2 << 20))
    with pytest.raises(InvalidParameterError, match="too large"):
        Policy.read(large)


@pytest.mark.parametrize(
    "url",
    [
        "http://login.example/keys",
        "http://127.0.0.1.login.example/keys",
        "http://localhost.login.example/keys",
        "http://127.0.0.1@login.example/keys",
        "https:///keys",
        "https://login.example:99999/keys",
        "ftp://login.example/keys",
        "file:///keys",
        "marketdata",
        "",
        'https://login.example/"',
        "https://login.example/a b",
        "https://login.example/\\n",
        "https://[::1/keys",
    ],
)
@pytest.mark.parametrize("field", ["issuer", "jwks_url", "audience"])
def test_urls_that_nobody_should_ask(tmp_path: Path, field: str, url: str) -> None:
    given = Issuer(
        issuer="https://login.example",
        jwks_url="http://127.0.0.1:8000/keys",
        audience="http://[::1]:8000/mcp",
        scopes={"read": "hero"},
    ).model_dump()
    lines = [f"{name} = {json.dumps(one)}" for name, one in (given | {field: url}).items()]
    text = "\n".join(["[oauth]", *(one for one in lines if "scopes" not in one)])
    with pytest.raises(InvalidParameterError, match=rf"oauth\.{field}: "):
        read(tmp_path, f'{text}\n[oauth.scopes]\nread = "hero"')


def _tiers() -> st.SearchStrategy[dict[str, Any]]:
    count, days = st.integers(0, 10**12), st.integers(0, 36_600)
    exchanges = st.lists(st.from_regex(r"[a-z0-9]{1,12}", fullmatch=True), min_size=1).map(tuple)
    return st.fixed_dictionaries(
        {},
        optional={
            "weekly_units": count,
            "calls_a_minute": st.integers(1, 10**12),
            "exchanges": st.none() | exchanges,
            "history_days": days,
            "near_units": count,
            "far_units": count,
            "keys": count,
        },
    )


_NAMES = st.from_regex(r"[A-Za-z0-9_-]{1,20}", fullmatch=True)
_SCOPES = st.from_regex(r"[!#-\[\]-~]{1,20}", fullmatch=True)


@given(
    st.dictionaries(_NAMES, _tiers(), max_size=4),
    st.integers(0, 36_600),
    st.none() | st.dictionaries(_SCOPES, st.sampled_from([*SHIPPED]), min_size=1, max_size=3),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_as_the_same(
    tmp_path: Path, tiers: dict[str, Any], near_days: int, scopes: dict[str, str] | None
) -> None:
    oauth = None
    if scopes is not None:
        urls = ("https://login.example", "http://localhost/keys", "https://data.example/mcp")
        oauth = Issuer(issuer=urls[0], jwks_url=urls[1], audience=urls[2], scopes=scopes)
    own = {name: Tier(**given) for name, given in tiers.items() if name not in SHIPPED}
    policy = Policy(tiers={**SHIPPED, **own}, near_days=near_days, oauth=oauth)
    assert read(tmp_path, policy.to_toml()) == policy


def _read_or_refused(folder: Path, text: str | bytes) -> tuple[Policy | None, str]:
    try:
        return read(folder, text), ""
    except InvalidParameterError as error:
        return None, str(error)


_VALUES = st.recursive(
    st.booleans() | st.integers() | st.text(max_size=8) | st.just("all") | st.just("hero"),
    lambda inner: st.lists(inner, max_size=3),
)


@given(
    st.sampled_from(["", "[tiers.hero]", "[tiers.own]", "[oauth]", "[tiers]", OAUTH]),
    st.sampled_from([*Tier.model_fields, *Issuer.model_fields, *Policy.model_fields, "x", "read"]),
    _VALUES,
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_is_taken_or_refused_with_its_place(
    tmp_path: Path, section: str, field: str, value: Any
) -> None:
    text = f"{section}\n{field} = {json.dumps(value)}\n"
    try:
        tomllib.loads(text)
    except ValueError:  # JSON escapes what TOML does not
        return
    policy, wrong = _read_or_refused(tmp_path, text)
    if policy is None:
        assert wrong.startswith(f"{tmp_path / 'policy.toml'}, ")
    else:
        assert read(tmp_path, policy.to_toml()) == policy


@given(st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_file_is_read_or_refused(tmp_path: Path, text: bytes) -> None:
    policy, wrong = _read_or_refused(tmp_path, text)
    assert policy is not None or wrong.startswith(str(tmp_path / "policy.toml"))
