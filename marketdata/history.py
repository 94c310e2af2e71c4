"""The stored candles of the default client, for code that does not await.

>>> from marketdata import history
>>> history.download(["BTC/USDT"], "1m", start="2023-01-01")  # doctest: +SKIP
"""

from marketdata._client.blocking import History as _History
from marketdata._client.functions import function_of_history as _function

# Other names begin with an underscore: completion in notebooks offers all that this file mentions.
__all__ = ["download", "export", "list", "plan", "remove", "repair", "verify"]

download = _function(_History.download)
plan = _function(_History.plan)
list = _function(_History.list)  # noqa: A001 - the name that the shell has
verify = _function(_History.verify)
repair = _function(_History.repair)
export = _function(_History.export)
remove = _function(_History.remove)
