"""Help pages: complete, with the library's texts, and fast."""

import inspect
import subprocess
import sys

import pytest
import typer

from marketdata.arguments import second_names
from marketdata.operations import HISTORY, OPERATIONS
from marketdata_cli.app import application
from marketdata_cli.binding import parameters

HEAVY = (
    *("ccxt", "mcp", "rich", "aiohttp", "sqlite3", "requests", "pandas", "polars"),
    *("deltalake", "pyarrow"),
)

OBJECTS = {"progress", "scheduler"}
"""Arguments that only programs can hand over."""


@pytest.fixture(scope="module")
def pages():
    """Help pages by command, as wide as they come."""
    program = typer.main.get_command(application())
    context = program.make_context(
        "marketdata", ["--sim"], resilient_parsing=True, terminal_width=200
    )
    found = {"": program.get_help(context)}
    for name in program.list_commands(context):
        command = program.get_command(context, name)
        inner = typer.Context(command, info_name=name, parent=context, terminal_width=200)
        found[name] = command.get_help(inner)
        for below in command.list_commands(inner) if name == "history" else ():
            page = typer.Context(
                command.get_command(inner, below), info_name=below, parent=inner, terminal_width=200
            )
            found[f"history {below}"] = page.command.get_help(page)
    return found


def test_the_first_page_names_every_command_and_option(pages):
    page = pages[""]
    for operation in OPERATIONS:
        assert f"  {operation.command}" in page
        assert operation.summary in page
    assert "  sim " in page
    assert "  history " in page
    for option in ("--format", "-f", "--sim", "--tape", "--debug", "--exchange", "-e", "--version"):
        assert option in page
    assert "--install-completion" in page
    assert "marketdata --sim ticker BTC/USDT" in page


@pytest.mark.parametrize("operation", [*OPERATIONS, *HISTORY], ids=lambda one: one.name)
def test_pages_have_the_texts_of_the_library(operation, pages):
    page = pages[f"history {operation.name}" if operation in HISTORY else operation.command]
    for paragraph in operation.description.split("\n\n"):
        assert " ".join(paragraph.split()) in " ".join(page.split())
    for example in operation.examples:
        assert f"  marketdata {example}\n" in page + "\n"
        assert len(f"  marketdata {example}") <= 80, "fits a terminal"
    own = inspect.signature(operation.method).parameters.keys()
    own -= second_names(inspect.unwrap(operation.method)).keys()
    for option in ("--format", "--sim", "--tape", "--debug"):
        assert option in page
    for parameter in parameters(operation):
        assert parameter.text in page, parameter.name
    assert {one.name for one in parameters(operation)} | {"self"} | OBJECTS >= own


def test_the_page_of_a_group_names_its_commands(pages, command):
    for operation in HISTORY:
        assert f"  {operation.name}" in pages["history"]
        assert operation.summary in pages["history"]
    bare = command("history")
    assert (bare.returncode, bare.stderr) == (0, "")
    assert bare.stdout == command("history", "--help").stdout


def test_pages_of_the_history_commands(pages):
    words = " ".join(pages["history download"].split())
    assert "Usage: marketdata history download [OPTIONS] PAIR... " in words
    assert "--start TIME Start of the range, inclusive: ISO-8601, Unix ms, or an age " in words
    assert "-7d. [required] --end TIME" in words
    assert (
        "-e, --exchange, --exchanges EXCHANGE,... Exchange ids; by default the first default "
        in words
    )
    assert "--dry-run Change nothing; only report what would be done. " in words
    assert "-q, --quiet " in words
    words = " ".join(pages["history export"].split())
    assert "[OPTIONS] FILE PAIR " in words
    assert (
        "-f, --format parquet|csv|feather File format; by default from the ending of the " in words
    )
    assert words.count("--format") == 1
    assert "[OPTIONS] [PAIR...] " in " ".join(pages["history list"].split())
    assert "-y, --yes" in pages["history remove"]


