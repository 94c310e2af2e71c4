"""Test your own code against the simulated exchange, with faults."""

import marketdata as md
from marketdata.sim import SimulatedExchange


def spread_in_basis_points(client: md.Client, pair: str) -> float:
    """The code under test."""
    quote = client.quote(pair)
    assert quote.spread is not None
    assert quote.mid is not None
    return quote.spread / quote.mid * 10_000


def test_the_spread_is_small() -> None:
    with (
        SimulatedExchange(seed=7, frozen=True) as exchange,
        md.Client("kraken", endpoints=exchange.endpoints) as client,
    ):
        assert 0 < spread_in_basis_points(client, "BTC/USDT") < 20


def test_a_busy_exchange_is_asked_again() -> None:
    with (
        SimulatedExchange(seed=7, frozen=True) as exchange,
        md.Client("kraken", endpoints=exchange.endpoints) as client,
    ):
        exchange.faults.add("kraken:*/Depth:status=429,retry_after=0,times=1")
        assert spread_in_basis_points(client, "BTC/USDT") > 0
        assert [one.status for one in exchange.requests if "Depth" in one.path] == [429, 200]


if __name__ == "__main__":
    test_the_spread_is_small()
    test_a_busy_exchange_is_asked_again()
    print("both hold")
