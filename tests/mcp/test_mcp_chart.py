"""The picture of candles for hosts that show images."""

import base64
import io

import pytest
from mcp import Client
from mcp_doors import finish
from PIL import Image

from marketdata import AsyncClient
from marketdata.sim import SimulatedExchange
from marketdata_mcp import app
from marketdata_mcp.charts.picture import MAX_BYTES

BTC = {"pair": "BTC/USDT", "exchange": "binance"}


@pytest.mark.parametrize(
    ("asked", "drawn"),
    [
        ({}, 100),
        ({"limit": 9000, "timeframe": "1m", "theme": "dark", "log": True}, 500),
        ({"start": "1971-01-01", "end": "1971-01-02", "timeframe": "1h"}, 0),
    ],
)
def test_it_is_a_small_png_of_the_candles(
    simulator: SimulatedExchange, connect: object, asked: dict[str, object], drawn: int
) -> None:
    async def work() -> None:
        client: AsyncClient = connect(simulator)
        async with Client(app.Service(client, groups=["chart"]).server()) as connected:
            listed = {tool.name for tool in (await connected.list_tools()).tools}
            assert "get_chart" in listed
            result = await connected.call_tool("get_chart", {**BTC, **asked})
        assert not result.is_error, result.content
        assert result.structured_content["drawn"] == drawn
        assert result.structured_content["simulated"] is True
        [text, picture] = result.content
        assert "picture" not in result.structured_content
        assert len(text.text) < 500
        data = base64.b64decode(picture.data)
        assert picture.mime_type == "image/png"
        assert len(data) <= MAX_BYTES
        with Image.open(io.BytesIO(data)) as image:
            dark = sum(image.convert("RGB").getpixel((2, 2))) < 200
        assert dark == (asked.get("theme") == "dark")

    finish(work())


def test_it_is_listed_only_on_request() -> None:
    assert "get_chart" not in {tool.name for tool in app.tools()}
    assert [one.name for one in app.tools(["chart"])][:-1] == [one.name for one in app.tools()]
