"""``marketdata watch`` as a process: on a terminal, in a pipe, interrupted, with slow readers."""

import json
import os
import re
import select
import signal
import subprocess
import threading

import pytest
from cli_screen import LiveTerminal
from waiting import until

from marketdata.sim import SimulatedExchange

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and terminals")

SUMMARY = re.compile(r"(\w+ \S+ [\w ]+): (\d+) messages?, (\d+) updates?, (\d+) dropped, ")


@pytest.fixture
def live():
    """A simulated exchange whose clock runs, faster than real time, once it is started."""
    with SimulatedExchange(seed=5, now=1_750_000_000_000, frozen=True) as started:
        yield started


@pytest.fixture
def going(live):
    """Start the clock; the returned function stops it."""
    over = threading.Event()

    def tick():
        while not over.wait(0.05):
            live.advance(0.2)

    clockwork = threading.Thread(target=tick)

    def stop():
        over.set()
        if clockwork.is_alive():
            clockwork.join()

    def begin():
        clockwork.start()
        return stop

    yield begin
    stop()


@pytest.fixture
def env(environment, live):
    return {**environment, "MARKETDATA_ENDPOINTS": json.dumps(live.endpoints)}


@pytest.fixture
def terminal(env, program):
    """Start the installed command on a terminal."""
    started = []

    def start(*line, columns=100, rows=16):
        started.append(LiveTerminal([program, "watch", *line], env, columns, rows))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def started(env, interruptible):
    """Start the installed command with pipes."""
    running = []

    def start(*line, **options):
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen([*interruptible, "watch", *line], env=env, text=True, **streams)
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def subscribed(live, count):
    """Wait until there is a number of subscriptions."""
    until(lambda: sum(len(one.subscriptions) for one in live.sockets if not one.closed) >= count)


# ---------------------------------------------------------------------------- terminals


def test_a_picture_is_cut_stale_recovered_resized_and_removed(terminal, live, going):
    shown = terminal("quote", "BTC/USDT", "ETH/USDT", "-e", "binance,kraken")
    shown.until(lambda lines: lines and lines[0].startswith("Quotes  binance, kraken   SIMULATED"))
    subscribed(live, 4)
    going()
    table = shown.until(lambda lines: sum("0." in line for line in lines[2:6]) == 4)
    assert table[1].split()[:4] == ["pair", "exchange", "bid", "size"]
    assert [line.split()[:2] for line in table[2:6]] == [
        *(["BTC/USDT", "binance"], ["ETH/USDT", "binance"]),
        *(["BTC/USDT", "kraken"], ["ETH/USDT", "kraken"]),
    ]
    assert re.search(r"^0:00:\d\d, [1-9]\d* records?\. Ctrl-C ends\.", table[7])
    assert shown.picture.is_alternate
    assert not shown.picture.shows_cursor

    live.faults.add("binance:*:status=503")
    live.hang_up("binance")
    shown.until(lambda lines: all(line.endswith("reconnecting") for line in lines[2:4]))
    assert "reconnect" in shown.picture.lines[7]
    assert not any(line.endswith("reconnecting") for line in shown.picture.lines[4:6])
    live.faults.clear()
    shown.until(lambda lines: not any("reconnecting" in line for line in lines))

    shown.resize(60, 5)
    small = shown.until(lambda lines: len(lines) <= 5 and "more than fit" in lines[-1])
    assert max(map(len, small)) <= 60
    shown.resize(120, 20)
    shown.until(lambda lines: len(lines) == 8 and "kraken" in lines[5])

    shown.type("\x03")
    assert shown.end() == 130
    picture = shown.picture
    assert not picture.is_alternate
    assert picture.shows_cursor
    told = SUMMARY.findall("\n".join(picture.lines))
    assert [name for name, *_ in told] == [
        f"{exchange} {pair} quote"
        for exchange in ("binance", "kraken")
        for pair in ("BTC/USDT", "ETH/USDT")
    ]
    assert all(int(messages) > 0 for _, messages, *_ in told)
    assert re.search(r"binance BTC/USDT quote: .* [1-9]\d* reconnects?", "".join(picture.lines))


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("orderbook", ["order book", "── spread", "ETH/USDT"]),
        ("trades", ["newest last", "side", "buy"]),
        ("candles", ["1m candles", "volume", "ETH/USDT"]),
    ],
)
def test_pictures_of_the_other_kinds(kind, wanted, terminal, live, going):
    shown = terminal(kind, "BTC/USDT", "ETH/USDT", columns=120, rows=20)
    subscribed(live, 2)
    going()
    shown.until(lambda lines: all(any(text in line for line in lines) for text in wanted))
    assert len(shown.picture.lines) <= 20
    shown.process.send_signal(signal.SIGTERM)
    assert shown.end() == 143
    assert not shown.picture.is_alternate


