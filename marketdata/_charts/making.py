"""Makes a chart: a widget if possible, or else a frame of plain HTML."""

from __future__ import annotations

import html

from marketdata._charts.chart import Chart
from marketdata._charts.page import page


class Frame(Chart):
    """A chart without anywidget."""

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="{html.escape(self._title)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )


def chart(data: str, title: str) -> Chart:
    """Make a chart of records' JSON, as a widget if anywidget is installed.

    Raises `DataUnavailableError` if the page was not built.
    """
    page()  # raises now and not when a notebook displays the chart
    try:
        from marketdata._charts.widget import ChartWidget
    except ImportError:
        return Frame(data, title)
    return ChartWidget(data, title)
