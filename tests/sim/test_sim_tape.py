"""Recordings are returned unchanged."""

import asyncio
import gzip
import os
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from marketdata.sim import SimulatedExchange, Tape

START = 1_700_000_040_000
MINUTE = 60_000
CANDLES = "timestamp_ms,open,high,low,close,volume"
TRADES = "timestamp_ms,id,type,side,price,amount,cost"

# Minutes 3 to 6 are an outage; minute 8 was quiet but recorded.
ROWS = [
    (0, "36160.9", "36160.9", "36153.2", "36160.7", "0.00119317"),
    (1, "36136.6", "36137.2", "36136.6", "36136.6", "0.05901579"),
    (2, "36141.5", "36141.6", "36141.5", "36141.6", "0.005519420000000001"),
    (7, "36100", "36200", "36000.5", "36150", "1e-05"),
    (8, "36150", "36150", "36150", "36150", "0"),
    (9, "36150", "36150", "36150", "36150", "2"),
]
TRADED = [
    "1700000045000,501,market,buy,36160.9,0.5,18080.45",
    "1700000045000,502,limit,sell,36160.8,0.25,9040.2",
    "1700000099999,504,market,buy,36161,1,36161",
    "1700000220000,505,market,sell,36100.05,0.00000001,0.00036",
]


def candle_file(folder: Path, name: str = "binance_BTC_USDT-1m.csv") -> Path:
    lines = [f"{START + minute * MINUTE},{','.join(rest)}" for minute, *rest in ROWS]
    return written(folder / name, "\n".join([CANDLES, *lines]) + "\n")


def trade_file(folder: Path, name: str = "kraken_BTC_USDT-trades.csv.gz") -> Path:
    return written(folder / name, "\n".join([TRADES, *TRADED]) + "\n")


def written(path: Path, text: str) -> Path:
    data = text.encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def asked(name: str, sim: SimulatedExchange, connect: Any, method: str, *arguments: Any) -> Any:
    async def run() -> Any:
        async with connect(name, sim) as exchange:
            return await getattr(exchange, method)(*arguments)

    return asyncio.run(run())


@pytest.mark.parametrize("name", ["binance", "kraken", "coinbaseexchange", "okx"])
@pytest.mark.parametrize("suffix", [".csv", ".csv.gz"])
def test_candles_come_out_as_recorded(name: str, suffix: str, tmp_path, connect) -> None:
    path = candle_file(tmp_path, f"{name}_BTC_USDT-1m{suffix}")
    with SimulatedExchange(tape=path) as sim:
        assert sim.clock.now() == START + 10 * MINUTE
        rows = asked(name, sim, connect, "fetch_ohlcv", "BTC/USDT", "1m", START, 100)
        markets = asked(name, sim, connect, "load_markets")
    expected = [[START + row[0] * MINUTE, *map(float, row[1:])] for row in ROWS]
    assert rows == expected
    assert list(markets) == ["BTC/USDT"]


def test_every_digit_is_kept(tmp_path, fetch) -> None:
    with SimulatedExchange(tape=candle_file(tmp_path)) as sim:
        rows = fetch(sim, "/api/v3/klines", symbol="BTCUSDT", interval="1m").json
    for row, recorded in zip(rows, ROWS, strict=True):
        assert [Decimal(text) for text in row[1:6]] == [Decimal(text) for text in recorded[1:]]
    assert rows[0][1] == "36160.90000000"
    assert rows[2][5] == "0.005519420000000001"


def test_longer_candles_are_aggregated_and_the_outage_stays(tmp_path, connect) -> None:
    with SimulatedExchange(tape=candle_file(tmp_path)) as sim:
        rows = asked("binance", sim, connect, "fetch_ohlcv", "BTC/USDT", "3m", None, 100)
        finer = asked("binance", sim, connect, "fetch_ohlcv", "BTC/USDT", "1s", None, 100)
    first = START - START % (3 * MINUTE)
    assert {(row[0] - first) % (3 * MINUTE) for row in rows} == {0}
    assert sum(row[5] for row in rows) == pytest.approx(sum(float(row[5]) for row in ROWS))
    assert max(row[2] for row in rows) == 36200
    assert len(rows) < 5
    assert finer == []


def test_the_clock_hides_the_future(tmp_path, connect, fetch) -> None:
    path = candle_file(tmp_path)
    with SimulatedExchange(tape=path, now=START + 2 * MINUTE - 1) as sim:
        assert sim.clock.frozen
        rows = asked("binance", sim, connect, "fetch_ohlcv", "BTC/USDT", "1m")
        assert [row[0] for row in rows] == [START, START + MINUTE]
        ticker = asked("binance", sim, connect, "fetch_ticker", "BTC/USDT")
        assert ticker["last"] == rows[-1][4] == 36136.6
        assert ticker["bid"] <= ticker["last"] <= ticker["ask"]
        assert ticker["high"] == 36160.9
        sim.clock.move(START + MINUTE + 1)
        (_, forming) = fetch(sim, "/api/v3/klines", symbol="BTCUSDT", interval="1m").json
        assert forming[1] == forming[4]


