"""A chart as a notebook, a file or a browser shows it."""

from __future__ import annotations

import tempfile
import threading
import webbrowser
from collections.abc import Callable
from pathlib import Path

from marketdata._charts.page import page


class Chart:
    """An interactive chart: the last value of a notebook's cell shows itself.

    It is an `anywidget` where that is installed, and an iframe elsewhere.
    """

    height = 480
    """Of the chart in a notebook, in pixels."""

    def __init__(self, data: str, title: str) -> None:
        """Show records, given as their JSON."""
        self._data = data
        self._title = title

    @property
    def html(self) -> str:
        """The chart as one HTML page that needs nothing else and makes no request."""
        return page(self._data)

    def save(self, path: str | Path) -> Path:
        """Write the page to a file, and give the file's path."""
        path = Path(path)
        path.write_text(self.html, "utf-8")
        return path

    def show(self) -> Path:
        """Show the page in a browser, from a temporary file whose path is given."""
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
        """Show records; `end` ends what tells of news."""
        super().__init__(data, title)
        self._end = end
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Follow no more; the chart stays as it is."""
        if not self._stopped.is_set():
            self._stopped.set()
            self._end()
