"""A chart as an anywidget, which can be told of news; imported only where anywidget is there."""

from __future__ import annotations

import anywidget
import traitlets

from marketdata._charts.chart import Chart
from marketdata._charts.page import page

__all__ = ["ChartWidget"]

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
    """The page in a frame; `news` takes JSON of what is new."""

    _esm = _SCRIPT
    page = traitlets.Unicode().tag(sync=True)
    title = traitlets.Unicode().tag(sync=True)
    height = traitlets.Int(Chart.height).tag(sync=True)
    news = traitlets.Unicode().tag(sync=True)

    def __init__(self, data: str, title: str) -> None:
        """Show records, given as their JSON."""
        Chart.__init__(self, data, title)
        anywidget.AnyWidget.__init__(self, page=page(data), title=title)
