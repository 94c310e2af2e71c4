"""Errors: one line on standard error with a stable code, and an exit code by cause."""

import pytest

import marketdata as md


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        ("ticker BTC/USTD", "PAIR_NOT_SUPPORTED", "Did you mean BTC/USDT"),
        ("ticker BTC/USDT:USDT", "PAIR_NOT_SUPPORTED", "Ask for BTC/USDT"),
        ("ticker BTC/USDT -e krakn", "EXCHANGE_NOT_SUPPORTED", "Did you mean kraken"),
        ("candles BTC/USDT -t 30s -e coinbaseexchange", "TIMEFRAME_NOT_SUPPORTED", "1h, 6h, 1d"),
        ("orderbook BTC/USDT --depth 0", "INVALID_PARAMETER", "depth"),
        ("orderbook BTC/USDT --depth many", "INVALID_PARAMETER", "depth"),
        ("candles BTC/USDT --start someday", "INVALID_PARAMETER", "someday"),
        ("ticker BTC/USDT --window 9y", "INVALID_PARAMETER", "9y"),
        ("-e kraken exchanges", "INVALID_PARAMETER", "exchange"),
        ("quote BTC/USDT -f xml", "INVALID_PARAMETER", "table, json, jsonl, csv"),
        ("sim --tape nowhere.csv", "INVALID_PARAMETER", "nowhere.csv"),
        ("sim --tape binance_BTC_USDT-1m.csv", "INVALID_PARAMETER", "No such file"),
        ("sim --port 70000", "INVALID_PARAMETER", "65535"),
        ("sim --pairs 0", "INVALID_PARAMETER", "at least 1"),
        ("ticker", "MISSING_PARAMETER", "PAIR"),
        ("--sim", "MISSING_PARAMETER", "command"),
        ("ticker BTC/USDT ETH/USDT", "INVALID_PARAMETER", "ETH/USDT"),
        ("tiker BTC/USDT", "INVALID_PARAMETER", "tiker"),
        ("ticker BTC/USDT --depth 3", "INVALID_PARAMETER", "--depth"),
        ("candles BTC/USDT --period 1h", "INVALID_PARAMETER", "Did you mean --timeframe"),
        ("candles BTC/USDT -t 1h --interval 4h", "INVALID_PARAMETER", "are the same option"),
        ("ticker BTC/USDT --symbol ETH/USDT", "INVALID_PARAMETER", "BTC/USDT"),
        ("ticker --symbol", "INVALID_PARAMETER", "Did you mean PAIR?"),
        ("orderbook BTC/USDT --depth", "INVALID_PARAMETER", "--depth"),
        ("sim --port many", "INVALID_PARAMETER", "--port"),
        ("sim --fault nonsense", "INVALID_PARAMETER", "EXCHANGE:PATH:EFFECT"),
        ("sim --now nonsense", "INVALID_PARAMETER", "nonsense"),
        ("sim --host 192.0.2.1", "INVALID_PARAMETER", "192.0.2.1"),
        ("history download BTC/USDT", "MISSING_PARAMETER", "--start"),
        ("history download --start -1d", "MISSING_PARAMETER", "PAIR"),
        ("history download BTC/USDT --start -1d --end -2d", "INVALID_PARAMETER", "before end"),
        ("history download BTC/USDT --start -1d -e krakn", "EXCHANGE_NOT_SUPPORTED", "kraken"),
        ("history download BTC/USTD --start -1d", "PAIR_NOT_SUPPORTED", "Did you mean BTC/USDT"),
        ("history list -t M", "INVALID_PARAMETER", "1M or 1m"),
        ("history export bars.xls BTC/USDT", "INVALID_PARAMETER", "parquet, csv or feather"),
        ("history export bars.csv BTC/USDT -f xls", "INVALID_PARAMETER", "feather"),
        ("history exprot bars.csv BTC/USDT", "INVALID_PARAMETER", "exprot"),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(line, code, said, here):
    status, out, err = here(*line.split())
    assert (status, out) == (2, "")
    assert err.startswith(f"error: {code}: ")
    assert said in err
    assert err.count("\n") == 1
    assert err.endswith("\n")


def test_the_installed_command_refuses_in_one_line(command, asking):
    done = command("ticker", "BTC/USTD", env=asking)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: PAIR_NOT_SUPPORTED: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("effect", ["status=451", "status=503", "drop"])
def test_a_failure_of_the_exchange_is_exit_code_1(effect, here, sim, monkeypatch):
    monkeypatch.setenv("MARKETDATA_RETRIES", "0")
    sim.faults.add(f"binance:*:{effect}")
    try:
        status, out, err = here("quote", "BTC/USDT", "-e", "binance")
    finally:
        sim.faults.clear()
    assert (status, out) == (1, "")
    assert err.startswith("error: EXCHANGE_UNAVAILABLE: ")
    assert err.count("\n") == 1


def test_traceback_only_with_debug(here):
    assert "Traceback" not in here("ticker", "BTC/USTD")[2]
    for line in (("--debug", "ticker", "BTC/USTD"), ("ticker", "BTC/USTD", "--debug")):
        status, _, err = here(*line)
        assert status == 2
        assert err.startswith("Traceback ")
        assert err.splitlines()[-1].startswith("error: PAIR_NOT_SUPPORTED: ")
    assert "Traceback" in here("--debug", "nonsense")[2]


def test_an_unexpected_error_is_one_line_too(here, monkeypatch):
    def broken(client, **given):
        raise LookupError("first line\nsecond line")

    monkeypatch.setattr(md.Client, "status", broken)
    status, out, err = here("status")
    assert (status, out) == (1, "")
    assert err.startswith("error: INTERNAL_ERROR: LookupError: first line second line")
    assert err.count("\n") == 1


def test_an_invalid_setting_is_named(here, monkeypatch):
    monkeypatch.setenv("MARKETDATA_TIMEOUT", "soon")
    status, _, err = here("status")
    assert status == 2
    assert "MARKETDATA_TIMEOUT" in err


def test_a_comparison_without_any_response_is_exit_code_1(command, asking):
    done = command("compare", "BTC/USDT", "-e", "nosuch,krakn", "-f", "json", env=asking)
    assert done.returncode == 1
    assert '"code":"EXCHANGE_NOT_SUPPORTED"' in done.stdout
    nobody = command("compare", "NOSUCH/USDT", "-f", "json", env=asking)
    assert (nobody.returncode, nobody.stdout) == (2, "")
    assert nobody.stderr.startswith("error: PAIR_NOT_SUPPORTED: ")
    assert command("compare", "BTC/USDT", env=asking).returncode == 0
