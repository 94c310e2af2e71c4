"""Assembles the chart page: our own code, the built-in library, and the data."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from marketdata.errors import DataUnavailableError

_CODE = ("common.js", "candles.js", "book.js", "page.js", "host.js")
_BUNDLE = "bundle"
"""The folder with TradingView's library and its licence, which `release/chart.py` makes."""
_LIBRARY = "lightweight-charts.standalone.production.js"
_HOLES = re.compile("__(STYLE|DATA|LIBRARY|CODE)__")


def is_built() -> bool:
    """Return whether this copy of the package has TradingView's library."""
    return files(__package__).joinpath(_BUNDLE, _LIBRARY).is_file()


def page(data: str = "null") -> str:
    """Return the page as HTML, with records' JSON as its data; it sends no requests.

    Without data it waits until a host of MCP Apps or a widget sends some. Raises
    `DataUnavailableError` if the package was installed from source without the library.
    """
    if not is_built():
        raise DataUnavailableError(
            "This copy of marketdata was installed without its chart page. In a source tree, run "
            "'make chart'; elsewhere install the released package. plot() works without it."
        )
    before, after = _template()
    # In a script element, only this can end the data early.
    return before + data.replace("<", "\\u003c") + after


@cache
def _template() -> tuple[str, str]:
    library = _read(_BUNDLE, _LIBRARY)
    if "</script" in library.lower():
        raise AssertionError("the library would end the page's script")
    parts = {
        "STYLE": _brief(_read("page.css")),
        "LIBRARY": library,
        "CODE": _brief("\n".join(map(_read, _CODE))),
        "DATA": "\0",
    }
    made = _HOLES.sub(lambda hole: parts[hole[1]], _read("page.html"))
    before, after = made.split("\0")
    return before, after


def _brief(code: str) -> str:
    """Remove indents and comments on their own lines, which only readers need."""
    lines = (line.strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


def _read(*name: str) -> str:
    return files(__package__).joinpath(*name).read_text("utf-8")