def test_a_picture_that_ends_by_itself_stays(terminal, live, going):
    shown = terminal("orderbook", "BTC/USDT", "--count", "3")
    subscribed(live, 1)
    going()
    assert shown.end() == 0
    assert not shown.picture.is_alternate
    *picture, summary = shown.picture.lines
    assert picture[0].startswith("BTC/USDT  binance   SIMULATED   order book, best ")
    assert len(picture) <= 16
    assert summary.startswith("binance BTC/USDT orderbook: ")


def test_few_bytes_are_sent_for_small_changes(terminal, live, going):
    shown = terminal("orderbook", "BTC/USDT")
    subscribed(live, 1)
    stop = going()
    shown.until(lambda lines: any("── spread" in line for line in lines))
    stop()
    for _ in range(2):  # the first may be in the middle of what came before
        before, foot = len(shown.received), shown.picture.lines[-1]
        shown.until(lambda lines, foot=foot: lines[-1] != foot)
    assert len(shown.received) - before < 2_000


def test_a_wrong_pair_never_takes_the_screen(terminal):
    shown = terminal("ticker", "BTC/USTD")
    assert shown.end() == 2
    assert b"\x1b" not in shown.received
    assert "PAIR_NOT_SUPPORTED" in shown.picture.lines[0]


def test_ctrl_z_and_fg_stop_and_resume_a_picture(terminal, live, going):
    shown = terminal("ticker", "BTC/USDT")
    subscribed(live, 1)
    going()
    shown.until(lambda lines: len(lines) > 2)
    shown.process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(shown.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    until(lambda: not shown.picture.is_alternate)
    assert shown.picture.shows_cursor
    shown.process.send_signal(signal.SIGCONT)
    shown.until(lambda lines: len(lines) > 2 and "BTC/USDT" in lines[2])
    assert shown.picture.is_alternate


# ---------------------------------------------------------------------------- pipes


def test_each_line_is_written_at_once(started, live):
    process = started("trades", "BTC/USDT")
    subscribed(live, 1)
    for _ in range(3):
        while not select.select([process.stdout], [], [], 0.05)[0]:
            live.advance(1)
        assert json.loads(process.stdout.readline())["pair"] == "BTC/USDT"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_whole_lines_and_a_summary(number, code, started, live, going):
    process = started("orderbook", "BTC/USDT", "ETH/USDT", "--depth", "2")
    subscribed(live, 2)
    going()
    first = process.stdout.readline()
    process.send_signal(number)
    out, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert all(json.loads(line)["bids"] for line in [first, *out.splitlines()])
    assert [name for name, *_ in SUMMARY.findall(err)] == [
        "binance BTC/USDT orderbook",
        "binance ETH/USDT orderbook",
    ]


def test_a_signal_ends_it_while_the_exchange_hangs(started, live):
    live.faults.add("binance:*:hang")
    process = started("ticker", "BTC/USDT", "-e", "binance")
    until(lambda: live.requests)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (130, "", "")


def test_a_closed_pipe_ends_it_even_without_records(started, live):
    process = started("trades", "BTC/USDT")
    subscribed(live, 1)
    process.stdout.close()
    assert process.wait(timeout=30) == 141
    assert process.stderr.read() == ""


@pytest.mark.parametrize("form", ["jsonl", "csv"])
def test_head_gets_its_lines(form, env, program, live, going):
    line = f"set -o pipefail; '{program}' watch quote BTC/USDT -f {form} | head -n 2"
    process = subprocess.Popen(
        ["bash", "-c", line], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    subscribed(live, 1)
    going()
    out, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, "")
    assert out.count("\n") == 2


def test_a_slow_reader_gets_the_number_of_dropped_records(started, live):
    process = started(
        "orderbook", "BTC/USDT", "--depth", "1000", "--delivery", "every", "--buffer", "2"
    )
    subscribed(live, 1)
    live.advance(10)
    first = process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    [(_, _, updates, dropped)] = SUMMARY.findall(err)
    assert int(dropped) > 0
    written = 1 + out.count("\n")
    assert json.loads(first)["pair"] == "BTC/USDT"
    assert 0 <= int(updates) - int(dropped) - written <= 2


def test_a_hanging_reader_does_not_prevent_the_end(started, live):
    process = started("orderbook", "BTC/USDT", "--depth", "1000", "--delivery", "every")
    subscribed(live, 1)
    live.advance(5)
    assert select.select([process.stdout], [], [], 30)[0]
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 143


def test_output_goes_to_a_file(started, live, going, tmp_path):
    with (tmp_path / "quotes.csv").open("w") as file:
        process = started("quote", "BTC/USDT", "-f", "csv", "--count", "3", stdout=file)
        subscribed(live, 1)
        going()
        assert process.wait(timeout=30) == 0
    assert len((tmp_path / "quotes.csv").read_text().splitlines()) == 4
