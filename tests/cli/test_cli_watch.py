"""``marketdata watch``: output, end and exit code of each command."""

import csv
import io
import json
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from marketdata import models
from marketdata.operations import STREAMS
from marketdata.sim import SimulatedExchange
from marketdata_cli.binding import parameters
from marketdata_cli.commands.watch import seconds, shell_name

KINDS = [shell_name(operation) for operation in STREAMS]
HEAVY = {"ccxt", "rich", "aiohttp", "mcp", "pandas", "deltalake", "pyarrow", "sqlite3"}


@pytest.fixture(scope="module")
def live():
    """A separate simulated exchange, whose clock moves only with `advance`."""
    with SimulatedExchange(seed=5, now=1_750_000_000_000, frozen=True) as started:
        yield started


@pytest.fixture
def watching(here, live, monkeypatch):
    """Run a command line while the exchange's clock runs, faster than real time.

    It begins to when there are so many subscriptions.
    """
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(live.endpoints))

    @contextmanager
    def ticking(wanted):
        over = threading.Event()

        def tick():
            while not over.wait(0.02):
                if sum(len(one.subscriptions) for one in live.sockets) >= wanted:
                    live.advance(0.5)

        clockwork = threading.Thread(target=tick)
        clockwork.start()
        try:
            yield
        finally:
            over.set()
            clockwork.join()

    def run(*line, subscriptions=1):
        live.forget()
        with ticking(subscriptions):
            return here("watch", *line)

    yield run
    live.faults.clear()


@pytest.mark.parametrize("operation", STREAMS, ids=shell_name)
def test_a_pipe_gets_one_line_per_record(operation, watching):
    code, out, err = watching(shell_name(operation), "BTC/USDT", "--count", "3")
    assert code == 0
    record = getattr(models, operation.record)
    lines = out.splitlines()
    assert len(lines) == 3
    for line in lines:
        told = record.model_validate_json(line)
        assert (told.exchange, told.pair, told.simulated) == ("binance", "BTC/USDT", True)
        assert told.to_json() == line
    name = "1m candles" if operation.record == "Candles" else shell_name(operation)
    [summary] = err.splitlines()
    assert summary.startswith(f"binance BTC/USDT {name}: ")
    assert summary.endswith(", 0 dropped, 0 gaps, 0 resyncs, 0 reconnects")


@pytest.mark.parametrize("operation", STREAMS, ids=shell_name)
def test_rows_have_one_header(operation, watching):
    line = (shell_name(operation), "BTC/USDT", "ETH/USDT", "-f", "csv", "--count", "4", "-q")
    code, out, err = watching(*line, *(("--depth", "2") if "book" in line[0] else ()))
    assert (code, err) == (0, "")
    header, *rest = csv.reader(io.StringIO(out))
    assert header[0] == "exchange"
    assert len(rest) >= 4
    for row in csv.DictReader(io.StringIO(out)):
        assert None not in row
        assert None not in row.values()
        assert row["exchange"] == "binance"
        assert row["pair"] in ("BTC/USDT", "ETH/USDT")
        assert row["received_at"].endswith("Z")


def test_rows_of_books_and_candles_name_their_pair(watching):
    line = ("-f", "csv", "--count", "1", "-q")
    _, out, _ = watching("orderbook", "BTC/USDT", "-e", "okx", "--depth", "3", *line)
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["side"] for row in rows] == ["bid"] * 3 + ["ask"] * 3
    assert {row["exchange"] for row in rows} == {"okx"}
    assert float(rows[0]["price"]) < float(rows[3]["price"])
    _, out, _ = watching("candles", "BTC/USDT", "-t", "5m", *line)
    [row] = csv.DictReader(io.StringIO(out))
    assert (row["timeframe"], row["forming"]) == ("5m", "true")
    assert float(row["low"]) <= float(row["close"]) <= float(row["high"])


def test_several_pairs_of_several_exchanges(watching):
    line = ("quote", "btc-usdt", "ETH/USDT", "-e", "binance,kraken", "--count", "16")
    code, out, err = watching(*line, subscriptions=4)
    assert code == 0
    told = {(one["exchange"], one["pair"]) for one in map(json.loads, out.splitlines())}
    subjects = [
        (exchange, pair) for exchange in ("binance", "kraken") for pair in ("BTC/USDT", "ETH/USDT")
    ]
    assert told == set(subjects)
    assert [tuple(line.split()[:2]) for line in err.splitlines()] == subjects


