"""Market data of spot crypto exchanges: one call, one shape, any exchange that ccxt knows.

>>> import marketdata as md
>>> md.ticker("BTC/USDT").last  # doctest: +SKIP
80934.19

The functions below block and also work in notebooks; `Client` is the same as an object,
`AsyncClient` the same to be awaited. Nothing is imported before it is first used.
"""

from marketdata import _aliases as _aliases
from marketdata import _wiring as _wiring

__version__ = "0.1.0"
__distribution__ = "ccxt-marketdata"
"""By which the commands know that this package is the one they came with."""


# No other name stands here: completion in notebooks offers all that this file mentions. Type
# checkers and editors read `__init__.pyi` in its place.


def __getattr__(name: str) -> object:
    if name[0] == "_" and name != "__all__":
        raise AttributeError(f"module 'marketdata' has no attribute '{name}'")
    from importlib import import_module, util

    if util.find_spec(f"marketdata.{name}"):  # asked for by `from marketdata import errors`
        return import_module(f"marketdata.{name}")
    from marketdata._names import origins, public

    if name == "__all__":
        return sorted(origins())
    if name not in origins():
        raise AttributeError(f"module 'marketdata' has no attribute '{name}'")
    value = globals()[name] = public(name)
    return value


def __dir__() -> list[str]:
    return __getattr__("__all__")
