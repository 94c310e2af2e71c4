"""The command as a process: signals, closed pipes, full disks, and the served simulator."""

import json
import os
import select
import signal
import socket
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")


@pytest.fixture
def started(interruptible):
    """Start the installed command; it is killed at the end if it still runs."""
    running = []

    def start(*arguments, **options):
        process = subprocess.Popen(
            [*interruptible, *arguments],
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        if process.poll() is None:
            process.kill()
        process.communicate()


def test_ctrl_c_ends_a_hanging_call_quietly(started, environment):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        environment["MARKETDATA_ENDPOINTS"] = json.dumps({"binance": url})
        process = started("ticker", "BTC/USDT", "-e", "binance", env=environment)
        silent.settimeout(60)
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")


@pytest.mark.cold
def test_a_closed_pipe_ends_the_command_quietly(started, asking):
    process = started("pairs", "-e", "binance", "-f", "csv", env=asking)
    process.stdout.close()
    err = process.stderr.read()
    assert (process.wait(timeout=60), err) == (141, "")


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_early_closed_pipe_loses_nothing_that_was_read(unbuffered, asking, program):
    line = f"set -o pipefail; '{program}' candles BTC/USDT -t 1m -n 3000 -f csv | head -n 1"
    done = subprocess.run(
        ["bash", "-c", line],
        env={**asking, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("time,open,high,low,close,volume,trades\n", "")
    assert done.returncode == 141


LINES = [
    "quote BTC/USDT",
    "quote BTC/USDT -f table",
    "quotes -f csv",
    "history list",
    "-h",
    "--version",
]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("line", LINES)
def test_output_that_cannot_be_written_is_an_error(line, unbuffered, started, asking):
    with Path("/dev/full").open("w") as full:
        asking["PYTHONUNBUFFERED"] = unbuffered
        process = started(*line.split(), env=asking, stdout=full)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert (
        err == "error: INTERNAL_ERROR: The output could not be written: No space left on device.\n"
    )


@pytest.mark.cold
@pytest.mark.parametrize("line", [LINES[1], LINES[-1]])
def test_output_that_was_closed_before_the_start_is_an_error(line, asking, program):
    done = subprocess.run(
        ["sh", "-c", f"'{program}' {line} <&- >&-"],
        env=asking,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == (
        "error: INTERNAL_ERROR: The output could not be written: Bad file descriptor.\n"
    )


@pytest.mark.cold
def test_a_download_with_every_stream_closed_is_stored(asking, program, command):
    line = f"'{program}' history download BTC/USDT -t 1h --start 2025-06-10 --end 2025-06-11"
    subprocess.run(["sh", "-c", f"{line} <&- >&- 2>&-"], env=asking, check=False)
    stored = json.loads(command("history", "list", env=asking).stdout)
    assert [one["bars"] for one in stored] == [24]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_simulator_prints_its_address_and_ends_quietly(number, started, environment, command):
    process = started("sim", "--seed", "5", "--now", "2025-06-15T12:00Z", env=environment)
    first, export = process.stdout.readline(), process.stdout.readline()
    url = first.split()[-1]
    name, _, value = export.removeprefix("export ").strip().partition("=")
    environment[name] = value.strip("'")
    assert json.loads(environment["MARKETDATA_ENDPOINTS"])["okx"] == url
    done = command("quote", "BTC/USDT", "-e", "okx", env=environment)
    assert json.loads(done.stdout)["simulated"] is True
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (0, "", "")


def test_the_simulator_has_the_faults_it_was_given(started, environment, command):
    process = started("sim", "--fault", "binance:*:status=503", env=environment)
    url = process.stdout.readline().split()[-1]
    environment |= {
        "MARKETDATA_ENDPOINTS": json.dumps({"binance": url}),
        "MARKETDATA_RETRIES": "0",
    }
    done = command("status", "-e", "binance", env=environment)
    assert json.loads(done.stdout)["reachable"] is False


def test_a_port_in_use_is_a_wrong_call(environment, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = command("sim", "--port", str(port), env=environment)
    assert done.returncode == 2
    assert f"port {port}: Address already in use" in done.stderr


def test_the_requested_port_is_used(started, environment):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    process = started("sim", "--port", str(port), env=environment)
    assert select.select([process.stdout], [], [], 60)[0]
    assert process.stdout.readline() == f"Simulated exchange on http://127.0.0.1:{port}\n"
