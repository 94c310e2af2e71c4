"""A real terminal or none: when tables and colours are used."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

COLOUR = re.compile(r"\x1b\[[0-9;]*\b(3[0-9]|4[0-9]|9[0-7]|10[0-7])[;m]")
ESCAPE = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
def on_terminal(program):
    """Run the installed command on a terminal with a width; return the screen."""

    def run(*arguments, env, columns=80):
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        process = subprocess.Popen(
            [program, *arguments], env=env, stdin=theirs, stdout=theirs, stderr=theirs
        )
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so when the last writer is gone
                break
            if not part:
                break
            shown += part
        os.close(ours)
        assert process.wait(timeout=60) == 0
        return shown.decode().replace("\r\n", "\n")

    return run


@pytest.mark.parametrize("columns", [80, 140])
def test_a_terminal_gets_a_table_in_colour(columns, on_terminal, asking):
    shown = on_terminal("candles", "BTC/USDT", "-n", "60", env=asking, columns=columns)
    plain = ESCAPE.sub("", shown)
    assert COLOUR.search(shown)
    assert plain.startswith("BTC/USDT  binance   SIMULATED   1h candles\n60 candles, ")
    assert "  open\n" in plain
    assert "┃" in plain
    assert max(map(len, plain.splitlines())) <= columns
    # With the prompt below it the title is still there.
    assert len(plain.splitlines()) < 24


def test_no_color_is_honoured(on_terminal, asking):
    shown = on_terminal("ticker", "BTC/USDT", env={**asking, "NO_COLOR": "1"})
    assert "╭─" in shown
    assert not COLOUR.search(shown)


def test_a_chosen_format_wins_on_a_terminal(on_terminal, asking):
    assert on_terminal("quote", "BTC/USDT", "-f", "json", env=asking).startswith('{"exchange":')


def test_a_table_in_a_pipe_has_no_escapes(command, asking):
    done = command("ticker", "BTC/USDT", "-f", "table", env=asking)
    assert done.returncode == 0
    assert "╭─ BTC/USDT" in done.stdout
    assert "\x1b" not in done.stdout


def test_a_terminal_with_few_characters_still_shows_the_numbers(command, asking):
    latin = {**asking, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    done = command("ticker", "BTC/USDT", "-f", "table", env=latin)
    assert (done.returncode, done.stderr) == (0, "")
    assert "BTC/USDT" in done.stdout
    assert "?" not in done.stdout
    assert done.stdout.isascii()


@pytest.mark.parametrize("pager", ["head -n 3", "", "no-such-pager"])
def test_a_list_longer_than_the_screen_goes_through_the_pager(pager, on_terminal, asking):
    shown = on_terminal("trades", "BTC/USDT", "-n", "50", env={**asking, "PAGER": pager})
    lines = shown.splitlines()
    assert ESCAPE.sub("", lines[0]).startswith("BTC/USDT  binance   SIMULATED   trades")
    assert len(lines) == (3 if pager.startswith("head") else 53)


def test_a_list_that_fits_on_the_screen_needs_no_pager(on_terminal, asking):
    shown = on_terminal("trades", "BTC/USDT", "-n", "5", env={**asking, "PAGER": "head -n 1"})
    assert len(shown.splitlines()) == 8
