"""Downloads as processes: interrupted, killed, on a terminal, in a pipe."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest
from waiting import joined, until

from marketdata import Client

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals and terminals")

RANGE = ("--start", "2025-06-01", "--end", "2025-06-11")
BARS = 14_400
PAGE = 999
"""Bars that a page adds: it begins with the last one of the page before."""
DOWNLOAD = ("history", "download", "BTC/USDT", *RANGE)
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture
def asked(sim):
    """The starts of the pages requested from binance since the test began, in Unix ms."""
    sim.faults.clear()
    sim.forget()
    yield lambda: [int(one.query["startTime"]) for one in sim.requests if "klines" in one.path]
    sim.faults.clear()


@pytest.fixture
def stored(asking):
    """The one series that is stored, or None."""
    client = Client(home=asking["MARKETDATA_HOME"])

    def look():
        return next(iter(client.history.list()), None)

    yield look
    client.close()


class Terminal:
    """A process with all or some of its streams on a separate terminal."""

    def __init__(self, line, env, columns=80, **streams):
        self.ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        on_it = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        self.process = subprocess.Popen(line, env=env, **{**on_it, **streams})
        os.close(theirs)
        self.shown = b""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            try:
                part = os.read(self.ours, 65536)
            except OSError:  # Linux says so when the last writer is gone
                return
            if not part:
                return
            self.shown += part

    def type(self, text):
        os.write(self.ours, text.encode())

    def end(self):
        """Wait for the end; return the exit code, the screen, and the other output."""
        out, _ = self.process.communicate(timeout=60)
        joined(self._reader)
        shown = ESCAPE.sub("", self.shown.decode()).replace("\r\n", "\n")
        return self.process.returncode, shown, out

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.end()
        os.close(self.ours)


@pytest.fixture
def terminal(asking, interruptible):
    """Start the installed command on a terminal."""
    started = []

    def start(*line, columns=80, **streams):
        started.append(Terminal([*interruptible, *line], asking, columns, **streams))
        return started[-1]

    yield start
    for one in started:
        one.close()


def hanging_half_way(sim):
    """Let the exchange answer some pages and hang on the others."""
    sim.faults.add("binance:*/klines:after=8,hang")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_download_requests_nothing_twice(
    number, sim, asked, stored, asking, terminal, command
):
    hanging_half_way(sim)
    started = terminal(*DOWNLOAD, stdout=subprocess.PIPE)
    until(lambda: len(asked()) > 8 and stored(), process=started.process)
    started.process.send_signal(number)
    code, shown, out = started.end()
    before = stored()
    assert 0 < before.bars < BARS
    assert out == b""
    if number == signal.SIGINT:
        assert code == 130
        said = re.search(
            r"Interrupted\. ([\d,]+) new candles are stored; run the same command", shown
        )
        assert said, shown
        assert int(said[1].replace(",", "")) == before.bars

    sim.faults.clear()
    sim.forget()
    done = command(*DOWNLOAD, env=asking)
    assert done.returncode == 0, done.stderr
    [told] = json.loads(done.stdout)
    assert (told["bars"], told["fetched"], told["holes"]) == (BARS, BARS - before.bars, [])
    again = asked()
    assert len(again) <= -(-(BARS - before.bars) // PAGE) + 1
    # Pages came in order, so what is left begins where what is stored ends.
    assert min(again) >= round(before.end.timestamp() * 1000) - 60_000
    assert stored().not_fetched == 0
    assert command("history", "verify", env=asking).returncode == 0


def test_a_narrow_terminal_gets_a_bar_for_each_series_and_a_table(asked, terminal, sim):
    # Slow enough for the bars to be drawn more than once.
    sim.faults.add("binance:*/klines:latency=0.2")
    code, shown, _ = terminal(*DOWNLOAD, "ETH/USDT", columns=40).end()
    assert code == 0
    drawn, _, table = shown.partition("Downloads")
    assert "binance BTC/USDT 1m ━" in drawn
    assert "binance ETH/USDT 1m ━" in drawn
    assert re.search(r"[1-9]\d*%", drawn)
    assert max(map(len, re.split(r"[\r\n]", drawn))) < 40, "room for ^C"
    assert "binance BTC/USDT 1m  2025-06-11   14,400" in table
    assert max(map(len, table.splitlines())) <= 40


def test_a_piped_answer_leaves_the_progress_on_the_terminal(asked, terminal, sim):
    sim.faults.add("binance:*/klines:latency=0.2")
    code, shown, out = terminal(*DOWNLOAD, columns=140, stdout=subprocess.PIPE).end()
    assert code == 0
    assert json.loads(out)[0]["bars"] == BARS
    assert re.search(r"binance BTC/USDT 1m .*% +[\d,]+ candles/s +\d:\d\d left", shown)
    assert max(map(len, re.split(r"[\r\n]", shown))) < 140
    assert shown.endswith("1 series, 14,400 candles, 14,400 of them new\n")


def test_quiet_shows_no_progress_on_a_terminal_either(asked, terminal):
    code, shown, _ = terminal(*DOWNLOAD[:3], "--start", "2025-06-14", "-q", "-f", "jsonl").end()
    assert code == 0
    assert json.loads(shown)["pair"] == "BTC/USDT"


def test_remove_asks_first(asked, terminal, here, stored):
    here("history", "download", "BTC/USDT", "--start", "2025-06-14", "--end", "2025-06-15")
    for answer, exits in {"n": 1, "": 1, "y": 0}.items():
        started = terminal("history", "remove", "BTC/USDT")
        until(lambda shown=started: b"[y/N]" in shown.shown, process=started.process)
        started.type(f"{answer}\n")
        code, shown, _ = started.end()
        assert code == exits
        assert "binance BTC/USDT 1m, 2025-06-14 to 2025-06-15 UTC, 1,440 candles, " in shown
        assert "Remove 1 series, 1,440 candles, " in shown
        assert shown.endswith("Nothing was removed.\n" if exits else "Removed.\n")
        assert (stored() is None) is (not exits)


def test_an_export_to_standard_output(asked, terminal, here, asking, program):
    here("history", "download", "BTC/USDT", "--start", "2025-06-14", "--end", "2025-06-15")
    export = ("history", "export", "-", "BTC/USDT")
    code, out, err = here(*export)
    assert (code, len(out.splitlines()), err) == (0, 1_441, "")
    line = [program, *export, "-f", "parquet"]
    packed = subprocess.run(line, env=asking, capture_output=True, check=True).stdout
    assert packed[:4] == packed[-4:] == b"PAR1"
    code, shown, _ = terminal(*export, "-f", "parquet").end()
    assert code == 2
    assert "cannot be shown on a terminal" in shown


def test_the_simulator_in_the_process_and_on_a_port(environment, program, command):
    """Both replay the same, so candles of one need not be requested from the other."""
    environment["MARKETDATA_SIM_NOW"] = "2025-06-15T12:00Z"
    line = ("history", "download", "BTC/USDT", "--start", "2025-06-14", "--end", "2025-06-15", "-q")
    done = command("--sim", *line, env=environment)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["fetched"] == 1_440
    served = subprocess.Popen(
        [program, "sim", "--now", "2025-06-15T12:00Z"],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        url = served.stdout.readline().split()[-1]
        environment["MARKETDATA_ENDPOINTS"] = json.dumps({"binance": url})
        done = command(*line, env=environment)
    finally:
        served.terminate()
        served.communicate(timeout=60)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["fetched"] == 0
