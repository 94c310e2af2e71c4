"""The shell follows MARKETDATA_NUMBERS: strings in JSON, the exchange's digits everywhere."""

import csv
import io
import json
import re

import pytest

QUESTIONS = [
    ("ticker", "BTC/USDT"),
    ("quote", "BTC/USDT"),
    ("orderbook", "BTC/USDT", "--depth", "3"),
    ("candles", "BTC/USDT", "--timeframe", "15m", "--limit", "5"),
    ("trades", "BTC/USDT", "--limit", "4"),
    ("fees", "BTC/USDT"),
    ("pairs", "--base", "PEPE"),
    ("compare", "BTC/USDT"),
    ("book", "BTC/USDT", "--depth", "2"),
    ("cost", "BTC/USDT", "--side", "buy", "--amount", "0.5"),
]


@pytest.fixture
def exactly(here, monkeypatch):
    """Run a command line with MARKETDATA_NUMBERS=decimal."""

    def run(*line):
        with monkeypatch.context() as patch:
            patch.setenv("MARKETDATA_NUMBERS", "decimal")
            code, out, err = here(*line)
        assert (code, err) == (0, "")
        return out

    return run


def fractions(value):
    """Return the numbers with a point, except our own times."""
    match value:
        case dict():
            return [
                one
                for name, inner in value.items()
                if name not in ("age", "latencyMs")
                for one in fractions(inner)
            ]
        case list():
            return [one for inner in value for one in fractions(inner)]
        case float():
            return [value]
    return []


@pytest.mark.parametrize("line", QUESTIONS, ids=lambda line: line[0])
def test_json_has_strings(exactly, line):
    out = exactly("-f", "json", *line)
    assert fractions(json.loads(out)) == []
    assert re.search(r'"\d+\.\d+"', out)


@pytest.mark.parametrize("line", QUESTIONS[2:5], ids=lambda line: line[0])
def test_jsonl_tables_and_csv_have_every_digit(exactly, line):
    lines = exactly("-f", "jsonl", *line)
    assert fractions([json.loads(text) for text in lines.splitlines()]) == []
    written = re.findall(r'"(\d+\.\d+)"', lines)
    assert written

    out = exactly("-f", "csv", *line)
    rows = list(csv.reader(io.StringIO(out)))
    assert len(rows) == 1 + len(lines.splitlines())
    assert set(written) <= {cell for row in rows for cell in row}

    table = exactly("-f", "table", *line).replace(",", "")
    assert sum(number in table for number in set(written)) > 2


def test_small_prices_have_no_exponent(exactly):
    found = json.loads(exactly("-f", "json", "ticker", "PEPE/USDT"))
    assert re.fullmatch(r"0\.0000\d{4}", found["last"])
    [pair] = json.loads(exactly("-f", "json", "pairs", "--base", "PEPE"))
    assert pair["priceTick"] == "0.00000001"