def test_the_exchange_can_precede_the_command(here, watching, live):
    assert watching("ticker", "BTC/USDT", "--count", "1", "-e", "okx")[0] == 0
    assert [one.exchange for one in live.sockets] == ["okx"]


def test_a_table_in_a_pipe_is_the_last_picture(watching):
    code, out, err = watching(
        "orderbook", "BTC/USDT", "--depth", "4", "-f", "table", "--count", "5"
    )
    assert code == 0
    assert "\x1b" not in out
    lines = out.splitlines()
    assert lines[0] == "BTC/USDT  binance   SIMULATED   order book"
    assert len(lines) == 12
    assert err.startswith("binance BTC/USDT orderbook: ")


def test_a_chart_begins_with_past_bars(watching, live):
    code, out, _ = watching("candles", "BTC/USDT", "-f", "table", "--count", "1", "-q")
    assert code == 0
    assert sum("2025-06-15 " in line for line in out.splitlines()) == 10
    asked = [one for one in live.requests if one.path.endswith("/klines")]
    assert len(asked) == 1
    assert watching("candles", "BTC/USDT", "--count", "1", "-q")[0] == 0
    assert not [one for one in live.requests if one.path.endswith("/klines")]


def test_every_delivers_each_change(watching):
    line = ("orderbook", "BTC/USDT", "--depth", "1", "--delivery", "every", "--count", "20", "-q")
    code, out, _ = watching(*line)
    assert code == 0
    numbers = [json.loads(line)["sequence"] for line in out.splitlines()]
    assert len(numbers) == 20
    assert numbers == sorted(set(numbers))


def test_a_cut_stream_continues_and_is_counted(watching, live):
    live.faults.add("binance:stream/depth/BTCUSDT:cut,after=3,times=1")
    line = ("orderbook", "BTC/USDT", "--depth", "1", "--delivery", "every", "--count", "15")
    code, out, err = watching(*line)
    assert code == 0
    assert len(out.splitlines()) == 15
    assert err.endswith(" 1 reconnect\n")


def test_a_lost_change_is_a_gap_in_the_summary(watching, live):
    live.faults.add("binance:stream/depth/BTCUSDT:lose,after=3,times=1")
    line = ("orderbook", "BTC/USDT", "--depth", "1", "--delivery", "every", "--count", "15")
    code, _, err = watching(*line)
    assert code == 0
    assert ", 1 gap, 1 resync, 0 reconnects\n" in err


@pytest.mark.parametrize("form", ["jsonl", "csv", "table"])
def test_the_time_limit_works_without_any_record(form, here, monkeypatch, live):
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(live.endpoints))
    code, out, err = here("watch", "trades", "BTC/USDT", "--for", "0.3s", "-f", form)
    assert code == 0
    assert out.count("\n") == {"jsonl": 0, "csv": 1, "table": 2}[form]
    assert err == (
        "binance BTC/USDT trades: 0 messages, 0 updates, 0 dropped, 0 gaps, 0 resyncs, "
        "0 reconnects\n"
    )


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("ticker BTC/USTD", "PAIR_NOT_SUPPORTED", "Did you mean BTC/USDT"),
        ("ticker BTC/USDT BTC/USTD", "PAIR_NOT_SUPPORTED", "BTC/USTD"),
        ("ticker BTC/USDT:USDT", "PAIR_NOT_SUPPORTED", "Ask for BTC/USDT"),
        ("ticker BTC/USDT -e binance,krakn", "EXCHANGE_NOT_SUPPORTED", "Did you mean kraken"),
        ("candles BTC/USDT -t 7m", "TIMEFRAME_NOT_SUPPORTED", "1m"),
        ("candles BTC/USDT -t fortnightly", "INVALID_PARAMETER", "fortnightly"),
        ("orderbook BTC/USDT --depth 0", "INVALID_PARAMETER", "depth"),
        ("trades BTC/USDT --delivery some", "INVALID_PARAMETER", "latest, every"),
        ("trades BTC/USDT --buffer 0", "INVALID_PARAMETER", "buffer"),
        ("ticker BTC/USDT --for 10", "INVALID_PARAMETER", "for example 10s"),
        ("ticker BTC/USDT --for 0s", "INVALID_PARAMETER", "0s"),
        ("ticker BTC/USDT --for soon", "INVALID_PARAMETER", "soon"),
        ("ticker BTC/USDT --count 0", "INVALID_PARAMETER", "--count"),
        ("ticker BTC/USDT --count few", "INVALID_PARAMETER", "--count"),
        ("ticker BTC/USDT -f json", "INVALID_PARAMETER", "table, jsonl, csv"),
        ("ticker", "MISSING_PARAMETER", "PAIR"),
        ("tikcer BTC/USDT", "INVALID_PARAMETER", "tikcer"),
        ("ticker BTC/USDT --depth 3", "INVALID_PARAMETER", "--depth"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(line, code, said, here):
    status, out, err = here("watch", *line.split())
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {code}: ")
    assert said in err
    assert err.count("\n") == 1


def test_a_missing_stream_is_exit_code_1(watching):
    code, out, err = watching("candles", "BTC/USDT", "-e", "coinbaseexchange")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: DATA_UNAVAILABLE: coinbaseexchange has no ")


@pytest.mark.parametrize("rule", ["binance:*:status=451", "binance:*:drop"])
def test_an_exchange_that_is_down_is_exit_code_1(rule, watching, live, monkeypatch):
    monkeypatch.setenv("MARKETDATA_RETRIES", "0")
    monkeypatch.setenv("MARKETDATA_TIMEOUT", "2")
    live.faults.add(rule)
    code, out, err = watching("ticker", "BTC/USDT", "-e", "binance")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1].startswith("error: EXCHANGE_UNAVAILABLE: ")


