"""``marketdata-mcp install``: adds this server to a client's configuration."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import sys
import tempfile
from codecs import BOM_UTF8
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NoReturn
from urllib.parse import urlsplit

import typer

from marketdata.errors import InvalidParameterError, closest, did_you_mean
from marketdata.exchange_names import exchange_id
from marketdata_mcp.setup.clients import ClientName, Place, Server, addition, place
from marketdata_mcp.setup.files import UnusableError, in_toml, in_yaml, with_toml, with_yaml
from marketdata_mcp.setup.program import PROGRAM

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_KEY = re.compile(r"[!-~]+")


def install(
    client: Annotated[
        str, typer.Argument(metavar="CLIENT", help=f"One of {', '.join(ClientName)}.")
    ],
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="A server that runs elsewhere, instead of this program."),
    ] = None,
    key_variable: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Environment variable with the key for --url. The client reads it, or asks for "
            "the key; it is written down for claude-desktop, zed and cline, which can do neither.",
        ),
    ] = None,
    name: Annotated[
        str, typer.Option(metavar="NAME", help="Name of the server in the client.")
    ] = "marketdata",
    exchange: Annotated[
        str | None,
        typer.Option(
            "--exchange", "-e", metavar="ID[,ID...]", help="Default exchange of the server."
        ),
    ] = None,
    sim: Annotated[bool, typer.Option("--sim", help="Use the simulated exchange.")] = False,
    project: Annotated[
        bool, typer.Option("--project", help="Only for the project in this folder.")
    ] = False,
    show: Annotated[
        bool, typer.Option("--print", help="Show what would be written, and write nothing.")
    ] = False,
) -> None:
    """Set up a client: write this server into its configuration.

    The rest of the file does not change. A backup with the date is saved next to it. A file that
    is not plain JSON is not changed.
    """
    if client not in tuple(ClientName):
        near = did_you_mean(closest(client, ClientName))
        _refuse(f"CLIENT is one of {', '.join(ClientName)}.{near}")
    where = place(ClientName(client), project=project)
    if where is None:
        _refuse(f"{client} has no file for a project; leave out --project.")
    server = _server(url, key_variable, name, exchange, sim)
    if show:
        _show(where, server)
        return
    key = _key(client, where, server)
    try:
        had, kept = _write(where, addition(where, server, key), private=not project)
    except UnusableError as error:
        _say(f"{where.file} {error}; nothing was changed. Add this to it yourself:")
        typer.echo(_shown(where, addition(where, server, key and "***")))
        raise typer.Exit(1) from None
    except OSError as error:
        error.filename = str(where.file)
        raise
    if had:
        typer.echo(f"{where.file} has '{name}' already.")
        return
    before = f" A backup of the file is {kept.name}, in the same folder." if kept else ""
    typer.echo(f"{where.file} has '{name}' now.{before} {where.then}")
    # On Windows, other users cannot read a user's files, whatever their mode is.
    readable = sys.platform != "win32" and where.file.stat().st_mode & 0o077
    if key is not None and readable:
        _say(f"others on this machine can read the key in {where.file}; chmod 600 prevents this.")
    if server.insecure and key_variable is not None:
        _say("the key will be sent unencrypted; use https://.")


def _server(
    url: str | None, key_variable: str | None, name: str, exchange: str | None, sim: bool
) -> Server:
    if not _NAME.fullmatch(name):
        _refuse("--name is 1 to 64 letters, digits, - or _.")
    if url is None:
        if key_variable is not None:
            _refuse("--key-variable belongs to --url.")
        return Server(name, command=(*_program(), *_options(exchange, sim)))
    if exchange or sim:
        _refuse("--exchange and --sim do not apply to a server at --url; leave them out.")
    if key_variable is not None and not _VARIABLE.fullmatch(key_variable):
        _refuse("--key-variable is the name of an environment variable, not the key.")
    return Server(name, url=url, key_variable=key_variable, insecure=_is_insecure(url))


def _is_insecure(url: str) -> bool:
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host or parts.scheme not in ("http", "https") or not _KEY.fullmatch(url):
        _refuse("--url is a URL such as https://example.org/mcp.")
    if parts.username is not None:
        _refuse("--url must not contain a user; --key-variable names a key.")
    return parts.scheme == "http" and host not in ("localhost", "127.0.0.1", "::1")


def _program() -> tuple[str, ...]:
    """Return the command that started this process, usable from any folder."""
    started = Path(sys.argv[0])
    if started.name == "__main__.py":
        return (sys.executable, "-m", "marketdata_mcp")
    # On Windows, the file has an ending that was not typed.
    program = shutil.which(str(started.absolute())) or str(started.absolute())
    # Under its other names, `marketdata` and `ccxt-marketdata`, the program has other commands.
    return (program,) if started.stem == PROGRAM else (program, "mcp")


def _options(exchange: str | None, sim: bool) -> list[str]:
    chosen = ["--sim"] if sim else []
    if exchange is None:
        return chosen
    from marketdata import Client

    with Client() as client:
        known = [one.id for one in client.exchanges()]
    ids = [exchange_id(part) for part in exchange.split(",")]
    for one in ids:
        if one not in known:
            near = did_you_mean(closest(one, known))
            _refuse(f"--exchange: there is no exchange '{one[:40]}'.{near}")
    return [*chosen, "--exchange", ",".join(ids)]


def _key(client: str, where: Place, server: Server) -> str | None:
    """Return the key if it has to be written into the file."""
    if server.key_variable is None or (where.url is not None and where.keeps_keys_apart):
        return None
    key = os.environ.get(server.key_variable, "").strip()
    if not _KEY.fullmatch(key):
        _refuse(f"{client} does not support variables, and {server.key_variable} holds no key.")
    return key


def _show(where: Place, server: Server) -> None:
    key = "***" if server.key_variable is not None else None
    _say(f"would go into {where.file}:")
    typer.echo(_shown(where, addition(where, server, key)))


def _shown(where: Place, added: Mapping[str, Any]) -> str:
    """Return the addition in the format of the client's file."""
    ((servers, named),) = added.items() if where.format != "json" else [("", {"": {}})]
    ((name, entry),) = named.items()
    match where.format:
        case "toml":
            return in_toml(servers, name, entry).rstrip()
        case "yaml":
            return in_yaml(servers, name, entry).rstrip()
    return _json(added, 2)


