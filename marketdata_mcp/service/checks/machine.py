"""What is installed, and what this machine allows."""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from marketdata.errors import MarketDataError, closest, did_you_mean
from marketdata_mcp.service.checks.found import PACKAGE, Check, Setup, State

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from marketdata.settings import Settings

PREFIX = "MARKETDATA_"

_ENOUGH_FILES = 4096


def python() -> Check:
    """Compare the interpreter with what the package asks for."""
    from packaging.specifiers import SpecifierSet

    wanted = metadata.metadata(PACKAGE)["Requires-Python"]
    here = platform.python_version()
    if SpecifierSet(wanted).contains(here, prereleases=True):
        return Check("ok", "python", here)
    return Check("fail", "python", f"{here}, where {wanted} is wanted", "install a newer one")


def packages(extras: set[str]) -> Iterator[Check]:
    """Compare what is installed with what the package asks for, optional parts too."""
    from packaging.requirements import Requirement

    good = 0
    for text in metadata.requires(PACKAGE) or ():
        one = Requirement(text)
        needed = any(_applies(one, extra) for extra in ("", *extras))
        if not needed and not any(_applies(one, extra) for extra in _extras()):
            continue  # of another system or version of Python
        try:
            here = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            if needed:
                parts = f"[{','.join(sorted(extras))}]" if extras else ""
                yield Check(
                    "fail",
                    "packages",
                    f"{one.name} is not installed",
                    f"pip install '{PACKAGE}{parts}'",
                )
            continue
        if one.specifier.contains(here, prereleases=True):
            good += 1
        else:
            state: State = "fail" if needed else "warn"
            said = f"{one.name} is {here}, where {one.specifier} is wanted"
            yield Check(state, "packages", said, f"pip install '{one.name}{one.specifier}'")
    yield Check("ok", "packages", f"{good} have a version that is wanted")


def _applies(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _extras() -> list[str]:
    return metadata.metadata(PACKAGE).get_all("Provides-Extra") or []


def variables() -> Iterator[Check]:
    """Look for variables that nothing reads, which are misspelt as a rule."""
    from marketdata.settings import Credentials, Settings

    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = {name for name in os.environ if name.startswith(PREFIX)} - known
    if not unknown:
        return
    secrets = [name.upper() for name in Credentials.model_fields]
    known |= {f"{PREFIX}{one.upper()}_{name}" for one in _known_exchanges() for name in secrets}
    for name in sorted(unknown - known):
        near = did_you_mean(closest(name, known, 1))
        yield Check("warn", "variables", f"nothing reads {name}.{near}", "rename or remove it")


def _known_exchanges() -> list[str]:
    from marketdata import Client
    from marketdata.settings import Settings

    home = os.environ.get(f"{PREFIX}HOME")
    with Client(settings=Settings(home=Path(home) if home else None)) as client:
        return [one.id for one in client.exchanges()]


def settings(setup: Setup) -> Settings | Check:
    """Read the MARKETDATA_* variables, or tell which one is wrong."""
    from marketdata.settings import Settings

    try:
        return Settings.from_environment(
            exchange=setup.exchange, sim=setup.sim or None, redis=setup.redis
        )
    except MarketDataError as error:
        return Check("fail", "variables", error.message.rstrip("."), "correct it")


def home(folder: Path) -> Check:
    """Look whether the folder for files can be written; it may have to be made."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}"
        return Check("fail", "home", said, "give it to this user, or set MARKETDATA_HOME")
    return Check("ok", "home", f"{folder} can be written")


def others(folder: Path, *more: Path | None) -> Iterator[Check]:
    """Look for files that somebody else may write: they could make themselves an account."""
    places = [folder, *folder.glob("*.sqlite*"), folder / "policy.toml", *filter(None, more)]
    open_to_all = []
    for place in places:
        with contextlib.suppress(OSError):
            if place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                open_to_all.append(str(place))
    if open_to_all:
        said = f"others may write {', '.join(open_to_all)}"
        yield Check("fail", "permissions", said, "chmod go-w takes that from them")
    else:
        yield Check("ok", "permissions", "nobody else may write its files")


def open_files() -> Iterator[Check]:
    """Look how many connections a process may have."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY or limit >= _ENOUGH_FILES:
        yield Check("ok", "open files", "enough may be open")
    else:
        said = f"only {limit} may be open, and each connection is one"
        yield Check("warn", "open files", said, "ulimit -n 65536, or LimitNOFILE= in the unit")
