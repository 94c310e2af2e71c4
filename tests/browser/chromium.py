"""The Chromium that ``make browser`` unpacks, under Playwright."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / ".browser"
_QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync --font-render-hinting=none --hide-scrollbars"
)


@contextmanager
def launched() -> Iterator[Any]:
    """Start it, with its own libraries and fonts."""
    from playwright.sync_api import sync_playwright

    environment = {
        **os.environ,
        "LD_LIBRARY_PATH": str(FOLDER / "lib"),
        "FONTCONFIG_FILE": str(FOLDER / "fonts.conf"),
    }
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=FOLDER / "chromium", args=_QUIET.split(), env=environment
        )
        yield browser
        browser.close()
