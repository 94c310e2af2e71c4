"""``marketdata-mcp install`` with existing files: nothing in them is ever lost."""

import json
import os
import re
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mcp_admin import FILES, files, install, servers

KEY = "mdk_do_not_tell"


@pytest.fixture
def user(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, which is also the working directory."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "MKEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MARKETDATA_HOME", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


HELD = """{
    "theme": "dark",
    "mcpServers": {
        "zebra": {"command": "z"},
        "marketdata": {"command": "old", "env": {"A": "1"}}
    },
    "ünï": "\\ud83d \\u00e9 ✓",
    "n": [9007199254740993, 0.1, 1e3, -0, null, true],
    "": {}
}
"""


def test_the_rest_of_a_file_does_not_change(user: Path) -> None:
    file = user / FILES["cursor"]
    file.parent.mkdir()
    file.write_text(HELD)
    file.chmod(0o640)
    code, out, _ = install("cursor")
    assert code == 0
    before, after = json.loads(HELD), json.loads(file.read_text())
    assert after["mcpServers"].pop("marketdata") != before["mcpServers"].pop("marketdata")
    assert after == before
    assert list(after) == list(before)
    assert '\n    "theme"' in file.read_text()  # as far in as before
    assert "ünï" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    (kept,) = set(files(file.parent)) - {"mcp.json"}
    assert re.fullmatch(r"mcp\.json\.\d{4}-\d\d-\d\d-\d{6}\.bak", kept)
    assert kept in out
    assert (file.parent / kept).read_text() == HELD
    assert stat.S_IMODE((file.parent / kept).stat().st_mode) == 0o640


def _written(file: Path) -> tuple[int, ...]:
    """Return which file it is and when it was written; reading it leaves that as it is."""
    found = file.stat()
    return found.st_ino, found.st_mode, found.st_size, found.st_mtime_ns


def test_a_second_run_changes_nothing(user: Path) -> None:
    file = user / FILES["claude-code"]
    file.write_text(HELD)
    assert install("claude-code")[0] == 0
    there = {name: _written(user / name) for name in files(user)}
    code, out, _ = install("claude-code")
    assert code == 0
    assert "already" in out
    assert {name: _written(user / name) for name in files(user)} == there


def test_each_change_keeps_a_backup(user: Path) -> None:
    for name in ("a", "b", "c"):  # within one second, as a rule
        assert install("cursor", "--name", name)[0] == 0
    assert list(servers(user / FILES["cursor"])) == ["a", "b", "c"]
    assert len(files(user)) == 3


def test_a_symbolic_link_stays_a_link(user: Path) -> None:
    real = user / "dotfiles/mcp.json"
    real.parent.mkdir()
    real.write_text("{}")
    link = user / FILES["cursor"]
    link.parent.mkdir()
    link.symlink_to(real)
    assert install("cursor")[0] == 0
    assert link.is_symlink()
    assert "marketdata" in servers(real)


def test_a_dangling_link_creates_its_target(user: Path) -> None:
    link = user / FILES["cursor"]
    link.parent.mkdir()
    link.symlink_to(user / "dotfiles/mcp.json")
    assert install("cursor")[0] == 0
    assert link.is_symlink()
    assert "marketdata" in servers(user / "dotfiles/mcp.json")


@pytest.mark.parametrize(
    ("held", "written"),
    [
        (b'{"a": 1}', rb'\{"a": 1, "mcpServers": .*\}\}\}'),
        (b"{}\n", rb'\{\n  "mcpServers": .*\n\}\n'),
        (b"", rb'\{\n  "mcpServers": .*\n\}\n'),
        (b"\n", rb'\{\n  "mcpServers": .*\n\}\n'),
        (b'{\n\t"a": 1\n}', rb'\{\n\t"a": 1,\n\t"mcpServers": .*\n\}'),
        (b'{\r\n  "a": 1\r\n}\r\n', rb'\{\r\n  "a": 1,\r\n  "mcpServers": .*\r\n\}\r\n'),
        (b'\xef\xbb\xbf{"a": 1}', rb'\xef\xbb\xbf\{"a": 1, "mcpServers": .*\}\}\}'),
    ],
)
def test_a_file_keeps_its_formatting(held: bytes, written: bytes, user: Path) -> None:
    file = user / FILES["cursor"]
    file.parent.mkdir()
    file.write_bytes(held)
    assert install("cursor")[0] == 0
    data = file.read_bytes()
    assert re.fullmatch(written, data, re.DOTALL), data
    if b"\r\n" in held:
        assert data.count(b"\n") == data.count(b"\r\n")


@pytest.mark.parametrize(
    ("held", "said"),
    [
        (b'{\n  // mine\n  "mcpServers": {}\n}', "has comments or is not JSON (line 2, column 3)"),
        (b'{"mcpServers": {},}', "has comments or is not JSON"),
        (b"not json", "has comments or is not JSON"),
        (b'{"mcpServers": {}, "mcpServers": {"a": {}}}', "has a name twice"),
        (b'{"a": {"b": 1, "b": 2}}', "has a name twice"),
        (b"[]", "is not a JSON object"),
        (b'"text"', "is not a JSON object"),
        (b'{"mcpServers": []}', "has something else under 'mcpServers'"),
        (b'{"mcpServers": null}', "has something else under 'mcpServers'"),
        (b'{"a": NaN}', "has numbers"),
        (b'{"a": 1e999}', "has numbers"),
        (b'{"a": ' + b"9" * 5000 + b"}", "has numbers"),
        (b'{"a": ' + b"[" * 100_000, "has numbers or levels"),
        (b'{"a": "\xe9"}', "is not UTF-8"),
        ('{"a": 1}'.encode("utf-16"), "is not UTF-8"),
    ],
)
def test_a_file_that_cannot_be_changed_is_left_alone(held: bytes, said: str, user: Path) -> None:
    file = user / FILES["cursor"]
    file.parent.mkdir()
    file.write_bytes(held)
    code, out, err = install("cursor")
    assert code == 1
    assert said in err
    assert err.count("\n") == 1
    assert file.read_bytes() == held
    assert files(user) == [FILES["cursor"]]
    assert "marketdata" in json.loads(out)["mcpServers"]  # to be pasted


def test_the_text_to_paste_has_no_key(user: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MKEY", KEY)
    file = user / FILES["claude-desktop"]
    file.parent.mkdir(parents=True)
    file.write_text("// mine")
    code, out, err = install(
        "claude-desktop", "--url", "https://example.org/mcp", "--key-variable", "MKEY"
    )
    assert code == 1
    assert KEY not in out + err


def test_concurrent_changes_of_other_programs_are_not_lost(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = user / FILES["claude-code"]
    file.write_text("{}")
    monkeypatch.setattr(os, "fsync", lambda _: file.write_text('{"new": 1}'))
    code, _, err = install("claude-code")
    assert code == 1
    assert "changed by another program" in err
    assert files(user) == [".claude.json"]
    assert file.read_text() == '{"new": 1}'


@pytest.mark.parametrize("client", ["cursor", "vscode"])
def test_an_unwritable_folder_is_one_line_and_1(client: str, user: Path) -> None:
    (user / ".cursor").write_text("a file where a folder should be")
    (user / ".config").symlink_to(user / ".config")
    code, out, err = install(client)
    assert (code, out) == (1, "")
    assert err.startswith("marketdata-mcp: ")
    assert err.count("\n") == 1


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    held=st.dictionaries(st.text(), json_values),
    known=st.dictionaries(st.text(), json_values),
    indent=st.sampled_from([None, 1, "\t"]),
    ascii_only=st.booleans(),
)
def test_any_object_survives(
    user: Path,
    held: dict[str, Any],
    known: dict[str, Any],
    indent: int | str | None,
    ascii_only: bool,
) -> None:
    file = user / FILES["cursor"]
    file.parent.mkdir(exist_ok=True)
    whole = {**held, "mcpServers": known}
    try:
        text = json.dumps(whole, allow_nan=False, indent=indent, ensure_ascii=ascii_only)
    except ValueError:  # an infinite number
        return
    file.write_bytes(text.encode("utf-8", "backslashreplace"))
    assert install("cursor", "--name", "ours")[0] == 0
    after = json.loads(file.read_bytes())
    if "ours" not in known:
        del after["mcpServers"]["ours"]
        assert after == whole
    for one in file.parent.iterdir():
        one.unlink()
