"""The simulated markets: prices, candles, trades and books, made up or repeated."""
