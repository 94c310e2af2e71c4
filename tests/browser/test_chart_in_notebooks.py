"""A chart in a cell: a widget where anywidget is installed, a frame elsewhere, live where asked."""

import html
import json
import re
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from built import NEEDS_CHART
from IPython.core.formatters import DisplayFormatter
from waiting import happened, joined

import marketdata as md
from marketdata._charts import page
from marketdata.errors import DataUnavailableError, InvalidParameterError, MissingExtraError
from marketdata.sim import SimulatedExchange
from tests.browser import markets

WIDGET = "application/vnd.jupyter.widget-view+json"

# As a front end does it: a model with the widget's state, and an element to render into.
FRONT_END = """async ([script, state]) => {
  const { default: widget } = await import(script);
  const heard = {};
  window.model = {
    get: (name) => state[name],
    set: (name, value) => { state[name] = value; (heard[`change:${name}`] || (() => {}))(); },
    on: (name, callback) => { heard[name] = callback; },
    off: () => {},
  };
  widget.render({ model: window.model, el: document.body });
}"""


@pytest.fixture
def without_anywidget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anywidget", None)
    monkeypatch.delitem(sys.modules, "marketdata._charts.widget", raising=False)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[md.Client]:
    home = tmp_path_factory.mktemp("home")
    with SimulatedExchange(seed=3) as sim, md.Client(endpoints=sim.endpoints, home=home) as asked:
        yield asked


@NEEDS_CHART
@pytest.mark.parametrize(
    "record", [markets.candles(), markets.book(), markets.consolidated(), markets.comparison()]
)
def test_a_notebook_shows_a_widget(record: Any) -> None:
    shown, _ = DisplayFormatter().format(record.chart())
    assert WIDGET in shown
    assert "text/html" not in shown


@NEEDS_CHART
@pytest.mark.usefixtures("without_anywidget")
def test_without_anywidget_it_is_a_frame(opened: Any) -> None:
    candles = markets.candles(pair='A"<b>/USDT')
    chart = candles.chart()
    shown, _ = DisplayFormatter().format(chart)
    assert set(shown) == {"text/html", "text/plain"}
    [srcdoc] = re.findall(r'srcdoc="([^"]*)"', shown["text/html"])
    assert html.unescape(srcdoc) == chart.html
    notebook = f'<body style="background:#111111">{shown["text/html"]}</body>'
    tab = opened(notebook, "light", "iframe")
    framed = tab.frame_locator("iframe")
    framed.locator(f'html[data-drawn="{len(candles)}"]').wait_for(state="attached")
    # The notebook's own theme counts, and not that of the system.
    framed.locator('html[data-theme="dark"]').wait_for(state="attached")


@NEEDS_CHART
def test_a_widget_draws_and_takes_news(opened: Any) -> None:
    candles = markets.candles(50)
    widget: Any = candles.chart()
    tab = opened("<!doctype html><body></body>", "light", "body")
    state = {name: getattr(widget, name) for name in ("page", "title", "height", "news")}
    script = "data:text/javascript," + quote(widget._esm)
    tab.evaluate(FRONT_END, [script, state])
    framed = tab.frame_locator("iframe")
    framed.locator('html[data-drawn="50"]').wait_for(state="attached")
    later = round(candles[-1].open_time.timestamp() * 1000) + 3_600_000
    row = [later, 1.0, 2.0, 0.5, 1.5, 3.0, 4]
    news = {**candles.to_dict(), "missing": [], "candles": [row]}
    tab.evaluate("(news) => window.model.set('news', news)", json.dumps(news))
    framed.locator('html[data-drawn="51"]').wait_for(state="attached")
    tab.evaluate("(news) => window.model.set('news', news)", json.dumps({"ended": "no more"}))
    framed.get_by_text("Live data ended: no more").wait_for()


@NEEDS_CHART
def test_a_live_chart_follows_the_stream(client: md.Client) -> None:
    chart: Any = client.live_chart("btc-usdt", exchange="binance", limit=20)
    told = threading.Event()
    chart.observe(lambda _: told.set(), "news")
    happened(told)
    news = json.loads(chart.news)
    assert (news["pair"], news["exchange"], news["timeframe"]) == ("BTC/USDT", "binance", "1m")
    assert news["candles"]
    chart.close()
    joined(chart._thread)
    assert client.streams() == []


@NEEDS_CHART
@pytest.mark.usefixtures("without_anywidget")
def test_a_live_chart_needs_anywidget(client: md.Client) -> None:
    with pytest.raises(MissingExtraError, match="notebook"):
        client.live_chart("BTC/USDT")


def test_where_the_page_is_not_built_the_chart_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "_BUNDLE", "elsewhere")
    with pytest.raises(DataUnavailableError, match="make chart"):
        markets.candles().chart()
    assert markets.candles().plot()


@NEEDS_CHART
def test_pairs_of_different_timeframes_are_refused() -> None:
    with pytest.raises(InvalidParameterError, match="1h, 1m"):
        markets.candles().chart(markets.candles(timeframe="1m"))


@NEEDS_CHART
def test_very_many_candles_are_drawn_several_as_one() -> None:
    chart = markets.candles(40_001, timeframe="1m").chart()
    [data] = re.findall(r'id="data">([^<]*)<', chart.html)
    [content] = json.loads(data)
    assert len(content["candles"]) == 13_334
    assert content["note"] == "40,001 candles: each one drawn is 3 of them."


@NEEDS_CHART
def test_a_chart_is_saved_and_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: list[str] = []
    monkeypatch.setattr("webbrowser.open", seen.append)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    chart = markets.book().chart()
    assert chart.save(tmp_path / "book.html").read_text("utf-8") == chart.html
    shown = chart.show()
    assert seen == [shown.as_uri()]
    assert shown.read_text("utf-8") == chart.html