def test_made_up_trades_make_the_candles(tmp_path, connect) -> None:
    with SimulatedExchange(tape=candle_file(tmp_path)) as sim:
        trades = asked("binance", sim, connect, "fetch_trades", "BTC/USDT", START, 100)
    for minute, *texts in ROWS:
        inside = [t for t in trades if t["timestamp"] // MINUTE == START // MINUTE + minute]
        volume = sum(Decimal(t["info"]["q"]) for t in inside)
        assert volume == Decimal(texts[4])
        if inside:
            prices = [trade["price"] for trade in inside]
            found = [prices[0], max(prices), min(prices), prices[-1]]
            assert found == [float(text) for text in texts[:4]]
    assert [trade["id"] for trade in trades] == [str(n) for n in range(len(trades))]


def test_trades_come_out_as_recorded(tmp_path, connect) -> None:
    with SimulatedExchange(tape=trade_file(tmp_path)) as sim:
        assert sim.clock.now() == 1_700_000_220_000
        trades = asked("kraken", sim, connect, "fetch_trades", "BTC/USDT", 1_700_000_000_000)
        bars = asked("kraken", sim, connect, "fetch_ohlcv", "BTC/USDT", "1m")
    recorded = [line.split(",") for line in TRADED]
    assert [(t["timestamp"], t["id"], t["side"], t["price"], t["amount"]) for t in trades] == [
        (int(r[0]), r[1], r[3], float(r[4]), float(r[5])) for r in recorded
    ]
    assert bars == [
        [1_700_000_040_000, 36160.9, 36161, 36160.8, 36161, 1.75],
        [1_700_000_220_000, 36100.05, 36100.05, 36100.05, 36100.05, 1e-08],
    ]


def test_trades_by_id_of_a_tape_with_missing_ids(tmp_path, fetch) -> None:
    path = trade_file(tmp_path, "binance_BTC_USDT-trades.csv")
    with SimulatedExchange(tape=path) as sim:

        def ids(path: str, **query: Any) -> list[int]:
            rows = fetch(sim, f"/api/v3/{path}", symbol="BTCUSDT", **query).json
            return [row.get("id", row.get("a")) for row in rows]

        assert ids("historicalTrades", fromId=0) == [501, 502, 504, 505]
        assert ids("historicalTrades", fromId=503) == [504, 505]
        assert ids("historicalTrades", fromId=506) == []
        assert ids("aggTrades", fromId=502, limit=1) == [502]
        seconds = fetch(sim, "/api/v3/klines", symbol="BTCUSDT", interval="1s").json
        assert [row[0] for row in seconds] == [1700000045000, 1700000099000, 1700000220000]


def test_names_may_be_given(tmp_path, connect) -> None:
    path = candle_file(tmp_path, "anything.csv")
    tape = Tape(path, exchange="okx", pair="NEW/USDT", timeframe="1m")
    with SimulatedExchange(tape=[tape]) as sim:
        assert list(asked("okx", sim, connect, "load_markets")) == ["NEW/USDT"]
        rows = asked("okx", sim, connect, "fetch_ohlcv", "NEW/USDT", "1m")
        assert len(rows) == len(ROWS)
        assert "BTC/USD" in asked("kraken", sim, connect, "load_markets")


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("time,price\n1,2\n", ":1: the header"),
        ("", ":1: the header"),
        (f"{CANDLES}\n", "is empty"),
        (f"{CANDLES}\n{START},1,2,1\n", ":2: a row has 6 fields"),
        (f"{CANDLES}\n{START},1,2,1,1,one\n", ":2: not a number"),
        (f"{CANDLES}\n{START},1,2,1,1,-3\n", ":2: not a number"),
        (f"{CANDLES}\n{START},1,2,1,1,nan\n", ":2: not a number"),
        (f"{CANDLES}\n{START},1,2,1,3,1\n", ":2: high and low"),
        (f"{CANDLES}\nnoon,1,2,1,1,1\n", ":2: not a whole number"),
        (f"{CANDLES}\n{START + 5},1,2,1,1,1\n", ":2: time must rise"),
        (f"{CANDLES}\n{START},1,2,1,1,1\n{START},1,2,1,1,1\n", ":3: time must rise"),
        (f"{TRADES}\n5,1,market,hold,1,1,1\n", ":2: side must be"),
        (f"{TRADES}\n5,2,market,buy,1,1,1\n6,1,market,buy,1,1,1\n", ":3: ids and times"),
        (f"{TRADES}\n5,1,market,buy,1,1\n", ":2: a row has 7 fields"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, where: str, tmp_path) -> None:
    path = written(tmp_path / "okx_BTC_USDT-1m.csv", text)
    with pytest.raises(ValueError, match=r"cannot|must|has|not|is") as error:
        SimulatedExchange(tape=path)
    assert str(error.value).startswith(str(path))
    assert where in str(error.value)


def test_a_broken_archive_is_named(tmp_path) -> None:
    path = tmp_path / "okx_BTC_USDT-1m.csv.gz"
    path.write_bytes(gzip.compress(f"{CANDLES}\n{START},1,2,1,1,1\n".encode())[:-9])
    with pytest.raises(ValueError, match="cannot be read"):
        SimulatedExchange(tape=path)


def test_tapes_that_make_no_sense(tmp_path) -> None:
    with pytest.raises(ValueError, match="is called"):
        SimulatedExchange(tape=candle_file(tmp_path, "recording.csv"))
    with pytest.raises(ValueError, match="timeframe of a tape"):
        SimulatedExchange(tape=candle_file(tmp_path, "okx_BTC_USDT-often.csv"))
    with pytest.raises(ValueError, match="exchange must be one of"):
        SimulatedExchange(tape=candle_file(tmp_path, "nasdaq_BTC_USDT-1m.csv"))
    twice = [candle_file(tmp_path), trade_file(tmp_path, "binance_BTC_USDT-trades.csv")]
    with pytest.raises(ValueError, match="two tapes for BTC/USDT on binance"):
        SimulatedExchange(tape=twice)
    with pytest.raises(FileNotFoundError):
        SimulatedExchange(tape=tmp_path / "okx_BTC_USDT-1m.csv")


@pytest.fixture(scope="module")
def recorded() -> Path:
    folder = os.environ.get("MARKETDATA_RECORDED")
    if not folder:
        pytest.skip("needs the recorded data's folder in MARKETDATA_RECORDED")
    return Path(folder) / "candles"


def table(path: Path) -> list[list[str]]:
    return [line.split(",") for line in gzip.decompress(path.read_bytes()).decode().split()[1:]]


def test_recorded_minutes_give_the_exchanges_own_longer_candles(recorded, fetch) -> None:
    with SimulatedExchange(tape=recorded / "binance_BTC_USDT-1m.csv.gz") as sim:
        minutes = {int(row[0]) for row in table(recorded / "binance_BTC_USDT-1m.csv.gz")}
        for timeframe, step in (("5m", 5), ("1h", 60)):
            path = recorded / f"binance_BTC_USDT-{timeframe}.csv.gz"
            expected = {
                int(row[0]): [Decimal(text) for text in row[1:]]
                for row in table(path)
                if all(int(row[0]) + n * MINUTE in minutes for n in range(step))
            }
            found: dict[int, list[Decimal]] = {}
            start = 0
            while True:
                rows = fetch(
                    sim,
                    "/api/v3/klines",
                    symbol="BTCUSDT",
                    interval=timeframe,
                    startTime=start,
                    limit=1000,
                ).json
                if not rows:
                    break
                found |= {row[0]: [Decimal(text) for text in row[1:6]] for row in rows}
                start = rows[-1][0] + 1
            assert {time: found[time] for time in expected} == expected
            assert len(expected) > 500


def test_a_recorded_outage_stays(recorded, connect) -> None:
    with SimulatedExchange(tape=recorded / "binance_BTC_USDT-1m.csv.gz") as sim:
        start = 1679661000000 - 1679661000000 % 3_600_000
        rows = asked("binance", sim, connect, "fetch_ohlcv", "BTC/USDT", "1m", start, 300)
    times = [row[0] for row in rows]
    gaps = [(b - a) // MINUTE - 1 for a, b in pairwise(times) if b - a > MINUTE]
    assert gaps == [80]
    assert len(rows) == 300


def test_recorded_trades_make_the_recorded_candles(recorded, fetch) -> None:
    trades = table(recorded / "kraken_BTC_USDT-trades.csv.gz")
    expected = table(recorded / "kraken_BTC_USDT-1m.csv.gz")[-600:]
    now = int(trades[-1][0])
    with SimulatedExchange(tape=recorded / "kraken_BTC_USDT-trades.csv.gz") as sim:
        rows = fetch(sim, "/0/public/OHLC", pair="XBTUSDT").json["result"]["XBTUSDT"]
        newest = fetch(sim, "/0/public/Trades", pair="XBTUSDT").json["result"]["XBTUSDT"]
    found = {row[0] * 1000: row[1:5] for row in rows}
    same = [row for row in expected if int(row[0]) in found and int(row[0]) + MINUTE <= now]
    assert len(same) > 500
    for row in same:
        assert [float(text) for text in row[1:5]] == [float(t) for t in found[int(row[0])]]
    assert [str(row[6]) for row in newest] == [row[1] for row in trades[-1000:]]
