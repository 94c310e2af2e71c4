"""Makes the description for the package index: README.md with links that work there.

Run by hatchling when the package is built. Links into the project become links into its
repository, from ``[project.urls]``; as long as that is not known, they become their text, and
pictures are left out.
"""

from __future__ import annotations

import re
from pathlib import Path

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"\[([^\]]+)\]\((?!https?://|#)([^)]+)\)")
_PICTURE = re.compile("!" + _LINK.pattern)


def description(text: str, repository: str | None, version: str) -> str:
    """Return a text whose links do not need the files beside it."""
    if repository is None:
        return _LINK.sub(r"\1", _PICTURE.sub("", text))
    raw = rf"![\1]({repository.rstrip('/')}/raw/v{version}/\2)"
    text = _PICTURE.sub(raw, text)
    return _LINK.sub(rf"[\1]({repository.rstrip('/')}/blob/v{version}/\2)", text)


class ReadmeHook(MetadataHookInterface):
    """Sets the description."""

    def update(self, metadata: dict[str, object]) -> None:
        """Put the description into the metadata."""
        text = Path(self.root, "README.md").read_text("utf-8")
        urls = metadata.get("urls")
        repository = urls.get("Repository") if isinstance(urls, dict) else None
        metadata["readme"] = {
            "content-type": "text/markdown",
            "text": description(text, repository, str(metadata["version"])),
        }
