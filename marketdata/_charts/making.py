"""Makes a chart of the kind that can be shown here: a widget, or a frame of plain HTML."""

from __future__ import annotations

import html

from marketdata._charts.chart import Chart
from marketdata._charts.page import page


class Frame(Chart):
    """A chart where there is no anywidget."""

    def _repr_html_(self) -> str:
        return (
            f'<iframe srcdoc="{html.escape(self.html)}" title="{html.escape(self._title)}" '
            f'style="width:100%;height:{self.height}px;border:0"></iframe>'
        )


def chart(data: str, title: str) -> Chart:
    """Make a chart of records' JSON, as a widget where anywidget is installed.

    Raises `DataUnavailableError` where the page was not built.
    """
    page()  # what is missing is said now, and not when a notebook shows the chart
    try:
        from marketdata._charts.widget import ChartWidget
    except ImportError:
        return Frame(data, title)
    return ChartWidget(data, title)
