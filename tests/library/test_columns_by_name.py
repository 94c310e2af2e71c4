"""The columns of candles, as attributes of the record."""

from __future__ import annotations

import marketdata as md


def test_candles_have_columns_by_name(client: md.Client) -> None:
    candles = client.candles("BTC/USDT", "1h", limit=3)
    assert list(candles.time) == [round(one.open_time.timestamp() * 1000) for one in candles]
    for name in ("open", "high", "low", "close", "volume"):
        assert getattr(candles, name) is getattr(candles.columns, name)
        assert list(getattr(candles, name)) == [getattr(one, name) for one in candles]
    assert list(candles.trades) == [one.trades for one in candles]
    assert not {"open", "close"} & candles.model_dump(by_alias=True).keys()
