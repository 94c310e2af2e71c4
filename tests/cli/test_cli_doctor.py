"""`marketdata doctor`: the machine, the settings and the connection to the exchanges."""

from __future__ import annotations

import json
import re


def test_a_healthy_machine_gets_one_line_per_check(command, environment):
    done = command("--sim", "doctor", env=environment)
    assert (done.returncode, done.stderr) == (0, "")
    for line in done.stdout.splitlines():
        assert re.fullmatch(r"(ok  |warn)  [a-z ]{12}  \S.*", line), line
    assert "binance responds in" in done.stdout


def test_unreachable_exchanges_have_a_reason(command, environment):
    away = json.dumps(dict.fromkeys(("binance", "kraken"), "http://127.0.0.1:9"))
    environment = {**environment, "MARKETDATA_ENDPOINTS": away}
    done = command("doctor", "-e", "binance,kraken", "-f", "json", env=environment)
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert told["ok"] is False
    away = [one["said"] for one in told["checks"] if one["check"] == "exchange"]
    assert away == [
        f"{name} cannot be reached: connections are refused (EXCHANGE_UNAVAILABLE)"
        for name in ("binance", "kraken")
    ]


def test_proxy_and_certificate_variables_are_checked(command, environment):
    environment = {**environment, "HTTPS_PROXY": "somebody:hush@127.0.0.1:3128"}
    done = command("doctor", "--offline", env=environment)
    assert done.returncode == 0
    done = command("doctor", "-e", "binance", env=environment)
    assert done.returncode == 1
    assert "HTTPS_PROXY: the scheme is missing" in done.stdout
    assert "hush" not in done.stdout + done.stderr


def test_a_variable_of_another_program_is_ignored(command, environment):
    environment = {**environment, "MARKETDATA_TOKEN": "hush", "MARKETDATA_TIMEOUTS": "1"}
    said = command("doctor", "--offline", env=environment).stdout
    assert "MARKETDATA_TIMEOUTS" in said
    assert "MARKETDATA_TOKEN" not in said


def test_an_invalid_setting_is_named(command, environment):
    done = command("doctor", env={**environment, "MARKETDATA_TIMEOUT": "soon"})
    assert done.returncode == 1
    assert "MARKETDATA_TIMEOUT" in done.stdout
