"""Displays and charts follow the theme of the notebook around them, not that of the system."""

from typing import Any

import pytest

from tests.browser import markets

THEMES = {
    "JupyterLab": 'data-jp-theme-light="{is_light}"',
    "VS Code": 'data-vscode-theme-kind="vscode-{theme}"',
    "VS Code, high contrast": 'data-vscode-theme-kind="vscode-high-contrast{light}"',
    "marimo": 'class="{theme} {theme}-theme" data-theme="{theme}"',
}
UP = {"light": "#08713f", "dark": "#4cc38a"}
# As marimo has a widget: in a shadow root, on a background that is no rgb().
SHADOWED = """(page) => {
  const shadow = document.querySelector("#host").attachShadow({ mode: "open" });
  shadow.append(Object.assign(document.createElement("iframe"), { srcdoc: page }));
}"""


def _other(theme: str) -> str:
    return "dark" if theme == "light" else "light"


def test_a_display_has_the_colours_of_the_theme(opened: Any) -> None:
    shown = markets.candles()._repr_html_()
    for theme, up in UP.items():
        tab = opened(f"<!doctype html><body>{shown}</body>", theme, ".mdata")
        bodies = {"nothing known": "", **THEMES}
        for notebook, attributes in bodies.items():
            is_light = theme == "light"
            written = attributes.format(
                theme=theme, is_light=str(is_light).lower(), light="-light" if is_light else ""
            )
            tab.emulate_media(color_scheme=_other(theme) if attributes else theme)
            tab.evaluate(
                """(written) => {
                  const given = new DOMParser().parseFromString(`<body ${written}>`, "text/html");
                  for (const { name } of [...document.body.attributes])
                    document.body.removeAttribute(name);
                  for (const { name, value } of given.body.attributes)
                    document.body.setAttribute(name, value);
                }""",
                written,
            )
            found = tab.evaluate(
                """() => getComputedStyle(document.querySelector(".mdata"))
                  .getPropertyValue("--md-up").trim()"""
            )
            assert found == up, (notebook, theme)


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize(
    "body",
    [
        'style="background: color(srgb {grey} {grey} {grey})"',
        'style="background: oklch({grey} 0 0)"',
        'data-vscode-theme-kind="vscode-{theme}"',
    ],
)
def test_a_chart_has_the_theme_around_it(opened: Any, theme: str, body: str) -> None:
    written = body.format(theme=theme, grey=0.98 if theme == "light" else 0.1)
    notebook = f'<!doctype html><body {written}><div id="host"></div></body>'
    tab = opened(notebook, _other(theme), "body")
    tab.evaluate(SHADOWED, markets.candles(20).chart().html)
    tab.frame_locator("iframe").locator(f'html[data-theme="{theme}"]').wait_for(
        state="attached", timeout=10_000
    )
