"""What all exchanges in a process share, and what each does not keep."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path
from typing import Any

import certifi
import pytest

from marketdata._exchanges.connector import connector_class
from marketdata.sim import SimulatedExchange


def opened(exchange: str, **config: Any) -> Any:
    async def trust() -> Any:
        api = connector_class(exchange)(config)
        api.open()
        await api.close()
        return api.ssl_context

    return asyncio.run(trust())


def test_what_to_trust_is_read_once_for_all(tmp_path: Path) -> None:
    own = tmp_path / "trusted.pem"
    shutil.copy(certifi.where(), own)
    assert opened("binance") is opened("kraken") is not None
    assert opened("binance", cafile=str(own)) is opened("kraken", cafile=str(own))
    assert opened("binance", cafile=str(own)) is not opened("binance")


def test_who_checks_no_certificate_reads_none() -> None:
    assert opened("binance", verify=False) is False


def test_the_machine_s_own_certificates_are_added_for_who_asked() -> None:
    asking: dict[str, Any] = {"options": {"include_OS_certificates": True}}
    assert opened("binance", **asking) is not opened("binance")


def test_no_answer_is_kept(sim: SimulatedExchange) -> None:
    async def ask() -> Any:
        api = connector_class("binance")({"verify": False})
        answer = await api.fetch(f"{sim.url}/api/v3/time")
        await api.close()
        assert answer
        return api.last_http_response

    assert asyncio.run(ask()) is None


LONG = "10500517034273194594947"


@pytest.mark.parametrize("exact", [False, True])
def test_ids_of_more_than_64_bits_keep_their_digits(exact: bool) -> None:
    for name in ("bittrade", "htx"):
        api = connector_class(name, exact=exact)()
        sent = f'{{"id": {LONG}, "ts": 1502448925216, "price": 12.5, "amount": 0.5}}'
        made = api.parse_trade(api.on_json_response(sent))
        assert made["id"] == LONG
        assert float(made["price"]) == 12.5
