"""What docs/promise.md promises: nothing that somebody relies on goes without a major version."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from surface import breaking, current, last_release, old_forms

import marketdata
from marketdata_mcp.service.access_control import malformed

CHANGELOG = Path(__file__).parents[1] / "CHANGELOG.md"


def test_nothing_that_was_released_is_broken() -> None:
    version, released = last_release()
    found = breaking(released, current())
    if found and marketdata.__version__.split(".")[0] != version.split(".")[0]:
        section = CHANGELOG.read_text().partition(f"## [{marketdata.__version__}]")[2]
        assert re.search(r"^### (Removed|Changed)$", section.partition("\n## ")[0], re.MULTILINE)
        return
    assert found == []


def test_tools_take_all_that_they_took() -> None:
    calls = list(old_forms(last_release()[1]))
    assert len(calls) > 80
    assert ("get_trades", {"pair": "btc-usdt", "start": 1_700_000_000_000}) in calls
    refused = {str(call): error for call in calls if (error := malformed(*call)) is not None}
    assert refused == {}


NOW = current()
PROBLEM = NOW["python"]["Damage"]["fields"]["problem"]


def _changed(path: str, value: Any = None) -> dict[str, Any]:
    """Return the surface with something at a path taken away, or put in its place."""
    surface = copy.deepcopy(NOW)
    *way, last = path.split("/")
    place: Any = surface
    for step in way:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return surface


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tools/get_ticker", None),
        ("tools/get_ticker/input/properties/window", None),
        ("tools/get_ticker/input/required", ["pair", "exchange"]),
        ("tools/get_trades/input/properties/limit/maximum", 100),
        ("tools/watch_start/input/properties/kind/enum", ["ticker"]),
        ("tools/get_ticker/output/properties/last", None),
        ("tools/get_ticker/output/properties/last/type", "string"),
        ("tools/get_ticker/output/required", []),
        ("tools/get_tickers/output/properties/tickers/items/properties/bid", None),
        ("python/ticker", None),
        ("python/ticker/window", None),
        ("python/ticker/window/required", True),
        ("python/orderbook/depth/positional", False),
        ("python/ticker/colour", {"required": True, "positional": False}),
        ("python/Ticker/fields/bid", None),
        ("python/Ticker/fields/bid", "int"),
        ("python/Damage/fields/problem", "typing.Literal['overlap']"),
        ("python/Damage/fields/problem", "str"),
        ("python/Client/methods/ticker", None),
        ("python/QuotaExceededError/code", "OTHER"),
        ("python/QuotaExceededError/bases", ["QuotaExceededError"]),
    ],
)
def test_what_breaks_somebody_is_found(path: str, value: Any) -> None:
    assert breaking(NOW, _changed(path, value)) != []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("tools/get_weather", {"input": {"properties": {}}, "output": {"type": "object"}}),
        ("tools/get_ticker/input/properties/colour", {"type": "string"}),
        ("tools/get_trades/input/properties/limit/maximum", 1000),
        ("tools/get_ticker/output/properties/colour", {"type": "string"}),
        ("python/weather", {}),
        ("python/ticker/colour", {"required": False, "positional": False}),
        ("python/Ticker/fields/colour", "str"),
        ("python/Damage/fields/problem", f"{PROBLEM[:-1]}, 'moved']"),
    ],
)
def test_what_is_only_added_breaks_nobody(path: str, value: Any) -> None:
    assert breaking(NOW, _changed(path, value)) == []
