"""Behaviour of Kraken only."""

from itertools import pairwise

import pytest

PUBLIC = "/0/public"


def test_old_names(sim, fetch) -> None:
    pairs = fetch(sim, f"{PUBLIC}/AssetPairs").json["result"]
    dollars = pairs["XXBTZUSD"]
    assert (dollars["altname"], dollars["wsname"]) == ("XBTUSD", "XBT/USD")
    assert (dollars["base"], dollars["quote"]) == ("XXBT", "ZUSD")
    assert {"XBTUSDT", "XETHXXBT", "XXBTZEUR", "XDGUSDT", "XLTCXXBT", "SOLUSDT"} <= set(pairs)
    assert pairs["XDGUSDT"]["base"] == "XXDG"
    assert pairs["WAVESUSDT"]["status"] == "cancel_only"
    assets = fetch(sim, f"{PUBLIC}/Assets").json["result"]
    assert assets["XXBT"]["altname"] == "XBT"
    assert assets["ZEUR"]["altname"] == "EUR"


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "XBT/USD", "xbtusd"])
def test_a_pair_by_any_name_is_answered_under_its_id(sim, fetch, name: str) -> None:
    assert set(fetch(sim, f"{PUBLIC}/Ticker", pair=name).json["result"]) == {"XXBTZUSD"}


def test_several_tickers(sim, fetch) -> None:
    found = fetch(sim, f"{PUBLIC}/Ticker", pair="XBTUSD,ETHUSD").json["result"]
    assert set(found) == {"XXBTZUSD", "XETHZUSD"}


@pytest.mark.parametrize(
    ("path", "query", "error"),
    [
        ("Ticker", {"pair": "NOSUCH"}, "EQuery:Unknown asset pair"),
        ("OHLC", {"pair": "XBTUSD,NOSUCH"}, "EQuery:Unknown asset pair"),
        ("OHLC", {}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSD", "interval": "7"}, "EGeneral:Invalid arguments"),
        ("OHLC", {"pair": "XBTUSD", "since": "yesterday"}, "EGeneral:Invalid arguments"),
        ("Depth", {"pair": "XBTUSD", "count": "0"}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "XBTUSD", "count": "2000"}, "EGeneral:Invalid arguments"),
        ("Trades", {"pair": "XBTUSD", "since": "never"}, "EGeneral:Invalid arguments"),
    ],
)
def test_refusals_are_200_with_an_error(sim, fetch, path: str, query: dict, error: str) -> None:
    answer = fetch(sim, f"{PUBLIC}/{path}", **query)
    assert (answer.status, answer.json) == (200, {"error": [error]})


def test_candles_are_the_last_720_whatever_since_says(sim, fetch, now) -> None:
    result = fetch(sim, f"{PUBLIC}/OHLC", pair="XBTUSD", interval=60, since=0).json["result"]
    rows = result["XXBTZUSD"]
    hour = now // 3_600_000 * 3_600
    assert len(rows) == 720
    assert rows[-1][0] == hour
    assert result["last"] == hour - 3_600
    later = fetch(sim, f"{PUBLIC}/OHLC", pair="XBTUSD", interval=60, since=rows[-3][0]).json
    assert later["result"]["XXBTZUSD"] == rows[-2:]


def test_quiet_minutes_are_left_out(sim, fetch) -> None:
    rows = fetch(sim, f"{PUBLIC}/OHLC", pair="LTCXBT").json["result"]["XLTCXXBT"]
    assert len(rows) == 720
    assert all(row[7] > 0 for row in rows)
    assert rows[-1][0] - rows[0][0] > 2 * 720 * 60


def test_trades_page_by_a_nanosecond_cursor(sim, fetch, now) -> None:
    since = str((now // 1000 - 3_600) * 10**9)
    seen, pages = [], 0
    while True:
        page = fetch(sim, f"{PUBLIC}/Trades", pair="XBTUSD", since=since, count=500).json["result"]
        if not page["XXBTZUSD"]:
            assert page["last"] == since
            break
        seen += page["XXBTZUSD"]
        since = page["last"]
        pages += 1
    assert pages > 2
    assert all(a[6] + 1 == b[6] for a, b in pairwise(seen))
    assert seen[0][2] >= now / 1000 - 3_601
    newest = fetch(sim, f"{PUBLIC}/Trades", pair="XBTUSD", count=3).json["result"]
    assert newest["XXBTZUSD"] == seen[-3:]
    assert newest["last"] == since


def test_trades_since_the_beginning_and_in_seconds(sim, fetch, now) -> None:
    first = fetch(sim, f"{PUBLIC}/Trades", pair="XBTUSD", since=0, count=2).json["result"]
    assert [row[6] for row in first["XXBTZUSD"]] == [0, 1]
    seconds = now // 1000 - 60
    by_seconds = fetch(sim, f"{PUBLIC}/Trades", pair="XBTUSD", since=seconds).json
    by_nanos = fetch(sim, f"{PUBLIC}/Trades", pair="XBTUSD", since=seconds * 10**9).json
    assert by_seconds == by_nanos


def test_today_in_the_ticker(sim, fetch, now) -> None:
    ticker = fetch(sim, f"{PUBLIC}/Ticker", pair="XBTUSD").json["result"]["XXBTZUSD"]
    day = fetch(sim, f"{PUBLIC}/OHLC", pair="XBTUSD", interval=1440).json["result"]["XXBTZUSD"][-1]
    assert [ticker["o"], ticker["h"][0], ticker["l"][0], ticker["c"][0]] == day[1:5]
    assert (ticker["v"][0], ticker["t"][0]) == (day[6], day[7])


def test_the_book_is_500_rows_deep_at_most(sim, fetch) -> None:
    rows = fetch(sim, f"{PUBLIC}/Depth", pair="XBTUSD", count=9999).json["result"]["XXBTZUSD"]
    assert len(rows["asks"]) == len(rows["bids"]) == 500
