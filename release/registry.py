"""Completes `server.json` for the MCP registry with what is known once a release has a place.

The addresses come from ``[project.urls]``. Without them the file says what it does without.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

__all__ = ["completed"]


def completed(
    server: dict[str, Any], urls: dict[str, str], bundle: Path | None = None
) -> dict[str, Any]:
    """Add the repository, the site, the icon and the bundle."""
    made = dict(server)
    if site := urls.get("Homepage"):
        made["websiteUrl"] = site
    repository = urls.get("Repository")
    if repository is None:
        return made
    repository = repository.rstrip("/")
    version = server["version"]
    source = "gitlab" if "gitlab" in repository else "github"
    made["repository"] = {"url": repository, "source": source}
    icon = f"{repository}/raw/v{version}/release/icon.png"
    made["icons"] = [{"src": icon, "mimeType": "image/png", "sizes": ["512x512"]}]
    if bundle is not None:
        made["packages"] = [
            *server["packages"],
            {
                "registryType": "mcpb",
                "identifier": f"{repository}/releases/download/v{version}/{bundle.name}",
                "version": version,
                "fileSha256": hashlib.sha256(bundle.read_bytes()).hexdigest(),
                "transport": {"type": "stdio"},
            },
        ]
    return made
