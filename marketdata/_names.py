"""The modules of public names, read from `_public` without importing them."""

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
    # Programs shipped without sources still have the compiled code.
    for step in dis.get_instructions(cast("CodeType", loader.get_code(_LIST))):
        if step.opname == "IMPORT_NAME":
            module = step.argval
        elif step.opname == "IMPORT_FROM":
            found[step.argval] = module
    return found


def public(name: str) -> Any:
    """Return the object of a public name."""
    return getattr(import_module(origins()[name]), name)
