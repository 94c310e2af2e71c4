"""A simulated exchange on the loopback that speaks real exchanges' wire formats.

>>> from marketdata.sim import SimulatedExchange
>>> with SimulatedExchange(seed=7) as sim:
...     sorted(sim.endpoints)
['binance', 'coinbaseexchange', 'kraken', 'okx']
"""

from marketdata.sim.clock import Clock
from marketdata.sim.exchange import SimulatedExchange
from marketdata.sim.faults import Fault, Faults
from marketdata.sim.log import Request, Socket
from marketdata.sim.markets.listings import MARKETS
from marketdata.sim.markets.tape import Tape

__all__ = ["MARKETS", "Clock", "Fault", "Faults", "Request", "SimulatedExchange", "Socket", "Tape"]
