"""Candles that are rows of numbers are parsed into one list without a list for each row."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from inside.exchanges import connector_class

from marketdata._exchanges.bodies import FlatRows, flat_rows, parsed

NUMBERS = st.one_of(
    st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False, width=32)
)


@st.composite
def tables(draw: st.DrawFn) -> list[list[Any]]:
    """Rows of one length, of numbers some of which are texts."""
    row = st.lists(NUMBERS, min_size=(width := draw(st.integers(1, 13))), max_size=width)
    rows = draw(st.lists(row, min_size=1, max_size=5))
    quoted = draw(st.sets(st.integers(0, width - 1)))
    return [[str(one) if at in quoted else one for at, one in enumerate(row)] for row in rows]


@given(tables())
def test_each_number_is_found_in_its_position(rows: list[list[Any]]) -> None:
    found = flat_rows(json.dumps(rows, separators=(",", ":")), parsed)
    assert isinstance(found, FlatRows)
    for at, column in enumerate(zip(*rows, strict=True)):
        assert list(map(float, found.column(at))) == list(map(float, column))
        whole = [one for one in column if isinstance(one, int)]
        assert [one for one in found.column(at) if isinstance(one, int)][: len(whole)] == whole


@pytest.mark.parametrize(
    "body",
    [
        "[[1,2],[3]]",
        "[[1],[2,3]]",
        "[[1,2,3],[4]]",
        "[[1,2],[3,4],5]",
        "[[1,2],[3,4]",
        "[[1,2][3,4]]",
        "[[1,2],[3,4],]",
        "[[1,[2]],[3,4]]",
        "[[1,2],[3,NaN]]",
        "[[1,2],[3,null]]",
        '[[1,2],[3,"a"]]',
        '[[1,2],{"a":3}]',
        "[[1,2],[3,4]]]",
        "[[1, 2],[3,4]]",
    ],
)
def test_anything_else_is_parsed_as_usual(body: str) -> None:
    assert flat_rows(body, parsed) is None


@pytest.mark.parametrize("body", ["[[1,],[2,3]]", "[[],[]]", '[[1,"2-3"],[4,5]]', "[[1,.],[2,3]]"])
def test_an_invalid_number_is_an_unusable_response(body: str) -> None:
    with pytest.raises(ValueError, match="line 1"):
        flat_rows(body, parsed)


@pytest.mark.parametrize("exact", [False, True])
def test_candles_equal_those_from_rows(exact: bool) -> None:
    connector = connector_class("binance", exact=exact)({})
    row = '[{},"0.1","0.3","0.05","0.2","12.50000000",{},"1.5",857,"1","2","0"]'
    body = f"[{row.format(1000, 1999)},{row.format(2000, 2999)}]"
    found = connector.on_json_response(body)
    assert isinstance(found, FlatRows)
    assert connector.parse_ohlcvs(found) == connector.parse_ohlcvs(json.loads(body))
    assert not isinstance(connector.on_json_response("[[1,2],[3,4]]"), FlatRows)
