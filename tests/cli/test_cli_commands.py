"""The installed command: one command for each operation, options before and after its name."""

import json
import shlex

import pytest
import typer

from marketdata.operations import HISTORY, OPERATIONS
from marketdata_cli.app import application

QUESTIONS = {
    "exchanges": [],
    "pairs": ["--base", "btc"],
    "ticker": ["btc/usdt"],
    "tickers": ["BTC/USDT", "eth-usdt"],
    "average_price": ["btc/usdt", "--window", "10m"],
    "quote": ["BTCUSDT"],
    "quotes": ["BTC/USDT", "ETH/USDT"],
    "orderbook": ["BTC/USDT", "--depth", "7"],
    "candles": ["BTC/USDT", "-t", "1m", "-n", "5"],
    "trades": ["BTC/USDT", "-n", "3"],
    "status": [],
    "fees": ["BTC/USDT"],
    "compare": ["BTC/USDT"],
    "consolidated_orderbook": ["BTC/USDT", "--depth", "3"],
    "execution_cost": ["BTC/USDT", "--side", "buy", "--amount", "0.5"],
}


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda one: one.name)
def test_installed_command_answers_with_the_record_in_json(operation, command):
    done = command("--sim", operation.command, *QUESTIONS[operation.name])
    assert (done.returncode, done.stderr) == (0, "")
    answer = json.loads(done.stdout)
    assert isinstance(answer, list) is operation.many
    first = answer[0] if operation.many else answer
    if operation.name == "exchanges":
        assert [one["id"] for one in answer] == ["binance", "coinbaseexchange", "kraken", "okx"]
    else:
        assert first["simulated"] is True
        assert first.get("exchange", "binance") == "binance"
    if "pair" in first:
        assert first["pair"].startswith("BTC/")


def test_every_operation_has_a_command_line_here():
    assert set(QUESTIONS) == {operation.name for operation in OPERATIONS}


@pytest.mark.parametrize("operation", [*OPERATIONS, *HISTORY], ids=lambda one: one.name)
def test_examples_are_command_lines_of_the_library(operation):
    program = typer.main.get_command(application())
    for example in operation.examples:
        line = shlex.split(example.partition(" > ")[0])
        job = program.main(line, prog_name="marketdata", standalone_mode=False)
        asked, given, *_ = job.args
        assert asked is operation
        operation.parse(given)


@pytest.mark.cold
def test_a_variable_selects_the_simulated_exchange(command, environment):
    done = command("quote", "BTC/USDT", env={**environment, "MARKETDATA_SIM": "1"})
    assert json.loads(done.stdout)["simulated"] is True


@pytest.mark.parametrize(
    "line",
    [
        ("-e", "kraken", "-f", "csv", "quote", "BTC/USDT"),
        ("quote", "BTC/USDT", "-e", "kraken", "-f", "csv"),
        ("-e", "okx", "-f", "table", "quote", "--exchange=kraken", "BTC/USDT", "--format", "CSV"),
    ],
)
def test_common_options_stand_before_or_after_the_command_and_the_later_wins(line, here):
    code, out, _ = here(*line)
    header, row = out.splitlines()
    assert code == 0
    assert header.startswith("exchange,timestamp,")
    assert row.startswith("kraken,")


def test_arguments_reach_the_library_as_typed(here):
    answers = {}
    for name, line in {
        "limit": ("candles", "BTC/USDT", "-t", "1m", "-n", "3"),
        "range": (
            *("candles", "BTC/USDT", "-t", "1m"),
            *("--start", "2025-06-15T12:00Z", "--end", "1749989100000"),
        ),
        "start": ("candles", "BTC/USDT", "-t", "1h", "--start", "2025-06-14T12:34:56Z"),
        "depth": ("orderbook", "BTC/USDT", "-d", "2"),
        "window": ("ticker", "BTC/USDT", "--window", "day"),
        "search": ("pairs", "--search", "doge"),
        "quote": ("pairs", "--quote", "eur"),
        "trades": ("trades", "BTC/USDT", "--from-id", "7", "-n", "2"),
        "aggregate": ("trades", "BTC/USDT", "--aggregate", "-n", "1"),
    }.items():
        code, out, err = here(*line)
        assert (code, err) == (0, ""), line
        answers[name] = json.loads(out)
    assert len(answers["limit"]["candles"]) == 3
    assert [row[0] for row in answers["range"]["candles"]] == [
        1_749_988_800_000 + 60_000 * minute for minute in range(5)
    ]
    assert len(answers["start"]["candles"]) == 24
    # The clock of this exchange stands still in the past: a day back from now is its future.
    code, out, err = here("candles", "BTC/USDT", "-t", "1h", "--start", "-1d")
    assert (code, out) == (2, "")
    assert "still to come on binance" in err
    assert len(answers["depth"]["bids"]) == len(answers["depth"]["asks"]) == 2
    assert answers["window"]["window"] == "day"
    assert [pair["pair"] for pair in answers["search"]] == ["DOGE/USDT"]
    assert {pair["quote"] for pair in answers["quote"]} == {"EUR"}
    assert [trade["id"] for trade in answers["trades"]] == ["7", "8"]
    assert "firstId" in answers["aggregate"][0]


