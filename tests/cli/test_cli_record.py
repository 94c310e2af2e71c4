"""``marketdata record`` and ``watch --replay``: a replay equals the recording."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest
from cli_screen import LiveTerminal
from inside.recordings import is_recording, read
from waiting import until

from marketdata.models import Recorded
from marketdata.operations import RECORD
from marketdata.sim import SimulatedExchange
from marketdata_cli.binding import parameters

TYPED_OTHERWISE = {"path", "seconds"}


@pytest.fixture(scope="module")
def live():
    """A separate simulated exchange, whose clock runs as soon as there is a subscription."""
    with SimulatedExchange(seed=5, now=1_750_000_000_000, frozen=True) as started:
        over = threading.Event()

        def tick():
            while not over.wait(0.05):
                if any(one.subscriptions for one in started.sockets):
                    started.advance(0.2)

        clockwork = threading.Thread(target=tick)
        clockwork.start()
        yield started
        over.set()
        clockwork.join()


@pytest.fixture
def recorded(here, live, monkeypatch):
    """Run a command line that asks the exchange."""
    monkeypatch.setenv("MARKETDATA_ENDPOINTS", json.dumps(live.endpoints))
    return here


@pytest.fixture(scope="module")
def recording(live, tmp_path_factory, interruptible):
    """A recording of two pairs, ended when there is enough in it."""
    folder = tmp_path_factory.mktemp("recording")
    env = {name: value for name, value in os.environ.items() if name[:11] != "MARKETDATA_"}
    env |= {"MARKETDATA_HOME": str(folder), "MARKETDATA_ENDPOINTS": json.dumps(live.endpoints)}
    path = folder / "two.rec"
    line = [*interruptible, "record", "BTC/USDT", "ETH/USDT", "-o", str(path), "-q"]
    process = subprocess.Popen(line, env=env)
    try:
        until(lambda: min(map(len, trades_in(path).values())) >= 3, process=process)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) == 130
    finally:
        process.kill()
        process.wait()
    return path


def trades_in(path):
    """The ids of the trades in a recording of binance, by pair."""
    found = {"BTCUSDT": [], "ETHUSDT": []}
    for event in read(path) if is_recording(path) else ():
        if event.kind == "got" and '"e":"trade"' in event.text:
            told = json.loads(event.text)
            told = told.get("data", told)
            found[told["s"]].append(str(told["t"]))
    return found


def test_it_reports_what_it_has_recorded(recorded, tmp_path):
    file = tmp_path / "one.rec"
    line = ("record", "BTC/USDT", "-o", str(file), "--for", "1.5s", "-e", "okx")
    code, out, err = recorded(*line, "--what", "ticker,candles", "-t", "5m")
    assert code == 0
    assert is_recording(file)
    told = Recorded.model_validate_json(out)
    assert (told.path, told.size) == (str(file), file.stat().st_size)
    assert told.frames == sum(1 for _ in read(file))
    assert {one.kind for one in told.streams} <= {"ticker", "candles"}
    *streams, total = err.splitlines()
    assert len(streams) == len(told.streams)
    assert total.startswith(f"{told.frames:,} frames, ")
    assert total.endswith(f" in {file}")
    code, out, err = recorded("record", "BTC/USDT", "-o", str(file), "--for", "0.2s", "-q")
    assert (code, err) == (0, "")
    assert Recorded.model_validate_json(out).size >= told.size


def test_its_page_lists_the_streams(draw):
    counts = dict.fromkeys(("watchers", "updates", "dropped", "unreadable", "memory"), 0)
    stream = {"exchange": "okx", "pair": "BTC/USDT", "state": "live", "simulated": True, **counts}
    trouble = {"gaps": 2, "resyncs": 2, "reconnects": 1, "error": "EXCHANGE_UNAVAILABLE"}
    none = dict.fromkeys(("gaps", "resyncs", "reconnects"), 0)
    streams = [
        {**stream, **none, "kind": "trades", "messages": 1234},
        {**stream, **trouble, "kind": "candles", "timeframe": "5m", "messages": 5},
    ]
    record = Recorded(path="x.rec", frames=1300, size=45_600, seconds=61.2, streams=streams)
    assert draw(record, "Recorded", 100).splitlines() == [
        "x.rec   SIMULATED",
        "exchange  pair      what        messages  gaps  resyncs  reconnects",
        "okx       BTC/USDT  trades         1,234     –        –           –",
        "okx       BTC/USDT  5m candles         5     2        2           1  EXCHANGE_UNAVAILABLE",
        "1,300 frames, 45.6 kB, 61.2 s, 2 gaps",
    ]


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("BTC/USDT", "MISSING_PARAMETER", "--output"),
        ("-o x.rec", "MISSING_PARAMETER", "PAIR"),
        ("BTC/USDT -o x.rec --what weather", "INVALID_PARAMETER", "'weather'"),
        ("BTC/USDT -o x.rec --for ever", "INVALID_PARAMETER", "for example 10s"),
        ("BTC/USDT -o x.rec --depth 0", "INVALID_PARAMETER", "depth"),
        ("BTC/USDT -o x.rec -f xml", "INVALID_PARAMETER", "jsonl"),
        ("BTC/USDT -o no/such/folder/x.rec", "INVALID_PARAMETER", "No such file"),
        ("BTC/USTD -o x.rec", "PAIR_NOT_SUPPORTED", "Did you mean BTC/USDT"),
        ("BTC/USDT -o x.rec -e krakn", "EXCHANGE_NOT_SUPPORTED", "kraken"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(line, code, said, here, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    status, out, err = here("record", *line.split())
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {code}: ")
    assert said in err
    assert err.count("\n") == 1


def test_a_file_that_is_no_recording_is_not_changed(here, tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("notes\n")
    status, _, err = here("record", "BTC/USDT", "-o", str(file))
    assert status == 2
    assert "cannot be recorded to" in err
    assert file.read_text() == "notes\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_a_complete_recording(
    number, code, interruptible, environment, live, tmp_path
):
    file = tmp_path / "cut.rec"
    env = {**environment, "MARKETDATA_ENDPOINTS": json.dumps(live.endpoints)}
    process = subprocess.Popen(
        [*interruptible, "record", "BTC/USDT", "-o", str(file)],
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # What is told each second has been by when a second part is written.
        until(lambda: file.exists() and file.stat().st_size > 5_000, process=process)
        first = file.stat().st_size
        until(lambda: file.stat().st_size > first, process=process)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
        process.communicate()
    assert (process.returncode, out) == (code, "")
    assert f" in {file}\n" in err
    assert sum(one.kind == "got" for one in read(file)) > 0


def test_a_terminal_shows_its_progress(program, environment, live, tmp_path):
    env = {**environment, "MARKETDATA_ENDPOINTS": json.dumps(live.endpoints)}
    file = tmp_path / "shown.rec"
    shown = LiveTerminal([program, "record", "BTC/USDT", "-o", str(file)], env, columns=200)
    try:
        shown.until(lambda lines: lines and re.match(r"\d+ frames, .*frames/s\. Ctrl-C", lines[0]))
        shown.type("\x03")
        assert shown.end() == 130
        picture = shown.picture.lines
    finally:
        shown.close()
    assert picture[0].startswith(str(file))
    assert re.fullmatch(r"[\d,]+ frames?, .*, 0 gaps", picture[-1])


# ---------------------------------------------------------------------------- played again


@pytest.mark.parametrize("speed", ["10", "inf"])
def test_trades_are_replayed_as_recorded(speed, here, recording):
    line = ("watch", "trades", "BTC/USDT", "ETH/USDT", "--replay", str(recording))
    code, out, err = here(*line, "--speed", speed)
    assert code == 0, err
    played = [json.loads(one) for one in out.splitlines()]
    assert all(one["simulated"] for one in played)
    assert {
        symbol: [one["id"] for one in played if one["pair"].replace("/", "") == symbol]
        for symbol in ("BTCUSDT", "ETHUSDT")
    } == trades_in(recording)


def test_a_book_is_replayed_through_the_same_views(here, recording):
    line = ("watch", "orderbook", "BTC/USDT", "--replay", str(recording), "--speed", "20")
    code, out, err = here(*line, "--depth", "5", "-f", "table")
    assert code == 0, err
    assert out.startswith("BTC/USDT  ended  binance   SIMULATED   order book")
    assert "── spread" in out


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("--replay nothing.rec", "nothing.rec is not a readable recording"),
        ("--speed 2", "give --replay as well"),
        ("--replay nothing.rec --speed 0", "above 0"),
        ("--replay nothing.rec --speed fast", "'fast'"),
    ],
)
def test_what_cannot_be_replayed_is_refused(line, said, here):
    status, out, err = here("watch", "ticker", "BTC/USDT", *line.split())
    assert (status, out) == (2, "")
    assert err.startswith("error: INVALID_PARAMETER: ")
    assert said in err


# ---------------------------------------------------------------------------- help, completion


def test_pages_have_the_texts_of_the_library(command, environment):
    page = command("record", "--help", env={**environment, "COLUMNS": "200"}).stdout
    words = " ".join(page.split())
    assert " ".join(RECORD.description.split()) in words
    for parameter in parameters(RECORD):
        if parameter.name not in TYPED_OTHERWISE:
            assert parameter.text in words, parameter.name
    for example in RECORD.examples:
        assert f"  marketdata {example}\n" in page
    assert "-o, --output FILE File to append the recording to. [required]" in words
    assert "[default: trades,orderbook]" in words
    assert "\n  record " in command("--help").stdout
    page = command("watch", "ticker", "--help").stdout
    assert "--replay FILE" in page
    assert "--speed SPEED" in page


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("marketdata rec", {"record"}),
        ("marketdata record BTC/USDT --what trades,o", {"trades,orderbook"}),
        ("marketdata record BTC/USDT --o", {"--output"}),
    ],
)
def test_completion(line, offered, command, environment):
    words = {
        "_MARKETDATA_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = command(env={**environment, **words})
    assert done.stderr == ""
    assert set(done.stdout.split()) == offered
