"""One Chromium for the tests of a module, and pages in it that must stay silent."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from built import is_built

from tests.browser.chromium import FOLDER, launched


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """Start it for a module: Playwright has a loop running, which others must not find."""
    if not is_built():
        pytest.skip("the chart page is not built: make chart")
    if not (FOLDER / "chromium").exists():
        pytest.skip("there is no Chromium to try the chart page in: make browser")
    with launched() as browser:
        yield browser


@pytest.fixture
def opened(chromium: Any, tmp_path: Path) -> Iterator[Any]:
    """Yield what opens a page of HTML; nothing on it may ask for anything or complain."""
    contexts, told, asked = [], [], []

    def open_page(html: str, theme: str = "light", ready: str = "html[data-drawn]") -> Any:
        context = chromium.new_context(viewport={"width": 900, "height": 520}, color_scheme=theme)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: told.append(message.text))
        page.on("pageerror", lambda error: told.append(str(error)))
        file = tmp_path / f"page-{len(contexts)}.html"
        file.write_text(html, "utf-8")
        page.goto(file.as_uri())
        page.on("request", lambda request: asked.append(request.url))
        page.wait_for_selector(ready, state="attached")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert told == []
    assert [url for url in asked if not url.startswith(("file:", "about:", "data:"))] == []
