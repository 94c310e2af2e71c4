"""Puts the chart page together: our own code, the library that was built into it, the data."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from marketdata.errors import DataUnavailableError

_CODE = ("common.js", "candles.js", "book.js", "page.js", "host.js")
_BUNDLE = "bundle"
"""The folder with TradingView's library and its licence. `release/chart.py` makes it."""
_LIBRARY = "lightweight-charts.standalone.production.js"
_HOLES = re.compile("__(STYLE|DATA|LIBRARY|CODE)__")


def is_built() -> bool:
    """Return whether this copy of the package has TradingView's library."""
    return files(__package__).joinpath(_BUNDLE, _LIBRARY).is_file()


def page(data: str = "null") -> str:
    """Return the page as HTML, with records' JSON as its data; it makes no request.

    Without data it waits for a host of MCP Apps, or for a widget, to send some. Raises
    `DataUnavailableError` where the package was installed from its source and the library is not
    built in.
    """
    if not is_built():
        raise DataUnavailableError(
            "This copy of marketdata was installed without its chart page. In a source tree, run "
            "'make chart'; elsewhere install the released package. plot() works without it."
        )
    before, after = _template()
    # Inside a script element nothing else could end the data early.
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
    """Leave out what only its readers need: indents and comments that have a line of their own."""
    lines = (line.strip() for line in code.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/**")))


def _read(*name: str) -> str:
    return files(__package__).joinpath(*name).read_text("utf-8")
