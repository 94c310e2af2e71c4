"""The functions of ccxt that we override or rely on, each with the reason.

A test compares their signatures and sources with the accepted ones. If ccxt has changed a function,
read it and its line here, adapt our code that builds on it, and accept the new source.
"""

from __future__ import annotations

EXCHANGE = {
    # overridden
    "client": "creates the socket of a URL; ours has `LineMethods`",
    "fetch": "sends one request with the session; ours notes it and rejects unusable responses",
    "fetch_markets": "returns the list of markets in ccxt's source, if there is one",
    "get_cache_index": "finds the first update that follows a requested book",
    "load_markets": "returns the markets; cancelling one caller would end ccxt's task for all",
    "milliseconds": "returns our time; ours returns the exchange's if that is ahead",
    "number": "converts texts to numbers; ours to Decimals",
    "on_json_response": "parses a response; ours keeps all digits of whole numbers",
    "parse_ohlcvs": "parses candles; ours parses columns if the layout is known",
    "parse_order_book_bids_asks": "parses levels; ours parses those with only price and size",
    "parse_to_numeric": "converts numbers; ours to Decimals",
    "safe_float": "reads a number; ours as a Decimal",
    "safe_float_2": "reads a number; ours as a Decimal",
    "safe_float_n": "reads a number; ours as a Decimal",
    "safe_string": "reads a text; ours also from a Decimal",
    "safe_string_2": "reads a text; ours also from a Decimal",
    "safe_string_n": "reads a text; ours also from a Decimal",
    "seconds": "returns the same time in seconds",
    "set_markets": "loads a list of markets; ours not while ccxt fetches one",
    "sign": "makes the URL of a request; ours hides keys in its errors",
    "throttle": "waits before a request; ours uses the machine's budget",
    "watch": "subscribes once for a hash, in a callback of the connection",
    "watch_multiple": "does the same for several hashes",
    "ws_dial_delay": "waits before opening a socket; ours waits for the whole exchange",
    # relied on
    "close": "closes all sockets and forgets the given session",
    "load_order_book": "requests the book to apply updates to, and resolves it",
    "on_close": "forgets a closed socket",
    "on_error": "forgets a failed socket",
    "open": "finds the loop; with a given session, it creates none and reads no certificates",
    "parse_json": "calls `on_json_response`; a ValueError means that the body is not JSON",
    "spawn": "runs the work that a frame starts as a task",
}
"""Of ``ccxt.async_support.base.exchange.Exchange``."""

CLIENT = {
    # overridden
    "buffer": "returns received frames; ours returns none while readers are slow",
    "handle_text_or_binary_message": "parses a frame and passes it to the handler",
    "on_close": "is called when the exchange closes the socket",
    "on_error": "is called when the socket fails",
    "open": "connects and starts both loops",
    "ping_loop": "sends pings; ours uses the monotonic clock",
    "receive": "waits for the next frame",
    "reject": "raises an error in those who wait for a hash; None: for any hash",
    "resolve": "passes a result to those who wait for a hash",
    "send": "sends a message; raises ConnectionError if the socket is closed",
    # relied on
    "aiohttp_close": "stops pinging and closes the connection",
    "close": "cancels those who wait, and closes the connection",
    "connect": "connects once for all who wait",
    "create_connection": "opens a socket at ``url`` with the session's ``ws_connect``",
    "future": "returns a future for a hash",
    "handle_message": "separates frames from pings, pongs and the end; sets `lastPong`",
    "receive_loop": "receives while the socket is open, and reports its end",
    "reset": "raises an error in all who wait, with `reject`",
}
"""Of ``ccxt.async_support.base.ws.client.Client``."""
