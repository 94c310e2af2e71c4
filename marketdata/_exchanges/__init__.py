"""One exchange through ccxt: loaded, asked, read, and what is particular about it."""
