"""Twenty stand-ins of spot exchanges that answer one ticker each, over TLS on the loopback.

Each answers in its own format, with invented numbers. ``/<id>/_list`` returns its list of 2,000
pairs in ccxt's unified format, taken from one of the simulated exchanges in turn. ``python -m
benchmarks.memory_exchanges FOLDER`` serves with the certificate and the lists in the folder, and
prints its address. ``GET /_state`` returns which exchanges got a ticker request, and the number of
open connections.
"""

import asyncio
import json
import ssl
import sys
from collections import Counter
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import certifi
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from marketdata._exchanges.connector import connector_class
from marketdata._exchanges.quirks import quirk
from marketdata._exchanges.transport import Transport
from marketdata.sim import SimulatedExchange

PAIR = "BTC/USDT"
PAIRS = 2_000
"""The fields of every list of pairs."""
_LAST = "100.5"

TICKERS: dict[str, Any] = {
    "binance": {"symbol": "BTCUSDT", "lastPrice": _LAST},
    "bingx": {"code": 0, "data": [{"symbol": "BTC-USDT", "lastPrice": _LAST}]},
    "bitfinex": [100, 1, 101, 1, 1, 0.01, 100.5, 5, 102, 99],
    "bitget": {"code": "00000", "data": [{"symbol": "BTCUSDT", "lastPr": _LAST}]},
    "bitstamp": {"pair": "BTC/USDT", "last": _LAST},
    "bitvavo": {"market": "BTC-USDT", "last": _LAST},
    "bybit": {
        "retCode": 0,
        "result": {"category": "spot", "list": [{"symbol": "BTCUSDT", "lastPrice": _LAST}]},
    },
    "coinbaseexchange": {"price": _LAST, "bid": "100", "ask": "101"},
    "cryptocom": {"code": 0, "result": {"data": [{"i": "BTC_USDT", "a": _LAST}]}},
    "gate": [{"currency_pair": "BTC_USDT", "last": _LAST}],
    "gemini": {"last": _LAST, "bid": "100", "ask": "101", "volume": {"BTC": "1", "USDT": "100"}},
    "hitbtc": {"last": _LAST, "timestamp": "2024-05-01T12:00:00.000Z"},
    "htx": {"status": "ok", "tick": {"close": 100.5, "bid": [100, 1], "ask": [101, 1]}},
    "kraken": {
        "error": [],
        "result": {
            "BTCUSDT": {
                **{name: [_LAST, "1", "1"] for name in ("a", "b")},
                **{name: [_LAST, "1"] for name in "cvphl"},
                "t": [1, 1],
                "o": _LAST,
            }
        },
    },
    "kucoin": {"code": "200000", "data": {"symbol": "BTC-USDT", "last": _LAST}},
    "lbank": {
        "result": "true",
        "data": [{"symbol": "btc_usdt", "ticker": {"latest": _LAST}}],
        "error_code": 0,
    },
    "mexc": {"symbol": "BTCUSDT", "lastPrice": _LAST},
    "okx": {"code": "0", "data": [{"instId": "BTC-USDT", "last": _LAST}]},
    "upbit": [{"market": "BTCUSDT", "trade_price": _LAST}],
    "whitebit": {"success": True, "result": {"last": _LAST, "bid": "100", "ask": "101"}},
}
"""The ticker response of each exchange."""
MARKS = ("code", "status", "result", "success", "error_code", "retCode")
"""Fields that mark a response as successful."""


def prepare(folder: Path) -> None:
    """Put a certificate, its authority, and lists of pairs into a folder."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (folder / "server.pem").write_bytes(secret + made)
    # As many authorities as a machine usually trusts.
    (folder / "trusted.pem").write_bytes(Path(certifi.where()).read_bytes() + made)
    for number, found in enumerate(asyncio.run(_lists())):
        (folder / f"pairs{number}.json").write_text(json.dumps(found))


async def _lists() -> list[list[dict[str, Any]]]:
    """Return the lists of pairs of the simulated exchanges, as parsed by ccxt."""
    found = []
    async with SimulatedExchange(pairs=PAIRS, frozen=True) as simulated:
        for name, url in simulated.endpoints.items():
            transport = Transport(name, url)
            api = connector_class(name)({"session": transport, "options": quirk(name).options})
            markets = [one for one in await api.fetch_markets() if one["spot"]]
            await api.close()
            await transport.close()
            # Whoever has a list has it under names of its own; here all have these.
            found.append([{**one, "id": one["symbol"].replace("/", "")} for one in markets])
    return found


def _wrapping(body: Any) -> tuple[bytes, bytes]:
    """Return the text around a list in a response that is marked as successful."""
    if isinstance(body, list):
        return b"", b""
    marks = {name: value for name, value in body.items() if value in (0, [], True) or name in MARKS}
    field = "result" if "result" in body else "data"
    start, end = json.dumps({**marks, field: "HERE"}).split('"HERE"')
    return start.encode(), end.encode()


async def serve(folder: Path, kept: list[bytes]) -> None:
    lists = {name: kept[number % len(kept)] for number, name in enumerate(TICKERS)}
    answers = {name: json.dumps(body).encode() for name, body in TICKERS.items()}
    wrapped = {name: _wrapping(body) for name, body in TICKERS.items()}
    asked: Counter[str] = Counter()

    async def answer(request: web.Request) -> web.Response:
        first, _, rest = request.path.lstrip("/").partition("/")
        if first == "_state":
            # Leave out the connection of this request.
            return web.json_response({"asked": asked, "open": len(runner.server.connections) - 1})
        if rest == "_list":
            start, end = wrapped[first]
            return web.Response(body=start + lists[first] + end, content_type="application/json")
        asked[first] += 1
        return web.Response(body=answers[first], content_type="application/json")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "server.pem")
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    host, port = runner.addresses[0]
    print(f"https://{host}:{port} ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    given = Path(sys.argv[1])
    asyncio.run(serve(given, [path.read_bytes() for path in sorted(given.glob("pairs*.json"))]))
