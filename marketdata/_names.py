"""Where public names come from: read from `_public`, without importing what is not asked for."""

from __future__ import annotations

import functools
from importlib import import_module, util
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import InspectLoader

__all__ = ["origins", "public"]

_LIST = "marketdata._public"


@functools.cache
def origins() -> dict[str, str]:
    """Return the module of each public name."""
    import ast

    spec = util.find_spec(_LIST)
    loader = None if spec is None else cast("InspectLoader", spec.loader)
    source = None if loader is None else loader.get_source(_LIST)
    if source is None:  # some programs are shipped without sources
        return dict.fromkeys((one for one in vars(import_module(_LIST)) if one[0] != "_"), _LIST)
    return {
        alias.name: str(imported.module)
        for imported in ast.parse(source).body
        if isinstance(imported, ast.ImportFrom)
        for alias in imported.names
    }


def public(name: str) -> Any:
    """Return what a public name stands for."""
    return getattr(import_module(origins()[name]), name)
