"""Where public names come from: read from `_public`, without importing what is not asked for."""

from __future__ import annotations

import functools
from importlib import import_module, util
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from importlib.abc import InspectLoader
    from types import CodeType

__all__ = ["origins", "public"]

_LIST = "marketdata._public"


@functools.cache
def origins() -> dict[str, str]:
    """Return the module of each public name."""
    import dis

    spec = util.find_spec(_LIST)
    loader = cast("InspectLoader", None if spec is None else spec.loader)
    found: dict[str, str] = {}
    module = ""
    # Programs that are shipped without sources have the code, too.
    for step in dis.get_instructions(cast("CodeType", loader.get_code(_LIST))):
        if step.opname == "IMPORT_NAME":
            module = step.argval
        elif step.opname == "IMPORT_FROM":
            found[step.argval] = module
    return found


def public(name: str) -> Any:
    """Return what a public name stands for."""
    return getattr(import_module(origins()[name]), name)