def _write(where: Place, added: Mapping[str, Any], *, private: bool) -> tuple[bool, Path | None]:
    """Update a file; return whether it was up to date, and the path of the backup."""
    # The target of a link changes, and the link stays. `resolve` fails for circular links.
    file = Path(os.path.realpath(where.file))
    old = file.read_bytes() if file.exists() else None
    data = _changed(where, old or b"", added)
    if data == old:
        return True, None
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        new_mode = 0o600 if private else 0o644
        Path(temporary).chmod(new_mode if old is None else stat.S_IMODE(file.stat().st_mode))
        if (file.read_bytes() if file.exists() else None) != old:
            raise UnusableError("was changed by another program just now")
        kept = None if old is None else _backup(file)
        Path(temporary).replace(file)
    except BaseException:
        with suppress(FileNotFoundError):
            Path(temporary).unlink()
        raise
    return False, kept


def _changed(where: Place, old: bytes, added: Mapping[str, Any]) -> bytes:
    """Return the text of a file with the addition; unchanged if it is already there."""
    if where.format == "json":
        known = _parsed(old)
        new = _merged(known, added)
        return old if old and new == known else _encoded(new, old)
    ((servers, named),) = added.items()
    ((name, entry),) = named.items()
    add = with_toml if where.format == "toml" else with_yaml
    try:
        text = old.decode()
    except UnicodeDecodeError:
        raise UnusableError("is not UTF-8") from None
    new_text = add(text.replace("\r\n", "\n"), servers, name, entry)
    return (new_text.replace("\n", "\r\n") if "\r\n" in text else new_text).encode()


def _parsed(data: bytes) -> dict[str, Any]:
    """Read a file; raises `UnusableError` if writing it again would lose something."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UnusableError("is not UTF-8") from None
    if not text.strip():
        return {}
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_number)
    except json.JSONDecodeError as error:
        raise UnusableError(
            f"has comments or is not JSON (line {error.lineno}, column {error.colno})"
        ) from None
    except (ValueError, RecursionError):
        raise UnusableError("has numbers or levels that not every program can read") from None
    if not isinstance(found, dict):
        raise UnusableError("is not a JSON object")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise UnusableError("has a name twice in one object")
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError


def _merged(known: Mapping[str, Any], added: Mapping[str, Any]) -> dict[str, Any]:
    new = dict(known)
    for name, more in added.items():
        there = new.get(name, type(more)())
        if not isinstance(there, type(more)):
            raise UnusableError(f"has something else under '{name}'")
        if isinstance(there, dict):
            new[name] = {**there, **more}
        else:
            ids = {one["id"]: one for one in more}
            new[name] = [ids.pop(_id(one), one) for one in there]
            new[name] += ids.values()
    return new


def _id(one: Any) -> Any:
    found = one.get("id") if isinstance(one, dict) else None
    return found if isinstance(found, str) else None


def _encoded(new: Mapping[str, Any], old: bytes) -> bytes:
    """Return JSON in the formatting of the file."""
    text = old.decode("utf-8-sig")
    indented = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    one_line = bool(text.strip()) and "\n" not in text.strip() and text.strip() != "{}"
    indent = None if one_line else (indented[1] if indented else "  ")
    try:
        said = _json(new, indent) + ("\n" if text[-1:] in ("", "\n") else "")
    except (ValueError, RecursionError):
        raise UnusableError("has numbers or levels that not every program can read") from None
    if "\r\n" in text:
        said = said.replace("\n", "\r\n")
    # A lone surrogate in JSON has no UTF-8 form, so it is escaped as before.
    data = said.encode("utf-8", "backslashreplace")
    return BOM_UTF8 + data if old.startswith(BOM_UTF8) else data


def _json(value: Mapping[str, Any], indent: int | str | None) -> str:
    return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)


def _backup(file: Path) -> Path:
    """Copy a file to one with the date in the same folder."""
    now = datetime.now().astimezone().strftime("%Y-%m-%d-%H%M%S")
    for number in range(1000):
        again = f".{number}" if number else ""
        kept = file.with_name(f"{file.name}.{now}{again}.bak")
        if not kept.exists():
            break
    shutil.copy2(file, kept)
    return kept


def _refuse(message: str) -> NoReturn:
    raise InvalidParameterError(message)


def _say(line: str) -> None:
    typer.echo(f"{PROGRAM}: {line}", err=True)
