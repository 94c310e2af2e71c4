"""JSON, JSON lines and CSV have the library's values, digit for digit."""

import csv
import io
import json
import re
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from marketdata import Trade
from marketdata.clients import Client
from marketdata.models.text import number
from marketdata.operations import OPERATIONS
from marketdata_cli import text

QUESTIONS = {
    "exchanges": {},
    "pairs": {"quote": "USDT"},
    "ticker": {"pair": "PEPE/USDT"},
    "tickers": {},
    "average_price": {"pair": "BTC/USDT"},
    "quote": {"pair": "BTC/USDT"},
    "quotes": {},
    "orderbook": {"pair": "BTC/USDT", "depth": "4"},
    "candles": {"pair": "BTC/USDT", "timeframe": "15m", "limit": "9"},
    "trades": {"pair": "BTC/USDT", "limit": "6"},
    "status": {},
    "fees": {"pair": "BTC/USDT"},
    "compare": {"pair": "BTC/USDT"},
    "consolidated_orderbook": {"pair": "BTC/USDT", "depth": "3"},
    "execution_cost": {"pair": "BTC/USDT", "side": "sell", "quote-amount": "5000"},
}


@pytest.fixture
def ask(here, monkeypatch):
    """Run a command with a format; return its output, and the library's answer."""

    def question(operation, form):
        answers = []
        method = getattr(Client, operation.name)

        def overheard(client, **given):
            answers.append(method(client, **given))
            return answers[0]

        line = [operation.command]
        for name, value in QUESTIONS[operation.name].items():
            line += [value] if name == "pair" else [f"--{name}", value]
        with monkeypatch.context() as patch:
            patch.setattr(Client, operation.name, overheard)
            code, out, err = here("-f", form, *line)
        assert (code, err) == (0, "")
        return out, answers[0]

    return question


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_json_is_the_record(operation, ask):
    out, answer = ask(operation, "json")
    found = json.loads(out)
    if operation.many:
        assert found == [one.to_dict() for one in answer]
    else:
        assert out == answer.to_json() + "\n"


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_jsonl_has_records_bars_or_levels(operation, ask):
    out, answer = ask(operation, "jsonl")
    found = [json.loads(line) for line in out.splitlines()]
    match operation.record:
        case "Candles":
            assert found == [bar.to_dict() for bar in answer]
            assert [bar["forming"] for bar in found] == [False] * 8 + [True]
        case "OrderBook":
            assert found == [
                {"side": side, "price": price, "size": size}
                for side, levels in (("bid", answer.bids), ("ask", answer.asks))
                for price, size in levels
            ]
        case "ConsolidatedOrderBook":
            assert found == quoted(answer)
        case "Comparison":
            assert found == [row.to_dict() for row in answer.rows]
        case _:
            records = answer if operation.many else [answer]
            assert found == [record.to_dict() for record in records]


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_csv_reads_back_as_the_record(operation, ask):
    out, answer = ask(operation, "csv")
    rows = list(csv.DictReader(io.StringIO(out)))
    match operation.record:
        case "Candles":
            assert list(rows[0]) == ["time", "open", "high", "low", "close", "volume", "trades"]
            expected = [
                {
                    "time" if key == "openTime" else key: value
                    for key, value in bar.to_dict().items()
                }
                for bar in answer
            ]
            for bar in expected:
                del bar["forming"], bar["filled"]
        case "OrderBook":
            expected = [
                {"side": side, "price": price, "size": size}
                for side, levels in (("bid", answer.bids), ("ask", answer.asks))
                for price, size in levels
            ]
        case "ConsolidatedOrderBook":
            expected = quoted(answer)
        case "Comparison":
            expected = [by_field(row) for row in answer.rows]
        case _:
            expected = [by_field(one) for one in (answer if operation.many else [answer])]
    assert len(rows) == len(expected)
    for row, record in zip(rows, expected, strict=True):
        assert set(record) <= set(row)
        for name, cell in row.items():
            assert_same(cell, record.get(name))


def by_field(record):
    values = record.to_dict()
    fields = type(record).model_fields.items()
    return {name: values[field.alias] for name, field in fields if field.alias in values}


def quoted(book):
    return [
        {"side": side, "price": price, "size": size, "source": source}
        for side, levels in (("bid", book.bids), ("ask", book.asks))
        for price, _, by in levels
        for source, size in by
    ]


