"""A chart as an anywidget, which accepts news; imported only if anywidget is installed."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator

import anywidget
import traitlets

from marketdata._charts.chart import Chart, LiveChart
from marketdata._charts.page import page

_PAUSE = 0.2
"""Minimum seconds between two updates, because nobody can read faster."""

_SCRIPT = """
function render({ model, el }) {
  const frame = document.createElement("iframe");
  frame.title = model.get("title");
  frame.style.cssText = `width:100%;height:${model.get("height")}px;border:0`;
  frame.srcdoc = model.get("page");
  const tell = () => {
    const news = model.get("news");
    if (news && frame.contentWindow) {
      frame.contentWindow.postMessage({ marketdata: JSON.parse(news) }, "*");
    }
  };
  frame.addEventListener("load", tell);
  model.on("change:news", tell);
  el.append(frame);
  return () => model.off("change:news", tell);
}
export default { render };
"""


class ChartWidget(Chart, anywidget.AnyWidget):
    """The page in a frame; `news` takes JSON of new records."""

    _esm = _SCRIPT
    page = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(Chart.height).tag(sync=True)
    news = traitlets.Unicode().tag(sync=True)

    def __init__(self, data: str, title: str) -> None:
        """Show records, given as their JSON."""
        Chart.__init__(self, data, title)
        anywidget.AnyWidget.__init__(self, page=page(data), title=title)


class LiveChartWidget(ChartWidget, LiveChart):
    """A chart that follows live data until `stop`, or until the widget is closed."""

    def __init__(self, data: str, title: str, news: Iterator[str], end: Callable[[], None]) -> None:
        """Show records and then those of `news`; `end` ends it from another thread."""
        LiveChart.__init__(self, data, title, end)
        ChartWidget.__init__(self, data, title)
        self._thread = threading.Thread(
            target=self._follow, args=(news,), name="marketdata-live-chart", daemon=True
        )
        self._thread.start()

    def _follow(self, news: Iterator[str]) -> None:
        try:
            for one in news:
                if self._stopped.is_set():
                    return
                self.news = one
                self._stopped.wait(_PAUSE)
        except Exception as error:  # noqa: BLE001 - a thread has no caller: the chart shows it
            if not self._stopped.is_set():
                self.news = json.dumps({"ended": str(error)})

    def close(self) -> None:
        """Remove the widget, and stop following."""
        self.stop()
        super().close()
