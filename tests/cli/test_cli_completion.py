"""Completion in the shells."""

import shutil
import subprocess

import pytest

from marketdata.operations import HISTORY, OPERATIONS


@pytest.fixture
def complete(command, asking):
    """Return the completions in zsh for a line."""

    def offers(line):
        done = command(
            env={
                **asking,
                "MARKETDATA_SIM": "1",
                "_MARKETDATA_COMPLETE": "complete_bash",
                "COMP_WORDS": line,
                "COMP_CWORD": str(len(line.split(" ")) - 1),
            }
        )
        assert done.stderr == ""
        return done.stdout.split()

    return offers


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_a_completion_script(shell, command, environment):
    done = command(env={**environment, "_MARKETDATA_COMPLETE": f"source_{shell}"})
    assert done.returncode == 0
    assert f"_MARKETDATA_COMPLETE=complete_{shell}" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n", "-c", done.stdout], check=True)


def test_commands_options_and_values_are_completed(complete):
    assert {one.command for one in OPERATIONS} <= set(complete("marketdata "))
    assert complete("marketdata order") == ["orderbook"]
    assert "--timeframe" in complete("marketdata candles --t")
    assert complete("marketdata ticker -f j") == ["json", "jsonl"]
    assert complete("marketdata candles BTC/USDT -t 1") == ["1m", "1h", "1d"]
    assert complete("marketdata ticker -e k") == ["kraken"]


def test_the_history_group_is_completed(complete):
    assert complete("marketdata his") == ["history"]
    assert {one.name for one in HISTORY} <= set(complete("marketdata history "))
    assert complete("marketdata history download BTC/USDT --d") == ["--dry-run", "--debug"]
    assert complete("marketdata history list -e binance,k") == ["binance,kraken"]
    assert complete("marketdata history export x.csv BTC/USDT --format f") == ["feather"]
    assert complete("marketdata candles BTC/USDT --fill p") == ["previous"]