def assert_same(cell, value):
    match value:
        case None:
            assert cell == ""
        case bool():
            assert cell == str(value).lower()
        case int() | float():
            assert float(cell) == value
        case dict() | [dict(), *_]:
            assert json.loads(cell) == value
        case list():
            assert cell.split() == [str(one) for one in value]
        case _:
            assert cell == value


@pytest.mark.parametrize("name", ["ticker", "candles", "orderbook", "trades"])
def test_csv_numbers_are_the_same_floats_without_exponent(here, name):
    code, out, _ = here(name, "PEPE/USDT", "-f", "csv")
    assert code == 0
    cells = [cell for row in csv.reader(io.StringIO(out)) for cell in row]
    numbers = [cell for cell in cells if re.fullmatch(r"[\d.e+-]+", cell)]
    small = [cell for cell in numbers if cell.startswith("0.0000")]
    assert any("e" in repr(float(cell)) for cell in small), "a small price shows it"
    assert not any("e" in cell for cell in numbers)


@pytest.mark.parametrize("value", [0.0, 1e-07, 123456789.125, 1e22, 5e-324, 100.0, 1.5e300])
def test_numbers_are_written_so_that_they_read_back_as_floats(value):
    for one in (value, -value):
        written = number(one)
        assert float(written) == one
        assert re.fullmatch(r"-?\d+\.\d+", written)
    assert number(Decimal("1E+3")) == "1000"
    assert number(Decimal("1E-10")) == "0.0000000001"
    assert number(None) == ""


def test_numbers_are_the_same_floats_without_exponent(ask):
    operation = next(one for one in OPERATIONS if one.name == "ticker")
    out, answer = ask(operation, "csv")
    header, row = csv.reader(io.StringIO(out))
    last = row[header.index("last")]
    assert "e" in repr(answer.last), "a small price shows that no digit is lost"
    assert last == f"{Decimal(repr(answer.last)):f}"
    for form in ("json", "jsonl"):
        out, answer = ask(operation, form)
        assert f'"last":{Decimal(repr(answer.last)):f},' in out
        assert not re.search(r"\de[+-]?\d", out)


def test_csv_without_rows_has_its_header(here):
    code, out, _ = here("pairs", "--base", "NOSUCH", "-f", "csv")
    assert code == 0
    assert out.splitlines() == [
        "exchange,pair,base,quote,price_tick,amount_step,min_amount,max_amount,min_cost,maker,taker,"
        "received_at,simulated,halted"
    ]


def test_unknown_trade_counts_leave_the_column_empty(here):
    code, out, _ = here("candles", "BTC/USD", "-e", "coinbaseexchange", "-n", "2", "-f", "csv")
    assert code == 0
    assert all(line.endswith(",") for line in out.splitlines()[1:])
    code, out, _ = here("candles", "BTC/USD", "-e", "coinbaseexchange", "-n", "2", "-f", "jsonl")
    assert all("trades" not in json.loads(line) for line in out.splitlines())


RUN = ("=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "=HYPERLINK(1)")


@pytest.mark.parametrize("evil", RUN)
def test_no_csv_cell_runs_as_a_formula(evil):
    now = datetime.now(UTC)
    trade = Trade(
        exchange="binance", pair=f"{evil}/USDT", id=evil, price=-1.5, amount=Decimal("-2.5"),
        timestamp=now, received_at=now, side="buy",
    )  # fmt: skip
    operation = next(one for one in OPERATIONS if one.name == "trades")
    streamed = text.stream_header(operation) + text.stream_rows(operation, [trade])
    for out in (trade.to_csv(), streamed):
        [row] = csv.DictReader(io.StringIO(out))
        assert (row["id"], row["pair"]) == (f"'{evil}", f"'{evil}/USDT")
        # Numbers stay numbers, whoever reads them.
        assert (row["price"], row["amount"]) == ("-1.5", "-2.5")
    for out in (
        trade.to_csv(raw=True),
        text.stream_header(operation) + text.stream_rows(operation, [trade], raw=True),
    ):
        [row] = csv.DictReader(io.StringIO(out))
        assert (row["id"], row["pair"]) == (evil, f"{evil}/USDT")


def test_raw_is_an_option_of_every_csv_command(here):
    assert here("-f", "csv", "--raw", "ticker", "BTC/USDT")[0] == 0
    assert here("ticker", "BTC/USDT", "-f", "csv", "--raw")[0] == 0
