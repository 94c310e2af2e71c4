"""A chart for a notebook, a file or a browser."""

from __future__ import annotations

import tempfile
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from marketdata._charts.page import page


class Chart:
    """An interactive chart, which a notebook displays as the last value of a cell.

    It is an `anywidget` if that is installed, and an iframe otherwise.
    """

    height = 480
    """The height of the chart in a notebook, in pixels."""

    def __init__(self, data: str, title: str) -> None:
        """Show records, given as their JSON."""
        self._data = data
        self._title = title

    @property
    def html(self) -> str:
        """The chart as one HTML page, which is self-contained and sends no requests."""
        return page(self._data)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, and return its path."""
        path = Path(path)
        path.write_text(self.html, "utf-8")
        return path

    def show(self) -> Path:
        """Show the page in a browser, from a temporary file; return its path."""
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", prefix="marketdata-", suffix=".html", delete=False
        ) as file:
            file.write(self.html)
        webbrowser.open(Path(file.name).as_uri())
        return Path(file.name)

    def __repr__(self) -> str:
        return f"<Chart: {self._title}>"


class LiveChart(Chart):
    """A chart that follows live data until `stop`."""

    def __init__(self, data: str, title: str, end: Callable[[], None]) -> None:
        """Show records; `end` ends the source of news."""
        super().__init__(data, title)
        self._end = end
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Stop following; the chart does not change any more."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._end()