def test_pages_of_candles_and_tickers(pages):
    assert "marketdata candles [OPTIONS] PAIR\n" in pages["candles"]
    assert "marketdata tickers [OPTIONS] [PAIR...]\n" in pages["tickers"]
    words = " ".join(pages["orderbook"].split())
    assert (
        "-d, --depth N Maximum number of price levels a side. [default: 20, from 1 to 5,000] "
        in words
    )
    assert "-t, --timeframe TIMEFRAME Length of a candle" in " ".join(pages["candles"].split())
    words = " ".join(pages["candles"].split())
    assert "--fill none|zero|previous " in words
    assert (
        "--store / --no-store Read closed candles from the store, and add new ones to it. " in words
    )
    assert "[default: --store]" in words
    for line in ("Arguments:", "Options:", "Options of every command:", "Examples:"):
        assert line in pages["candles"]


def test_commands_are_grouped_and_common_options_written_once(pages):
    page = pages[""]
    titles = ["Data:", "Several exchanges:", "History:", "Live:", "Service:", "Options:"]
    places = [page.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)
    assert places[1] < page.index("\n  compare ") < places[2]
    assert places[0] < page.index("\n  candles ") < places[1]
    # What an option of every command does is said on the first page alone.
    said = "no internet, made-up prices"
    told = [name for name, text in pages.items() if said in " ".join(text.split())]
    assert told == ["", "watch", "history"]


def test_help_has_colours_on_a_terminal_with_colours(monkeypatch):
    from marketdata_cli import manual

    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert manual.styled("Data", bold=True) == "\x1b[1mData\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert manual.styled("Data", bold=True) == "Data"


def test_help_fits_a_narrow_terminal(command, environment):
    for name in ("candles", "sim", "history download"):
        done = command(*name.split(), "--help", env={**environment, "COLUMNS": "60"})
        page = done.stdout.partition("Examples:")[0]
        assert max(map(len, page.splitlines())) <= 60


def test_no_arguments_show_the_first_page(command):
    bare, asked, short = command(), command("--help"), command("-h")
    assert bare.returncode == 0
    assert bare.stdout == asked.stdout == short.stdout != ""
    assert "\x1b" not in bare.stdout


@pytest.mark.parametrize(
    "line",
    [
        ["--help"],
        ["--version"],
        ["candles", "--help"],
        ["sim", "-h"],
        ["history"],
        ["history", "download", "-h"],
    ],
    ids=" ".join,
)
def test_help_pages_import_nothing_that_calls_need(line):
    # typer itself brings pydantic once it reads the options of a command.
    heavy = set(HEAVY) | ({"pydantic"} if line[0].startswith("--") else set())
    code = (
        "import sys\n"
        "from marketdata_cli.app import run\n"
        f"assert run({line!r}) == 0\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        f"sys.exit(' '.join(sorted(loaded & {heavy!r})))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stderr == "\n"


def test_only_tables_import_rich(asking):
    code = (
        "import sys\n"
        "from marketdata_cli.app import run\n"
        "assert run(['quote', 'BTC/USDT', '-f', sys.argv[1]]) == 0\n"
        "sys.exit(' '.join({'ccxt', 'rich', 'mcp'} & set(sys.modules)))\n"
    )
    loaded = {
        form: subprocess.run(
            [sys.executable, "-c", code, form],
            env=asking,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        ).stderr.split()
        for form in ("json", "table")
    }
    assert "rich" not in loaded["json"]
    assert "rich" in loaded["table"]
    assert "mcp" not in loaded["table"]


def test_help_and_version_work_in_a_broken_environment(command, environment):
    broken = {
        **environment,
        "MARKETDATA_ENDPOINTS": "{",
        "MARKETDATA_TIMEOUT": "soon",
        "MARKETDATA_EXCHANGE": ",",
        "MARKETDATA_HOME": "/dev/null/nowhere",
    }
    for line in (["--help"], ["ticker", "--help"], ["--version"]):
        done = command(*line, env=broken)
        assert (done.returncode, done.stderr) == (0, ""), line
    assert command("status", env=broken).returncode == 2


@pytest.mark.cold
def test_the_module_is_the_command(environment):
    line = [sys.executable, "-m", "marketdata_cli", "--version"]
    done = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("marketdata ")


def test_only_the_command_that_is_called_has_its_parameters_read(capsys):
    program = typer.main.get_command(application())
    for line in (["--help"], ["quote", "--help"]):
        program.main(line, prog_name="marketdata", standalone_mode=False)
    read = [name for name, one in program.commands.items() if getattr(one, "is_read", False)]
    assert read == ["quote"]
    assert "BASE/QUOTE" in capsys.readouterr().out