@pytest.mark.parametrize(
    ("text", "length"), [("10s", 10), ("1.5s", 1.5), ("5m", 300), ("2h", 7200), (" 1s ", 1)]
)
def test_durations(text, length):
    assert seconds(text) == length


# ---------------------------------------------------------------------------- help, completion


@pytest.mark.parametrize("operation", STREAMS, ids=shell_name)
def test_pages_have_the_texts_of_the_library(operation, command, environment):
    wide = {**environment, "COLUMNS": "200"}
    page = command("watch", shell_name(operation), "--help", env=wide).stdout
    words = " ".join(page.split())
    assert " ".join(operation.description.split()) in words
    for parameter in parameters(operation):
        assert " ".join(parameter.text.split()) in words
    for example in operation.examples:
        assert f"  marketdata {example}\n" in page
    for option in ("--for", "--count", "--format", "--quiet", "--sim", "--tape", "--debug"):
        assert option in page
    assert "PAIR..." in page
    assert "-e, --exchange, --exchanges EXCHANGE,..." in page
    assert page.count("--format FORM") == 1
    narrow = command("watch", shell_name(operation), "-h", env={**environment, "COLUMNS": "60"})
    text = narrow.stdout.partition("Examples:")[0]
    assert max(map(len, text.splitlines())) <= 60


def test_the_page_of_the_group_names_its_commands(command):
    bare = command("watch")
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == command("watch", "--help").stdout
    assert all(f"\n  {kind} " in bare.stdout for kind in KINDS)
    assert "\n  watch " in command("--help").stdout


@pytest.mark.parametrize(
    "line",
    ["watch", "watch orderbook -h", "watch ticker BTC/USDT --for ten", "watch trades X/Y -f json"],
)
def test_help_and_refusals_import_nothing_slow(line, environment):
    code = (
        "import sys\n"
        "from marketdata_cli.app import run\n"
        f"run({line.split()!r})\n"
        f"print(sorted({{name.partition('.')[0] for name in sys.modules}} & {HEAVY!r}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_lines_do_not_import_rich(asking):
    code = (
        "import sys\n"
        "from marketdata_cli.app import run\n"
        "run(['watch', 'ticker', 'BTC/USDT', '--for', '0.01s', '-q'])\n"
        "print('rich' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=asking, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("marketdata wat", {"watch"}),
        ("marketdata watch ", set(KINDS)),
        ("marketdata watch orderbook BTC/USDT --d", {"--depth", "--delivery", "--debug"}),
        ("marketdata watch trades BTC/USDT --delivery l", {"latest"}),
        ("marketdata watch ticker BTC/USDT -e okx,b", {"okx,binance"}),
        ("marketdata watch ticker BTC/USDT --format j", {"jsonl"}),
        ("marketdata watch ticker BTC/USDT --for 1", {"10s"}),
        ("marketdata watch candles BTC/USDT -t 1", {"1m", "1h", "1d"}),
    ],
)
def test_completion(line, offered, command, environment):
    words = {
        "_MARKETDATA_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = command(env={**environment, **words, "MARKETDATA_SIM": "1"})
    assert done.stderr == ""
    assert set(done.stdout.split()) == offered
