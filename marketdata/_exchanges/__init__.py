"""One exchange through ccxt: loading it, requests, parsing, and the differences of exchanges."""
