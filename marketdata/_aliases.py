"""Old names of modules that have moved: pickles and imports that use them keep working."""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec
    from types import ModuleType

MOVED = {
    "marketdata._columns": "marketdata.models.columns",
    "marketdata._history": "marketdata._candles",
    "marketdata._candles.records": "marketdata.models.stored",
    "marketdata._history.records": "marketdata.models.stored",
    "marketdata.archive": "marketdata._client.archive",
    "marketdata.blocking": "marketdata._client.blocking",
    "marketdata.client": "marketdata._client.asynchronous",
    "marketdata.cluster": "marketdata._client.cluster",
    "marketdata.frames": "marketdata.models.frames",
    "marketdata.markets": "marketdata.models.aggregates",
    "marketdata.models.records": "marketdata.models",
    "marketdata.recorder": "marketdata._client.recorder",
}
"""New names of modules. A moved package needs a line for itself and for each module."""


class _Moved:
    """Finds a module by its old name and returns the module of the new name."""

    def find_spec(self, name: str, *_: Any) -> ModuleSpec | None:
        if name not in MOVED:
            return None
        from importlib.util import spec_from_loader

        return spec_from_loader(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = importlib.import_module(MOVED[spec.name])
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The module has been executed. Importing has given it the spec of its old name.
        if module.__spec__ is not None:
            module.__spec__ = module.__spec__.loader_state


# First, so that modules of a moved package are not loaded twice.
sys.meta_path.insert(0, _Moved())
