"""``marketdata-mcp install``: the entry for each client, and refused calls."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp_admin import FILES, PROJECT_FILES, files, install, servers
from mcp_doors import COMMAND, PATIENCE, environment, finish

from marketdata_mcp.setup.clients import ClientName, place

URL = "https://example.org/mcp"
KEY = "mdk_do_not_tell"


@pytest.fixture
def user(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's home, which is also the working directory."""
    for name in ("XDG_CONFIG_HOME", "CLAUDE_CONFIG_DIR", "MKEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MARKETDATA_HOME", str(home))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["marketdata-mcp"])
    monkeypatch.chdir(tmp_path)
    return tmp_path


# ---------------------------------------------------------------------- what is written


@pytest.mark.parametrize("client", FILES)
def test_each_client_gets_the_program(client: str, user: Path) -> None:
    code, out, err = install(client, "--name", "prices")
    assert (code, err) == (0, "")
    assert str(user / FILES[client]) in out
    assert files(user) == [FILES[client]]
    (name, entry), *others = servers(user / FILES[client]).items()
    assert (name, others) == ("prices", [])
    typed = client in ("claude-code", "vscode")
    program = "cmd" if client == "goose" else "command"
    assert (entry[program], entry["args"]) == (entry[program], [])
    assert Path(entry[program]).is_absolute()
    if client != "goose":
        assert list(entry) == (["type"] if typed else []) + ["command", "args"]
    assert entry.get("type", "stdio") == "stdio"
    assert (user / FILES[client]).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "program", [("marketdata-mcp",), ("marketdata", "mcp"), ("ccxt-marketdata", "mcp")]
)
def test_the_written_command_starts_the_server(
    program: tuple[str, ...], user: Path, home: Path
) -> None:
    name, *words = program
    path = str(Path(COMMAND).with_name(name))
    done = subprocess.run(
        [path, *words, "install", "cursor", "--sim", "-e", "Kraken, okx"],
        env=environment(home),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert done.stderr == ""
    entry = servers(user / FILES["cursor"])["marketdata"]
    assert Path(entry["command"]).is_absolute()
    assert entry["args"] == [*words, "--sim", "--exchange", "kraken,okx"]
    started = StdioServerParameters(
        command=entry["command"], args=entry["args"], env=environment(home)
    )

    async def ask() -> Any:
        async with Client(started) as connected:
            return await connected.call_tool("get_ticker", {"pair": "BTC/USDT"})

    assert finish(ask()).structured_content["exchange"] == "kraken"


@pytest.mark.parametrize("client", PROJECT_FILES)
def test_a_project_has_its_own_file(client: str, user: Path) -> None:
    code, _, _ = install(client, "--project")
    assert code == 0
    assert files(user) == [PROJECT_FILES[client]]
    assert (user / PROJECT_FILES[client]).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize(
    ("client", "entry"),
    [
        (
            "claude-code",
            {"type": "http", "url": URL, "headers": {"Authorization": "Bearer ${MKEY}"}},
        ),
        ("cursor", {"url": URL, "headers": {"Authorization": "Bearer ${env:MKEY}"}}),
        (
            "vscode",
            {
                "type": "http",
                "url": URL,
                "headers": {"Authorization": "Bearer ${input:marketdata-key}"},
            },
        ),
        ("windsurf", {"url": URL, "headers": {"Authorization": "Bearer ${env:MKEY}"}}),
        ("codex", {"url": URL, "bearer_token_env_var": "MKEY"}),
        ("gemini", {"httpUrl": URL, "headers": {"Authorization": "Bearer $MKEY"}}),
        (
            "goose",
            {
                "enabled": True,
                "name": "marketdata",
                "timeout": 300,
                "type": "streamable_http",
                "uri": URL,
                "env_keys": ["MKEY"],
                "headers": {"Authorization": "Bearer ${MKEY}"},
            },
        ),
    ],
)
def test_a_key_is_referenced_by_variable(
    client: str,
    entry: dict[str, Any],
    user: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MKEY", KEY)
    code, out, err = install(client, "--url", URL, "--key-variable", "MKEY")
    assert (code, err) == (0, "")
    written = (user / FILES[client]).read_text()
    assert KEY not in written + out
    assert servers(user / FILES[client])["marketdata"] == entry


@pytest.mark.parametrize(("client", "typed"), [("zed", {}), ("cline", {"type": "streamableHttp"})])
def test_a_key_is_written_if_the_client_has_no_variables(
    client: str, typed: dict[str, str], user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKEY", KEY)
    code, out, _ = install(client, "--url", URL, "--key-variable", "MKEY")
    assert code == 0
    assert KEY not in out
    named = {"Authorization": f"Bearer {KEY}"}
    written = servers(user / FILES[client])["marketdata"]
    assert written == {**typed, "url": URL, "headers": named}
    assert KEY not in install(client, "--url", URL, "--key-variable", "MKEY", "--print")[1]


def test_vscode_asks_for_the_key_once(user: Path) -> None:
    file = user / FILES["vscode"]
    file.parent.mkdir(parents=True)
    other = {"type": "promptString", "id": "other", "description": "Other"}
    file.write_text(json.dumps({"inputs": [other, "odd"], "servers": {}}))
    for url in (URL, URL, "https://example.net/mcp"):
        assert install("vscode", "--url", url, "--key-variable", "MKEY")[0] == 0
    inputs = json.loads(file.read_text())["inputs"]
    assert inputs[:2] == [other, "odd"]
    (asked,) = inputs[2:]
    assert (asked["id"], asked["password"]) == ("marketdata-key", True)
    assert "example.net" in asked["description"]


def test_claude_desktop_reaches_a_url_through_mcp_remote(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKEY", KEY)
    arguments = ("claude-desktop", "--url", URL, "--key-variable", "MKEY")
    _, out, err = install(*arguments, "--print")
    assert KEY not in out + err
    code, out, err = install(*arguments)
    assert (code, err) == (0, "")
    assert KEY not in out
    file = user / FILES["claude-desktop"]
    entry = servers(file)["marketdata"]
    assert Path(entry["command"]).name.startswith("npx")
    assert entry["args"][1:3] == ["mcp-remote@0.15", URL]
    assert entry["args"][3:] == ["--header", "Authorization:${AUTHORIZATION}"]
    assert entry["env"] == {"AUTHORIZATION": f"Bearer {KEY}"}
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_file_with_a_key_warns_about_its_readers(
    user: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MKEY", KEY)
    file = user / FILES["claude-desktop"]
    file.parent.mkdir(parents=True)
    file.write_text("{}")
    file.chmod(0o644)
    code, _, err = install("claude-desktop", "--url", URL, "--key-variable", "MKEY")
    assert code == 0
    assert "others on this machine can read" in err
    assert file.stat().st_mode & 0o777 == 0o644


def test_an_unencrypted_key_is_warned_about(user: Path) -> None:
    far = install("cursor", "--url", "http://example.org/mcp", "--key-variable", "MKEY")
    near = install("cursor", "--url", "http://127.0.0.1:8000/mcp", "--key-variable", "MKEY")
    assert "unencrypted" in far[2]
    assert near[2] == ""


@pytest.mark.parametrize("client", FILES)
def test_print_shows_the_change_and_writes_nothing(client: str, user: Path) -> None:
    code, out, err = install(client, "--print")
    assert code == 0
    assert str(user / FILES[client]) in err
    assert files(user) == []
    install(client)
    assert (user / FILES[client]).read_text().strip() == out.strip()


def test_windsurf_before_it_became_devin(user: Path) -> None:
    older = user / ".codeium/windsurf"
    older.mkdir(parents=True)
    assert install("windsurf", "--url", URL)[0] == 0
    assert servers(older / "mcp_config.json")["marketdata"] == {"serverUrl": URL}
    (user / ".config/devin").mkdir(parents=True)
    assert install("windsurf", "--url", URL)[0] == 0
    assert servers(user / FILES["windsurf"])["marketdata"] == {"url": URL}


@pytest.mark.parametrize(
    ("client", "platform", "file"),
    [
        ("claude-desktop", "darwin", "~/Library/Application Support/Claude/"),
        ("claude-desktop", "win32", "ROAMING/Claude/"),
        ("claude-code", "darwin", "~/.claude.json"),
        ("claude-code", "win32", "~/.claude.json"),
        ("cursor", "darwin", "~/.cursor/mcp.json"),
        ("cursor", "win32", "~/.cursor/mcp.json"),
        ("vscode", "darwin", "~/Library/Application Support/Code/User/mcp.json"),
        ("vscode", "win32", "ROAMING/Code/User/mcp.json"),
        ("windsurf", "darwin", "~/.config/devin/mcp_config.json"),
        ("windsurf", "win32", "ROAMING/devin/mcp_config.json"),
    ],
)
def test_files_on_other_systems(client: str, platform: str, file: str, tmp_path: Path) -> None:
    given = {"USERPROFILE" if platform == "win32" else "HOME": str(tmp_path)}
    roaming = tmp_path / "AppData/Roaming"
    expected = file.replace("~", str(tmp_path)).replace("ROAMING", str(roaming))
    for variables in (given, {**given, "APPDATA": str(roaming)}):
        found = place(ClientName(client), platform=platform, environment=variables)
        assert found is not None
        assert str(found.file).startswith(expected)


def test_variables_that_move_a_file(tmp_path: Path) -> None:
    moved = {"HOME": "/nobody", "XDG_CONFIG_HOME": "/x", "CLAUDE_CONFIG_DIR": "/c"}

    def there(client: str) -> str:
        found = place(ClientName(client), platform="linux", environment=moved)
        assert found is not None
        return str(found.file)

    assert there("claude-desktop") == "/x/Claude/claude_desktop_config.json"
    assert there("vscode") == "/x/Code/User/mcp.json"
    assert there("claude-code") == "/c/.claude.json"
    assert there("windsurf") == "/nobody/.config/devin/mcp_config.json"


# ---------------------------------------------------------------------- wrong calls


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Missing argument 'CLIENT'"),
        (["emacs"], "CLIENT is one of claude-desktop"),
        (["cursr"], "Did you mean cursor?"),
        (["cursor", "--frobnicate"], "No such option"),
        (["cursor", "--name", "two words"], "--name is"),
        (["cursor", "--name", ""], "--name is"),
        (["cursor", "--name", "x" * 65], "--name is"),
        (["cursor", "--exchange", "binanc"], "Did you mean binance"),
        (["cursor", "--exchange", ""], "there is no exchange ''"),
        (["cursor", "--key-variable", "MKEY"], "--key-variable belongs to --url"),
        (["cursor", "--url", "example.org/mcp"], "--url is a URL"),
        (["cursor", "--url", "ftp://example.org"], "--url is a URL"),
        (["cursor", "--url", "https://"], "--url is a URL"),
        (["cursor", "--url", "https://example.org:x/"], "--url is a URL"),
        (["cursor", "--url", "https://example.org/a b"], "--url is a URL"),
        (["cursor", "--url", "https://me:pw@example.org/mcp"], "--url must not contain a user"),
        (["cursor", "--url", URL, "--sim"], "do not apply to a server at --url"),
        (["cursor", "--url", URL, "-e", "okx"], "do not apply to a server at --url"),
        (["cursor", "--url", URL, "--key-variable", "mdk-1"], "name of an environment variable"),
        (["claude-desktop", "--project"], "has no file for a project"),
        (["claude-desktop", "--url", URL, "--key-variable", "MKEY"], "MKEY holds no key"),
    ],
)
def test_a_wrong_call_is_one_line_and_2(arguments: list[str], said: str, user: Path) -> None:
    code, out, err = install(*arguments)
    assert (code, out) == (2, "")
    assert said in err
    assert err.startswith("marketdata-mcp: ")
    assert err.count("\n") == 1
    assert "pw" not in err
    assert files(user) == []


def test_help_needs_no_colours(user: Path) -> None:
    done = subprocess.run(
        [COMMAND, "install", "--help"],
        env=environment(user, PYTHONPROFILEIMPORTTIME="1"),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert "--key-variable NAME" in done.stdout
    assert not re.search(r"\| +(rich|ccxt|aiohttp)\n", done.stderr)
