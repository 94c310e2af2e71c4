"""Clients' files in TOML and YAML: a server is added, and nothing else changes."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from marketdata_mcp.setup.files import UnusableError, with_toml, with_yaml

ENTRY = {"command": "/a b/market\"data'\\", "args": ["--sim", "é"]}
TOML = """\
# what I like
model = "o9"  # the best

[mcp_servers.other]
command = "x"

[profiles.fast]
model = "o9-mini"
"""
YAML = """\
# what I like
GOOSE_PROVIDER: openai  # the best
extensions:
  # built in
  developer:
    enabled: true
    type: builtin
GOOSE_MODEL: o9
"""


@pytest.mark.parametrize("text", ["", "\n", TOML, '[mcp_servers]\nother = {command = "x"}\n'])
def test_toml_gets_a_table_at_the_end(text: str) -> None:
    new = with_toml(text, "mcp_servers", "market-data", ENTRY)
    assert new.startswith(text.rstrip())
    known = tomllib.loads(text)
    servers = {**known.get("mcp_servers", {}), "market-data": ENTRY}
    assert tomllib.loads(new) == {**known, "mcp_servers": servers}
    assert with_toml(new, "mcp_servers", "market-data", ENTRY) == new


@pytest.mark.parametrize(
    "text",
    [
        "[mcp_servers.market-data]\ncommand = 'y'\n",
        "mcp_servers = {other = {command = 'x'}}\n",
        "mcp_servers = 3\n",
        "[mcp_servers\n",
    ],
)
def test_toml_that_cannot_be_extended_is_left_alone(text: str) -> None:
    with pytest.raises(UnusableError):
        with_toml(text, "mcp_servers", "market-data", ENTRY)


@pytest.mark.parametrize(
    "text",
    [
        *("", "A: 1\n", "A: 1", "extensions:\nA: 1\n", "extensions: {}\nA: 1\n", YAML),
        *("extensions:\n\n    a:\n        b: 1\nC: 2\n", 'A: "extensions:"\n'),
    ],
)
def test_yaml_gets_a_block_before_the_others(text: str) -> None:
    new = with_yaml(text, "extensions", "market-data", ENTRY)
    known: dict[str, Any] = yaml.safe_load(text) or {}
    servers = {**(known.get("extensions") or {}), "market-data": ENTRY}
    assert yaml.safe_load(new) == {**known, "extensions": servers}
    assert with_yaml(new, "extensions", "market-data", ENTRY) == new
    assert all(line in new.splitlines() for line in text.splitlines() if "{}" not in line)


@pytest.mark.parametrize(
    "text",
    [
        "extensions:\n  market-data:\n    cmd: y\n",
        "extensions: {a: 1}\n",
        "extensions: &x\n  a: 1\n",
        "a: 1\n---\nextensions:\n",
        "extensions:\n  a: 1\nextensions:\n  b: 1\n",
        '"extensions":\n  a: 1\n',
    ],
)
def test_yaml_that_cannot_be_extended_is_left_alone(text: str) -> None:
    with pytest.raises(UnusableError):
        with_yaml(text, "extensions", "market-data", ENTRY)


_NAMES = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,8}", fullmatch=True)
_PLAIN = st.one_of(st.booleans(), st.integers(), st.text(max_size=8), st.none())


@given(
    st.dictionaries(
        _NAMES.filter(lambda name: name != "extensions"),
        st.one_of(_PLAIN, st.lists(_PLAIN, max_size=2)),
        max_size=3,
    ),
    st.dictionaries(_NAMES, st.dictionaries(_NAMES, _PLAIN, min_size=1, max_size=2), max_size=3),
    st.integers(2, 8),
)
def test_any_yaml_of_a_client_is_kept(
    more: dict[str, Any], servers: dict[str, Any], indent: int
) -> None:
    known = {**more, "extensions": servers}
    text = yaml.safe_dump(known, indent=indent, sort_keys=False)
    try:
        new = with_yaml(text, "extensions", "market-data", ENTRY)
    except UnusableError:
        return
    assert yaml.safe_load(new) == {**known, "extensions": {**servers, "market-data": ENTRY}}
