"""Checks of the installed packages and of this machine."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import stat
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from _ccxt_marketdata import DISTRIBUTION
from _ccxt_marketdata import others as other_distributions
from marketdata.doctor.found import Check, State
from marketdata.errors import MarketDataError, closest, did_you_mean

if TYPE_CHECKING:
    from packaging.requirements import Requirement

    from marketdata.settings import Settings

PREFIX = "MARKETDATA_"

_ENOUGH_FILES = 4096
_NOT_OURS = {"MARKETDATA_TOKEN"}
"""Variables that other programs read."""


def python() -> Check:
    """Compare the version of Python with the one that the package requires."""
    from packaging.specifiers import SpecifierSet

    wanted = metadata.metadata(DISTRIBUTION)["Requires-Python"]
    here = platform.python_version()
    if SpecifierSet(wanted).contains(here, prereleases=True):
        return Check("ok", "python", here)
    return Check("fail", "python", f"{here}, but {wanted} is required", "install a newer one")


def packages(extras: set[str]) -> Iterator[Check]:
    """Compare installed packages with the requirements, including optional ones."""
    from packaging.requirements import Requirement

    good = 0
    known = metadata.metadata(DISTRIBUTION).get_all("Provides-Extra") or []
    for text in metadata.requires(DISTRIBUTION) or ():
        one = Requirement(text)
        needed = any(_applies(one, extra) for extra in ("", *extras))
        if not needed and not any(_applies(one, extra) for extra in known):
            continue  # for another system or version of Python
        try:
            here = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            if needed:
                parts = f"[{','.join(sorted(extras))}]" if extras else ""
                yield Check(
                    "fail",
                    "packages",
                    f"{one.name} is not installed",
                    f"pip install '{DISTRIBUTION}{parts}'",
                )
            continue
        if one.specifier.contains(here, prereleases=True):
            good += 1
        else:
            state: State = "fail" if needed else "warn"
            said = f"{one.name} is {here}, but {one.specifier} is required"
            yield Check(state, "packages", said, f"pip install '{one.name}{one.specifier}'")
    yield Check("ok", "packages", f"{good} have a supported version")


def _applies(one: Requirement, extra: str) -> bool:
    return one.marker is None or one.marker.evaluate({"extra": extra})


def namesakes() -> Iterator[Check]:
    """Look for other distributions that install a package with our name."""
    for name in other_distributions():
        said = f"{name} also installs a package 'marketdata'; the one installed last is used"
        yield Check("warn", "packages", said, f"keep one of the two: pip uninstall {name}")


def variables() -> Iterator[Check]:
    """Look for MARKETDATA_* variables that nothing reads: most of them are misspelt."""
    from marketdata.settings import Credentials, Settings

    known = {PREFIX + name.upper() for name in Settings.model_fields}
    unknown = {name for name in os.environ if name.startswith(PREFIX)} - known - _NOT_OURS
    if not unknown:
        return
    secrets = [name.upper() for name in Credentials.model_fields]
    known |= {f"{PREFIX}{one.upper()}_{name}" for one in _known_exchanges() for name in secrets}
    for name in sorted(unknown - known):
        near = did_you_mean(closest(name, known, 1))
        yield Check("warn", "variables", f"nothing reads {name}.{near}", "rename or remove it")


def _known_exchanges() -> list[str]:
    from marketdata._client.blocking import Client
    from marketdata.settings import Settings

    home = os.environ.get(f"{PREFIX}HOME")
    with Client(settings=Settings(home=Path(home) if home else None)) as client:
        return [one.id for one in client.exchanges()]


def settings(
    *, exchange: str | None = None, sim: bool | None = None, redis: str | None = None
) -> Settings | Check:
    """Read the MARKETDATA_* variables; return a failed check if one is wrong."""
    from marketdata.settings import Settings

    try:
        return Settings.from_environment(exchange=exchange, sim=sim or None, redis=redis)
    except MarketDataError as error:
        return Check("fail", "variables", error.message.rstrip("."), "correct it")


def home(folder: Path) -> Check:
    """Check whether the folder for files can be written, or created."""
    place = folder.absolute()
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.exists():
        said = f"{folder} cannot be used: {place} is a link to nothing"
        return Check("fail", "home", said, "make that folder, or set MARKETDATA_HOME")
    try:
        with tempfile.TemporaryFile(dir=place):
            pass
    except OSError as error:
        said = f"{folder} cannot be written: {error.strerror}"
        return Check("fail", "home", said, "make this user its owner, or set MARKETDATA_HOME")
    return Check("ok", "home", f"{folder} can be written")


def permissions(folder: Path, *more: Path | None) -> Iterator[Check]:
    """Look for files that other users can write: they could give themselves an account."""
    places = [folder, *folder.glob("*.sqlite*"), folder / "policy.toml", *filter(None, more)]
    open_to_all = []
    for place in places:
        with contextlib.suppress(OSError):
            if place.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
                open_to_all.append(str(place))
    if open_to_all:
        said = f"other users can write {', '.join(open_to_all)}"
        yield Check("fail", "permissions", said, "remove that permission with chmod go-w")
    else:
        yield Check("ok", "permissions", "no other user can write its files")


def open_files() -> Iterator[Check]:
    """Check how many files, and so connections, a process may have open."""
    limit = _allowed_files()
    if limit >= _ENOUGH_FILES:
        yield Check("ok", "open files", "enough files can be open")
    else:
        said = f"only {limit:.0f} files can be open, and each connection needs one"
        yield Check("warn", "open files", said, "ulimit -n 65536, or LimitNOFILE= in the unit")


def _allowed_files() -> float:
    if sys.platform == "win32":
        return math.inf
    else:  # noqa: RET505 - the type checker reads only one of the branches
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return math.inf if limit == resource.RLIM_INFINITY else limit
