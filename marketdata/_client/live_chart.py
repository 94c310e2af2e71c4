"""A chart that follows the candles of a pair, for notebooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from marketdata.errors import MissingExtraError
from marketdata.models import Candles
from marketdata.models.charts import content
from marketdata.models.newest import Bars
from marketdata.models.plots import title

if TYPE_CHECKING:
    from marketdata._charts.chart import LiveChart
    from marketdata._streams.watch import Watch

_KEPT = 1_000
"""Candles of the stream that a chart shown later still receives."""


def live_chart(
    ask: Callable[[], Candles[Any]], watch: Callable[[Candles[Any]], Watch[Candles[Any]]]
) -> LiveChart:
    """Draw the candles that one function returns, and update them from the stream of another."""
    try:
        from marketdata._charts.widget import LiveChartWidget
    except ImportError:
        raise MissingExtraError("live_chart()", "notebook") from None
    found = ask()
    stream = watch(found)
    return LiveChartWidget(content(found), title(found), _news(stream), stream.close)


def _news(watch: Watch[Candles[Any]]) -> Iterator[str]:
    """Yield all candles of a stream so far, each time that one arrives."""
    bars = Bars(_KEPT)
    for candles in watch:
        bars.take(candles)
        if (known := bars.candles(_KEPT)) is not None:
            yield known.to_json()
