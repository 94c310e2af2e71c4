"""The functions of ccxt that are overridden or relied on, each with what it is relied on for.

A test compares their signatures and sources with those that were read last. Where ccxt has changed
one, read it with its line here in mind, mend what builds on it, and accept it.
"""

from __future__ import annotations

EXCHANGE = {
    # overridden
    "client": "makes the socket of an address; ours makes one that we hear",
    "fetch": "makes one request by the session; ours notes it, and refuses what is no answer",
    "fetch_markets": "gives the list that ccxt knows by heart, where there is one",
    "get_cache_index": "finds the first change that leads on from a requested book",
    "load_markets": "gives what is loaded; ccxt's task would end for all with the first cancelled",
    "milliseconds": "gives our time; ours the exchange's where that is ahead",
    "number": "makes numbers of texts, for Decimals",
    "on_json_response": "parses an answer, so that whole numbers keep their digits",
    "parse_ohlcvs": "reads candles; ours reads columns where the layout is known",
    "parse_order_book_bids_asks": "reads levels; ours where ccxt's gives no more",
    "parse_to_numeric": "makes numbers of numbers, for Decimals",
    "safe_float": "reads a number, for Decimals",
    "safe_float_2": "reads a number, for Decimals",
    "safe_float_n": "reads a number, for Decimals",
    "safe_string": "reads a text, also of a Decimal",
    "safe_string_2": "reads a text, also of a Decimal",
    "safe_string_n": "reads a text, also of a Decimal",
    "seconds": "gives the same in seconds",
    "set_markets": "takes a list of markets; not from within the fetching of one",
    "sign": "makes the address of a request; ours hides what it raises about keys",
    "throttle": "waits before a request; ours spends the budget of the machine",
    "watch": "subscribes once under a hash, by a callback of the connection",
    "watch_multiple": "does so for several",
    "ws_dial_delay": "waits before a socket is opened; ours does so for the whole exchange",
    # relied on
    "close": "closes all sockets, and forgets the session that it was given",
    "load_order_book": "asks for the book that changes are applied to, and resolves it",
    "on_close": "forgets a socket that was closed",
    "on_error": "forgets a socket that has failed",
    "open": "finds the loop; makes no session, and reads no certificates, where it was given one",
    "parse_json": "calls `on_json_response`, and takes ValueError for no JSON",
    "spawn": "runs what a frame has begun, in a task of its own",
}
"""Of ``ccxt.async_support.base.exchange.Exchange``."""

CLIENT = {
    # overridden
    "buffer": "gives what was received already; nothing where readers come first",
    "handle_text_or_binary_message": "parses a frame and has it handled",
    "on_close": "hears that the other end has closed",
    "on_error": "gives the socket up",
    "open": "connects and begins both loops",
    "ping_loop": "pings; ours by the monotonic clock",
    "receive": "waits for the next frame",
    "reject": "ends who waits for a hash with an error; None: all",
    "resolve": "hands a result to who waits for a hash",
    "send": "sends a message, or raises ConnectionError where the socket is closed",
    # relied on
    "aiohttp_close": "ends pinging and closes the connection",
    "close": "cancels who waits, and closes the connection",
    "connect": "connects once, however many wait",
    "create_connection": "opens a socket at ``url`` by ``ws_connect`` of the session",
    "future": "gives what waits for a hash",
    "handle_message": "tells frames from pings, pongs and the end; sets `lastPong`",
    "receive_loop": "receives for as long as the socket is open, and tells of its end",
    "reset": "ends all who wait with an error, through `reject`",
}
"""Of ``ccxt.async_support.base.ws.client.Client``."""
