"""Loads one exchange of ccxt without the hundred others.

``import ccxt`` loads every exchange: 0.4 s and 70 MiB, and twice that with the asynchronous part.
Here ccxt's packages are put into ``sys.modules`` without running them. Importing
``ccxt.async_support.binance`` then runs only that module and the modules it needs. The first use of
a name of such a package loads it: a name that its ``__init__`` only imports from one of its modules
is imported from there, and any other name runs the real ``__init__``. So a program that imports
ccxt itself, earlier or later and from any thread, finds all of it.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import pkgutil
import re
import sys
import threading
from importlib.abc import InspectLoader
from types import ModuleType
from typing import Any

_PACKAGES = ("ccxt", "ccxt.async_support", "ccxt.pro")
_lock = threading.RLock()


class _LazyPackage(ModuleType):
    """A package whose ``__init__`` has not run yet."""

    _sources: dict[str, str]
    """The names that the ``__init__`` imports, with their modules."""

    def __getattr__(self, name: str) -> Any:
        if name in self._sources:
            value = getattr(importlib.import_module(self._sources[name]), name)
            self.__dict__[name] = value
            return value
        if name.startswith("__") and name not in ("__all__", "__version__"):
            raise AttributeError(name)
        self._run()
        try:
            return self.__dict__[name]
        except KeyError:
            raise AttributeError(f"module '{self.__name__}' has no attribute '{name}'") from None

    def __setattr__(self, name: str, value: Any) -> None:
        # The import system sets each imported module on its package. If the package has a class
        # of the same name (ccxt.binance), the class must win, as in the real package.
        if not (isinstance(value, ModuleType) and self._sources.get(name) == value.__name__):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        self._run()
        return sorted(self.__dict__)

    def _run(self) -> None:
        # Other threads wait here until the package has run. The running thread enters again when
        # the package uses a name that it does not have yet.
        with _lock:
            spec, state = self.__spec__, self.__dict__
            if self.__class__ is not _LazyPackage or "_runs" in state:
                return
            state["_runs"] = True
            try:
                if spec is not None and spec.loader is not None:
                    spec.loader.exec_module(self)
            finally:
                del state["_runs"]
            self.__class__ = ModuleType  # type: ignore[assignment]


def prepare_packages() -> None:
    """Put ccxt's packages into ``sys.modules`` without running them, unless they are imported."""
    with _lock:
        for name in _PACKAGES:
            if name in sys.modules:
                continue
            spec = importlib.util.find_spec(name)
            if spec is None or spec.loader is None:
                raise ModuleNotFoundError(f"No module named '{name}'", name=name)
            package = importlib.util.module_from_spec(spec)
            source = _source(name)
            imported = re.findall(r"^from (ccxt[\w.]*) import (\w+)", source, re.MULTILINE)
            package.__dict__["_sources"] = {found: module for module, found in imported}
            package.__class__ = _LazyPackage
            sys.modules[name] = package
            parent, _, child = name.rpartition(".")
            if parent:
                setattr(sys.modules[parent], child, package)


def _source(name: str) -> str:
    spec = importlib.util.find_spec(name)
    loader = None if spec is None else spec.loader
    return (loader.get_source(name) or "") if isinstance(loader, InspectLoader) else ""


@functools.cache
def version() -> str:
    """Return ccxt's version without running its package."""
    found = re.search(r"^__version__ = '([^']+)'", _source("ccxt"), re.MULTILINE)
    return found[1] if found else str(importlib.import_module("ccxt").__version__)


@functools.cache
def ids() -> tuple[str, ...]:
    """Return the ids of all exchanges of ccxt, spot or not, without importing one."""
    prepare_packages()
    path = importlib.import_module("ccxt.async_support").__path__
    return tuple(sorted(module.name for module in pkgutil.iter_modules(path) if not module.ispkg))


@functools.cache
def is_exchange(name: str) -> bool:
    """Return whether ccxt has an exchange of this name."""
    return name in ids()


def described(name: str) -> Any:
    """Return ccxt's description of an exchange, including its streams if it has any.

    Slow; for requests, `connector_class` is enough.
    """
    prepare_packages()
    module = f"ccxt.pro.{name}"
    if importlib.util.find_spec(module) is None:
        module = f"ccxt.async_support.{name}"
    return getattr(importlib.import_module(module), name)()


def ccxt_errors() -> ModuleType:
    """Return the module that holds ccxt's error classes."""
    prepare_packages()
    return importlib.import_module("ccxt.base.errors")