def test_an_extra_comma_names_no_exchange(here):
    for said in ("binance,kraken,", "binance, ,kraken"):
        rows = json.loads(here("compare", "BTC/USDT", "--exchanges", said)[1])["rows"]
        assert [row["exchange"] for row in rows] == ["binance", "kraken"]
    code, out, err = here("compare", "BTC/USDT", "--exchanges", ",")
    assert (code, out) == (2, "")
    assert err.startswith("error: INVALID_PARAMETER: exchanges ")


def test_a_search_covers_all_lists_on_the_disk(here, sim):
    assert {one["exchange"] for one in json.loads(here("pairs", "--search", "pepe")[1])} == {
        "binance"
    }
    for exchange in ("okx", "kraken"):
        assert here("pairs", "-e", exchange)[0] == 0
    sim.forget()
    found = json.loads(here("pairs", "--search", "pepe")[1])
    assert [one["exchange"] for one in found] == ["binance", "kraken", "okx"]
    code, out, err = here("pairs", "--search", "xbt/eur", "-f", "table")
    assert (code, err) == (0, "")
    assert "3 exchanges" in out
    assert sim.requests == []
    code, out, _ = here("pairs", "-e", "okx", "--search", "pepe", "--refresh")
    assert [one["exchange"] for one in json.loads(out)] == ["okx"]
    assert len(sim.requests) == 1


def test_tape_replays_a_recording(tmp_path, here):
    tape = tmp_path / "binance_BTC_USDT-1m.csv"
    tape.write_text(
        "timestamp_ms,open,high,low,close,volume\n"
        "1700000040000,36500.1,36510.5,36490,36505.25,1.5\n"
        "1700000100000,36505.25,36505.25,36400.07,36410,2.25\n"
        "1700000340000,36410,36411,36409,36410.5,0.75\n"
    )
    line = ("candles", "BTC/USDT", "-t", "1m", "--start", "1700000040000", "--tape", str(tape))
    code, out, err = here(*line, "-f", "csv")
    assert code == 0
    assert [row.rsplit(",", 1)[0] for row in out.splitlines()[1:]] == [
        "2023-11-14T22:14:00Z,36500.1,36510.5,36490.0,36505.25,1.5",
        "2023-11-14T22:15:00Z,36505.25,36505.25,36400.07,36410.0,2.25",
        "2023-11-14T22:19:00Z,36410.0,36411.0,36409.0,36410.5,0.75",
    ]
    assert err == "note: 3 missing candles (outage): 2023-11-14 22:16 to 22:19 UTC\n"
    assert json.loads(here(*line)[1])["simulated"] is True


@pytest.mark.cold
def test_version_is_the_library_s(command):
    import marketdata

    done = command("--version")
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        f"marketdata {marketdata.__version__}\n",
        "",
    )


def test_the_old_name_of_a_command_still_works(command):
    asked = ("BTC/USDT", "--depth", "1", "--format", "json")
    new, old = (command("--sim", name, *asked) for name in ("consolidated", "book"))
    assert (new.returncode, old.returncode, old.stderr) == (0, 0, new.stderr)
    assert json.loads(old.stdout).keys() == json.loads(new.stdout).keys()
    assert "\n  book" not in command("--help").stdout


@pytest.mark.parametrize(
    ("line", "means"),
    [
        ("candles --symbol BTC/USDT --interval 4h --count 2", "candles BTC/USDT -t 4h -n 2"),
        (
            "candles BTC/USDT --granularity 1d --since 2024-01-01 --until=2024-01-03",
            "candles BTC/USDT -t 1d --start 2024-01-01 --end 2024-01-03",
        ),
        ("orderbook --market=BTC/USDT --limit 3", "orderbook BTC/USDT --depth 3"),
        ("ticker BTC/USDT --venue okx", "ticker BTC/USDT -e okx"),
        (
            "cost --direction buy BTC/USDT --qty 0.5",
            "cost BTC/USDT --side buy --amount 0.5",
        ),
        ("tickers --symbols BTC/USDT,ETH/USDT", "tickers BTC/USDT ETH/USDT"),
    ],
)
def test_synonyms_of_options_are_accepted(line, means, here):
    def shape(said):
        code, out, err = here(*said.split())
        assert (code, err) == (0, ""), err
        answer = json.loads(out)
        first = answer[0] if isinstance(answer, list) else answer
        size = [len(one) for one in first.values() if isinstance(one, list)]
        return len(answer), size, [first[k] for k in ("pair", "exchange") if k in first]

    assert shape(line) == shape(means)


def test_help_does_not_list_synonyms(here):
    out = here("candles", "--help")[1]
    assert not any(name in out for name in ("--symbol", "--interval", "--since", "--until"))
