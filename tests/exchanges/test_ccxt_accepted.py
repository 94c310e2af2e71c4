"""A newer ccxt is read before it is trusted.

After reading what has changed, ``MARKETDATA_ACCEPT=1 pytest tests/exchanges/test_ccxt_accepted.py``
accepts it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from inside.exchanges import Connector

from marketdata._exchanges import relied_on
from marketdata._exchanges.exact import ExactNumbers
from marketdata._exchanges.lines import LineMethods
from marketdata._exchanges.sockets import StreamConnector

TABLE = Path(__file__).with_name("accepted_ccxt.json")
ACCEPTS = bool(os.environ.get("MARKETDATA_ACCEPT"))


def tables() -> Iterator[tuple[type[Any], Mapping[str, str], tuple[type[Any], ...]]]:
    """Yield each class of ccxt's, what the table has of it, and what overrides it."""
    from ccxt.async_support.base.exchange import Exchange
    from ccxt.async_support.base.ws.client import Client

    yield Exchange, relied_on.EXCHANGE, (Connector, ExactNumbers, StreamConnector)
    yield Client, relied_on.CLIENT, (LineMethods,)


def as_read(theirs: type[Any], name: str) -> str:
    """Return the signature of a function, and what its source comes to."""
    found = inspect.getattr_static(theirs, name)
    found = found.fget if isinstance(found, property) else getattr(theirs, name)
    try:
        source = inspect.getsource(found)
    except TypeError:  # orjson's parser
        return repr(found)
    return f"{inspect.signature(found)} {hashlib.sha256(source.encode()).hexdigest()[:16]}"


def test_what_is_relied_on_is_as_it_was_read() -> None:
    found = {
        f"{theirs.__name__}.{name}": as_read(theirs, name)
        for theirs, table, _ in tables()
        for name in table
    }
    if ACCEPTS:
        TABLE.write_text(json.dumps(found, indent=2, sort_keys=True) + "\n")
    accepted = json.loads(TABLE.read_text())
    lines = Path(relied_on.__file__).read_text().splitlines()
    changed = [
        f"{name} has changed: read it, and relied_on.py:{number}"
        for name, now in found.items()
        if accepted.get(name) != now
        for number, line in enumerate(lines, 1)
        if line.strip().startswith(f'"{name.partition(".")[2]}":')
    ]
    assert changed == []
    assert set(found) == set(accepted)


def test_the_table_has_all_that_is_overridden() -> None:
    for theirs, table, ours in tables():
        overridden = {
            name
            for one in ours
            for name, value in vars(one).items()
            if (callable(value) or isinstance(value, property))
            and not name.startswith("__")
            and callable(getattr(theirs, name, None) or (name in vars(theirs) and value))
        }
        overridden -= {"lastPong"}  # a field of ccxt's
        assert overridden - set(table) == set()
        assert all(hasattr(theirs, name) for name in table)
