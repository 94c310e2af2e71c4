"""The chart page in a real Chromium: what it draws, what it says, how it is used."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from built import NEEDS_CHART

from marketdata._charts.page import page
from marketdata.models import Candles
from tests.browser import markets, pictures

THEMES = ("light", "dark")


def shown(tab: Any, key: str) -> str:
    return tab.locator(f'#values [data-key="{key}"]').inner_text()


def number(text: str) -> float:
    return float(text.replace(",", "").replace("\u2212", "-"))


KINDS = {
    "candles": lambda: markets.candles(gaps=markets.GAPS).chart(),
    "lines": lambda: markets.candles().chart(
        markets.candles(pair="ETH/USDT", price=2_500.0, phase=1.0),
        markets.candles(90, pair="SOL/USDT", price=150.0, phase=2.0),
    ),
    "book": lambda: markets.book().chart(),
    "consolidated": lambda: markets.consolidated().chart(),
    "comparison": lambda: markets.comparison().chart(),
}


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_chart_looks_as_accepted(opened: Any, kind: str, theme: str, tmp_path: Path) -> None:
    tab = opened(KINDS[kind]().html, theme)
    assert tab.locator("#simulated").is_visible()
    assert tab.locator("footer a").get_attribute("href") == "https://www.tradingview.com/"
    tab.wait_for_selector("#table table", state="attached")
    pictures.check(tab.screenshot(), f"{kind}-{theme}", tmp_path)


def test_every_candle_of_5000_is_drawn(opened: Any) -> None:
    tab = opened(markets.candles(5_000, timeframe="1m").chart().html)
    assert tab.evaluate("document.documentElement.dataset.drawn") == "5000"


def test_values_under_the_crosshair_are_the_data(opened: Any) -> None:
    candles = markets.candles(gaps=markets.GAPS)
    tab = opened(candles.chart().html)
    box = tab.locator("#chart").bounding_box()
    by_time = {f"{one.open_time:%Y-%m-%d %H:%M} UTC": one for one in candles}
    read = set()
    gaps = 0
    for step in range(2, 40):
        tab.mouse.move(box["x"] + step * box["width"] / 46, box["y"] + 100)
        if tab.locator('#values [data-key="gap"]').count():
            gaps += 1
            assert "missing" in shown(tab, "gap")
            continue
        one = by_time[shown(tab, "time")]
        read.add(one.open_time)
        found = [number(shown(tab, key)) for key in ("open", "high", "low", "close", "volume")]
        assert found == [one.open, one.high, one.low, one.close, one.volume]
        assert number(shown(tab, "trades")) == one.trades
    assert len(read) > 15
    assert gaps > 3


def test_depth_under_the_crosshair_is_the_sum_of_the_book(opened: Any) -> None:
    book = markets.book()
    tab = opened(book.chart().html)
    box = tab.locator("#chart").bounding_box()
    for share in (0.1, 0.3, 0.6, 0.8):
        tab.mouse.move(box["x"] + share * box["width"], box["y"] + 100)
        price = number(shown(tab, "price"))
        assert number(shown(tab, "total")) == pytest.approx(book.depth(price))


@pytest.mark.parametrize(
    "candles",
    [
        markets.candles(price=3.2e-8, decimals=12, timeframe="1m"),
        markets.candles(price=100_000.0, decimals=1, timeframe="1M"),
        markets.candles(1),
    ],
    ids=["1e-8", "100,000", "one"],
)
def test_prices_of_any_size_have_all_their_digits(opened: Any, candles: Candles) -> None:
    tab = opened(candles.chart().html)
    last = candles[-1]
    assert number(shown(tab, "close")) == last.close
    assert number(shown(tab, "low")) == last.low
    assert shown(tab, "state") == "open candle"
    assert tab.evaluate("document.documentElement.dataset.drawn") == str(len(candles))


@pytest.mark.parametrize(
    ("gaps", "said"),
    [
        ((), "No candles."),
        (
            ((0, 5, "outage"),),
            "No candles: outage from 2026-03-01 00:00 to 2026-03-01 05:00 UTC.",
        ),
    ],
)
def test_a_chart_of_nothing_says_why(opened: Any, gaps: Any, said: str) -> None:
    tab = opened(markets.candles(5 if gaps else 0, gaps=gaps).chart().html)
    assert tab.locator("#empty").inner_text() == said
    assert not tab.locator("#chart").is_visible()


def test_lines_are_100_where_all_begin(opened: Any) -> None:
    early = markets.candles()
    late = markets.candles(gaps=((0, 30, None),), pair="ETH/USDT", price=2_500.0, phase=1.0)
    tab = opened(early.chart(late).html)
    tab.locator("#chart").focus()
    tab.keyboard.press("Home")
    for _ in range(30):
        tab.keyboard.press("ArrowRight")
    assert shown(tab, "time") == f"{late[0].open_time:%Y-%m-%d %H:%M} UTC"
    assert shown(tab, "BTC/USDT") == shown(tab, "ETH/USDT") == "100.00"
    tab.keyboard.press("End")
    assert number(shown(tab, "BTC/USDT")) == round(100 * early[-1].close / early[30].close, 2)


def test_keys_read_values_and_change_the_scale(opened: Any) -> None:
    candles = markets.candles()
    tab = opened(candles.chart().html)
    tab.keyboard.press("Tab")  # the scale's button
    tab.locator("#chart").focus()
    tab.keyboard.press("Home")
    first = candles[0]
    assert number(shown(tab, "open")) == first.open
    tab.keyboard.press("ArrowRight")
    assert number(shown(tab, "open")) == candles[1].open
    assert tab.locator("#spoken").inner_text().startswith("2026-03-01 01:00 UTC")
    before = tab.screenshot()
    tab.keyboard.press("l")
    assert tab.locator("#log").get_attribute("aria-pressed") == "true"
    tab.keyboard.press("+")
    tab.wait_for_timeout(50)
    assert tab.screenshot() != before


def test_a_finger_moves_the_chart(chromium: Any, opened: Any) -> None:
    tab = opened(markets.candles().chart().html)
    touch = tab.context.new_cdp_session(tab)
    before = tab.locator("#chart").screenshot()

    def at(kind: str, *points: int) -> None:
        fingers = [{"x": x, "y": 200} for x in points]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    at("touchStart", 300)
    for x in range(310, 600, 20):
        at("touchMove", x)
    at("touchEnd")
    tab.wait_for_timeout(100)
    assert tab.locator("#chart").screenshot() != before


def test_a_screen_reader_finds_the_numbers(opened: Any) -> None:
    candles = markets.candles(150, gaps=markets.GAPS)
    tab = opened(candles.chart().html)
    tab.wait_for_selector("#table table", state="attached")
    label = tab.locator("#chart").get_attribute("aria-label")
    assert label.startswith(f"BTC/USDT on binance, {len(candles)} candles of 1h from 2026-03-01")
    tab.locator("summary").click()
    tab.wait_for_selector("#table tbody tr:nth-child(101)")
    rows = tab.locator("#table tbody tr")
    assert rows.count() == len(candles) + len(markets.GAPS)
    cells = rows.nth(0).locator("td").all_inner_texts()
    first = candles[0]
    assert cells[0] == "2026-03-01 00:00"
    assert [number(one) for one in cells[1:7]] == [
        *(first.open, first.high, first.low, first.close, first.volume, first.trades)
    ]
    assert "missing until 2026-03-02 21:00: outage" in tab.locator("#table").inner_text()


def test_names_of_exchanges_are_text(opened: Any) -> None:
    evil = "</script><img src=x onerror=console.log(1)>"
    tab = opened(markets.candles(pair=evil, exchange=evil).chart().html)
    assert tab.locator("#title").inner_text() == evil
    assert tab.locator("img").count() == 0


def test_news_change_the_end(opened: Any) -> None:
    candles = markets.candles(50)
    tab = opened(page(candles.to_json()))
    last = candles[-1]
    opens = round(last.open_time.timestamp() * 1000)
    rows = [
        [opens, last.open, last.high + 9, last.low, last.close + 5, 20.5, 99],
        [opens + 3_600_000, 61_000.0, 61_010.0, 60_990.0, 61_005.5, 1.5, 3],
    ]
    for count, taken in enumerate((rows[:1], rows), 50):
        news = {"pair": "BTC/USDT", "exchange": "binance", "timeframe": "1h", "candles": taken}
        tab.evaluate("(news) => window.postMessage({ marketdata: news }, '*')", news)
        tab.wait_for_selector(f'html[data-drawn="{count}"]')
        assert number(shown(tab, "close")) == taken[-1][4]
        assert shown(tab, "state") == "open candle"
    assert (
        shown(tab, "time")
        == f"{datetime.fromtimestamp(opens / 1000 + 3600, UTC):%Y-%m-%d %H:%M} UTC"
    )


@NEEDS_CHART
def test_the_page_is_small_and_says_whose_library_it_has() -> None:
    made = page()
    assert len(made.encode()) <= 250_000
    assert "Licensed under Apache License 2.0" in made
    assert "Copyright © TradingView, Inc." in made
